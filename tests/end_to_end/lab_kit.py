"""The real command on the embedded lab, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from echoaudit.instruments.browser.processes import wait_until

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

    def small_world(self, name: str, *sites: str) -> str:
        """A world of ours with these of its publishers only: fewer pages to visit."""
        paper = yaml.safe_load((self.folder / "worlds" / "paper.yaml").read_text())
        kept = [one for one in paper["publishers"] if one["site"] in sites]
        assert len(kept) == len(sites)
        small = {"based_on": f"{name}.yaml", "world": f"small-{name}", "publishers": kept}
        (self.folder / "worlds" / f"small-{name}.yaml").write_text(yaml.safe_dump(small))
        return f"small-{name}"

    def run(self, name: str, persona: str = "personas/fashion.yaml", **settings: str) -> Run:
        """Record a small study into ``recordings/NAME``."""
        arguments = run_arguments(name, persona, settings)
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr[-4000:]
        return Run(self, f"recordings/{name}", done)

    def kill(self, name: str, after: int | str, seconds: float, **settings: str) -> str | None:
        """Run, and SIGKILL so many seconds after so many steps are finished, counting all runs.

        ``after`` may also be ``visit``, when the first one began, or an account, when the first
        sentence to its speaker was answered.
        What the run said if it had ended before.
        """
        with self._running(name, settings) as running:
            try:
                self._wait_for(name, after, running)
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                others = list(_descendants(running.pid))
                os.kill(running.pid, signal.SIGKILL)
                running.wait()
                # The kernel ends the lab's machine a little later.
                assert wait_until(lambda: all(map(_has_ended, others)), 60)
                return None
        return self._said.read_text()[-2000:]

    def unplug(self, name: str, account: str, **settings: str) -> tuple[int, str]:
        """Run, and take away an account's loudspeaker in the middle of its first conversation.

        The run's exit code and what it said.
        """
        with self._running(name, settings) as running:
            self._wait_for(name, account, running)
            server = next(p for p in _descendants(running.pid) if "pulseaudio" in _command_of(p))
            # The server's socket is on the private /run of the lab's machine.
            socket = f"/proc/{server}/root/run/echoaudit-air/0/pulse"
            control = ["pactl", "-s", f"unix:{socket}"]
            listed = subprocess.check_output([*control, "list", "short", "modules"], text=True)
            sink = f"sink_name={account}-room "
            (module,) = [line.split()[0] for line in listed.splitlines() if sink in line]
            subprocess.run([*control, "unload-module", module], check=True)
            return running.wait(120), self._said.read_text()

    @property
    def _said(self) -> Path:
        return self.folder / "said.txt"

    @contextmanager
    def _running(self, name: str, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        arguments = run_arguments(name, "personas/fashion.yaml", settings)
        command = [sys.executable, "-m", "echoaudit", *arguments]
        with (
            self._said.open("w") as output,
            subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output) as running,
        ):
            yield running

    def _wait_for(self, name: str, after: int | str, running: subprocess.Popen[bytes]) -> None:
        folder = self.folder / "recordings" / name
        end = time.monotonic() + 500
        while running.poll() is None and time.monotonic() < end:
            if isinstance(after, int):
                there = not after or _count('"step-finished"', folder / "journal.jsonl") >= after
            elif after == "visit":
                there = _count('"kind":"visit"', folder / "journal.jsonl") > 0
            else:
                there = any(folder.glob(f"staging/{after}+sessions+01-*/transcript.json"))
            if there:
                return
            time.sleep(0.05)
        raise AssertionError(f"did not come to {after}: {self._said.read_text()[-2000:]}")


def _descendants(process: int) -> Iterator[int]:
    listed = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid="], text=True)
    parents = dict(map(int, line.split()) for line in listed.splitlines())
    for child, parent in parents.items():
        if parent == process:
            yield child
            yield from _descendants(child)


def _command_of(process: int) -> str:
    """Empty when it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _has_ended(process: int) -> bool:
    """Whether it holds no file any more."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def _count(what: str, journal: Path) -> int:
    return journal.read_text().count(what) if journal.exists() else 0


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

    def delivered(self) -> Counter[tuple[str, ...]]:
        """How often each sentence was delivered, over all attempts at its session."""
        heard = {}
        for file in self.folder.rglob("*/sessions/*/**/transcript.json"):
            session = file.parent.relative_to(self.folder).as_posix()
            # What an interrupted attempt delivered is there twice, once as a part.
            whole = session.removeprefix("interrupted/").split(".")[0]
            account, _, skill = whole.split("/")[:3]
            for turn in json.loads(file.read_text()):
                if turn["delivered"]:
                    heard[turn["said"]["started"], account] = (account, skill, turn["text"])
        return Counter(heard.values())

    def status(self, command: str, *arguments: str) -> int:
        """A command's exit code."""
        return self.lab.command(*command.split(), self.recording, *arguments).returncode
