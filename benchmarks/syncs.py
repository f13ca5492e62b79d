"""Precision and recall of syncs: ``python benchmarks/syncs.py [WORLDS [FIRST_SEED]]``.

Each seed makes up a world (parties, identifiers, how they are kept, encoded and sent, decoys) as a
recording, without a browser; the outcome ``syncs`` is compared with what was planted. The first
line is a world of the published study's size. Exit code 1 when anything was missed or invented.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "outcomes"))
import sync_worlds
from sync_worlds import SyncWorld

STUDY = (41, 247)
"""Partners of the platform and parties further down in the published study."""


def main(worlds: int = 20, seed: int = 1000) -> int:
    """Print a line for each world and one for all."""
    planted, found, right = _one("study", sync_worlds.make(seed, *STUDY))
    for number in range(seed, seed + worlds):
        more = _one(f"seed {number}", sync_worlds.make(number))
        planted, found, right = planted + more[0], found + more[1], right + more[2]
    print(f"all: {planted} planted, precision {right / found:.4f}, recall {right / planted:.4f}")
    return int(not planted == found == right)


def _one(name: str, world: SyncWorld) -> tuple[int, int, int]:
    with tempfile.TemporaryDirectory() as folder:
        found = sync_worlds.found(Path(folder) / "recording", world)
    right = len(found & world.planted)
    print(
        f"{name}: {len(world.partners)} partners, {len(world.pages)} visits, "
        f"{len(world.planted)} planted, {len(found) - right} invented, "
        f"{len(world.planted) - right} missed",
        flush=True,
    )
    return len(world.planted), len(found), right


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
