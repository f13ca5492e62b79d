"""The real command on the embedded lab, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = {
    "accounts.treated": "2",
    "accounts.control": "4",
    "rounds.before": "1",
    "rounds.after": "1",
    "conversation.skills": "1",
    "conversation.idle": "4",
}
"""The default study with fewer accounts, skills and rounds: a minute or two instead of five."""


FAST = {"lab.air": "fast"}
"""For runs whose subject is not sound: as they are, without waiting for it."""


@dataclass
class Lab:
    """A working directory in which a user gives commands."""

    folder: Path

    def command(self, *arguments: str, timeout: float = 550) -> subprocess.CompletedProcess[str]:
        """Give one command and wait for it."""
        return subprocess.run(
            [sys.executable, "-m", "echoaudit", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, name: str, persona: str = "personas/fashion.yaml", **settings: str) -> Run:
        """Record a small study into ``recordings/NAME``."""
        arguments = run_arguments(name, persona, settings)
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr[-4000:]
        return Run(self, f"recordings/{name}", done)

    def kill(self, name: str, steps: int, seconds: float, **settings: str) -> str | None:
        """Run, and SIGKILL so many seconds after so many steps are finished, counting all runs.

        What the run said if it had ended before.
        """
        arguments = run_arguments(name, "personas/fashion.yaml", settings)
        said = self.folder / "said.txt"
        with (
            said.open("w") as output,
            subprocess.Popen(
                [sys.executable, "-m", "echoaudit", *arguments],
                cwd=self.folder,
                stdout=output,
                stderr=output,
            ) as running,
        ):
            try:
                self._wait_for(name, steps, running)
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)
                running.wait()
                # The kernel ends the lab's machine a few hundredths of a second later.
                time.sleep(0.3)
                return None
        return said.read_text()[-2000:]

    def _wait_for(self, name: str, steps: int, running: subprocess.Popen[bytes]) -> None:
        journal = self.folder / "recordings" / name / "journal.jsonl"
        end = time.monotonic() + 200
        while running.poll() is None and time.monotonic() < end:
            if not steps or _finished(journal) >= steps:
                return
            time.sleep(0.05)


def _finished(journal: Path) -> int:
    return journal.read_text().count('"step-finished"') if journal.exists() else 0


def run_arguments(name: str, persona: str, settings: dict[str, str]) -> list[str]:
    """The command line of a small run; ``accounts__treated`` stands for ``accounts.treated``."""
    chosen = SMALL | {key.replace("__", "."): value for key, value in settings.items()}
    pairs = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    return ["run", persona, "--into", f"recordings/{name}", *pairs]


@dataclass
class Run:
    """A finished run, its recording and what was said about it."""

    lab: Lab
    recording: str
    done: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        """The recording's folder."""
        return self.lab.folder / self.recording

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.lab.folder / "reports" / f"{self.folder.name}.html"

    @property
    def conclusion(self) -> dict[str, Any]:
        """The study's first conclusion, its prediction."""
        found, *_ = json.loads((self.folder / "findings" / "conclusions.json").read_text())
        assert isinstance(found, dict)
        return found

    def ask(self, command: str, *arguments: str) -> Any:
        """What a reading command says with ``--json``."""
        done = self.lab.command(*command.split(), self.recording, "--json", *arguments)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def status(self, command: str, *arguments: str) -> int:
        """A command's exit code."""
        return self.lab.command(*command.split(), self.recording, *arguments).returncode
