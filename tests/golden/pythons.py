"""Replay the recorded run on several Pythons and compare every byte of findings and report.

``.venv/bin/python tests/golden/pythons.py python3.11 python3.12 python3.13`` makes a fresh
environment for each from the pinned versions, and gives each another hash seed, time zone and
folder. Exit code 1 when any byte differs. This takes minutes and the package index, so it is no
part of the test suite, which does the same with one Python (``test_golden.py``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDING = Path(__file__).parent / "recording"
UV = Path(sys.executable).with_name("uv")
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")


def replayed(python: str, number: int, home: Path) -> dict[str, str]:
    """SHA-256 of each file that a fresh installation under ``python`` makes of the recording."""
    environment = home / "venv"
    constraints = ROOT / "configs/setup/constraints.txt"
    for command in (
        [UV, "venv", "-q", "--python", python, environment],
        [
            UV,
            "pip",
            "install",
            "-q",
            "--python",
            environment / "bin/python",
            "-c",
            constraints,
            ROOT,
        ],
    ):
        subprocess.run(command, check=True)
    folder = home / f"moved-{number}" / "recording"
    shutil.copytree(RECORDING, folder, ignore=shutil.ignore_patterns("findings"))
    subprocess.run(
        [environment / "bin/echoaudit", "replay", folder, "-o", home / "report.html"],
        env={**os.environ, "PYTHONHASHSEED": "random", "TZ": ZONES[number % len(ZONES)]},
        cwd=home,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    made = [*sorted((folder / "findings").iterdir()), home / "report.html"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def main(pythons: list[str]) -> int:
    """Compare all with the first and say what differs."""
    found: dict[str, dict[str, str]] = {}
    for number, python in enumerate(pythons):
        with tempfile.TemporaryDirectory(prefix="echoaudit-pythons-") as home:
            found[python] = replayed(python, number, Path(home))
        print(f"{python}: {len(found[python])} files, report {found[python]['report.html'][:16]}")
    first = found[pythons[0]]
    differ = {
        p: sorted(n for n in {*first, *f} if first.get(n) != f.get(n)) for p, f in found.items()
    }
    for python, names in differ.items():
        if names:
            print(f"{python}: differs from {pythons[0]} in {', '.join(names)}")
    return int(any(differ.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
