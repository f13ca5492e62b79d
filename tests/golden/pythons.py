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


def snapshot(home: Path) -> Path:
    """The project as it is now, so that all install the same and building leaves nothing here."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so")
    shutil.copytree(ROOT / "src", home / "src", ignore=ignored)
    return home


def replayed(python: str, number: int, source: Path, home: Path) -> dict[str, str]:
    """SHA-256 of each file that a fresh installation under ``python`` makes of the recording."""
    environment = home / "venv"
    constraints = ROOT / "configs/setup/constraints.txt"
    install = [UV, "pip", "install", "-q", "--python", environment / "bin/python"]
    for command in (
        [UV, "venv", "-q", "--python", python, environment],
        [*install, "-c", constraints, source],
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
    with tempfile.TemporaryDirectory(prefix="echoaudit-pythons-") as scratch:
        source = snapshot(Path(tempfile.mkdtemp(dir=scratch)))
        for number, python in enumerate(pythons):
            home = Path(tempfile.mkdtemp(dir=scratch))
            found[python] = replayed(python, number, source, home)
            report = found[python]["report.html"]
            print(f"{python}: {len(found[python])} files, report {report[:16]}", flush=True)
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
