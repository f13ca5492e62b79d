"""Reads captures damaged at random: ``python benchmarks/mutants.py [COUNT [SEED]]``.

Prints how many were refused in one line, lost packets without a note, or took longer than a second;
a traceback ends it. The exit code is 1 when anything was lost or slow.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "outcomes"))
from mutants_kit import trial


def main(count: int = 100_000, seed: int = 1) -> int:
    """Run the trial and print its result."""
    result = trial(count, seed)
    print(f"{result.mutants} mutants, seed {seed}: 0 tracebacks, {result.slow} hangs, "
          f"{result.silent} silent losses; {result.refused} refused as no capture; "
          f"slowest {result.slowest:.2f} s")  # fmt: skip
    return int(result.slow > 0 or result.silent > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
