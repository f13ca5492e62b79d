"""Record the golden evidence anew: ``python tests/golden/record.py``, a minute on the lab.

Needed when the recording format changes. When only the analysis changes, the evidence stays:
``echoaudit replay tests/golden/recording -o /dev/null`` writes the new findings.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SETTINGS = {
    "accounts.treated": "1",
    "accounts.control": "3",
    "rounds.before": "1",
    "rounds.after": "1",
    "conversation.skills": "1",
    "conversation.idle": "4",
}


def main() -> None:
    """Run a small study and keep its recording and its world's truth."""
    name = "golden"
    private = ROOT / "recordings" / ".private" / name
    for folder in (ROOT / "recordings" / name, private, HERE / "recording", HERE / "truth"):
        shutil.rmtree(folder, ignore_errors=True)
    pairs = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    world = (HERE / "world.yaml").relative_to(ROOT)
    command = ["run", "personas/fashion.yaml", "--world", str(world), *pairs]
    subprocess.run(
        [sys.executable, "-m", "echoaudit", *command, "--into", f"recordings/{name}"],
        cwd=ROOT,
        check=True,
    )
    shutil.copytree(ROOT / "recordings" / name, HERE / "recording")
    shutil.copytree(private / "lab" / "truth", HERE / "truth")


if __name__ == "__main__":
    main()
