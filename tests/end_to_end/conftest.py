"""Runs of the real command on the embedded lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Lab:
    """A working directory in which a stranger would run the command."""

    folder: Path

    def command(self, *arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "echoaudit", *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def run(self, *arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        done = self.command("run", "personas/fashion.yaml", "--into", "recordings/it", *arguments,
                            timeout=timeout)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def run_and_kill(self, seconds: float, *arguments: str) -> None:
        started = subprocess.Popen(
            [sys.executable, "-m", "echoaudit", "run", "personas/fashion.yaml",
             "--into", "recordings/it", *arguments],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            started.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(started.pid, signal.SIGKILL)
            started.wait()
            time.sleep(0.5)

    def json(self, *arguments: str) -> Any:
        done = self.command(*arguments, "--json")
        return json.loads(done.stdout)

    @property
    def recording(self) -> Path:
        return self.folder / "recordings" / "it"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The project's own study files, with fewer accounts, skills and rounds: minutes, not hours."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("personas", "configs", "skills", "worlds"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".cache").symlink_to(ROOT / ".cache")
    skills = folder / "skills" / "fashion.yaml"
    skills.write_text(first_skills(skills.read_text(), 2))
    yield Lab(folder)


def first_skills(catalogue: str, count: int) -> str:
    """Keep a catalogue's head and its first skills."""
    head, *skills = catalogue.split("\n  - id:")
    return "\n  - id:".join([head, *skills[:count]]).rstrip() + "\n"
