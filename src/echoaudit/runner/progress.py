"""How a run shows where it is: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from echoaudit.runner.pace import Estimate, foreseen

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from echoaudit.study.models import Config
    from echoaudit.study.plan import Plan, Step

FIRST_STEPS = 5
"""Steps that must be done before the time left is told."""
EVERY = 20.0
"""Seconds between two lines that tell it."""


class Progress(AbstractContextManager["Progress"], Protocol):
    """Told of everything a user wants to follow; may be called from several threads."""

    def note(self, message: str) -> None:
        """Say something that is not a step: a phase begins, something goes slowly."""

    def wave(self, name: str, steps: int) -> None:
        """A wave of ``steps`` begins."""

    def finished(self, step: Step, summary: str) -> None:
        """A step is recorded."""


class _Counted:
    def __init__(self, plan: Plan, config: Config, finished: Collection[str]) -> None:
        left = [step for step in plan.steps if step.id not in finished]
        self.total = len(plan.steps)
        self.done = self.resumed_at = self.total - len(left)
        self.lock = threading.Lock()
        self._estimate = Estimate(left, foreseen(plan, config), time.monotonic())

    def count(self, step: Step) -> None:
        """One more step is finished."""
        self.done += 1
        self._estimate.finished(step.id, time.monotonic())

    def remaining(self) -> str:
        """The time left in words; empty when too little is done to tell or all is."""
        if self.done - self.resumed_at < FIRST_STEPS or self.done == self.total:
            return ""
        minutes, seconds = divmod(round(self._estimate.seconds(time.monotonic())), 60)
        return f"about {minutes}:{seconds:02} left"


class Lines(_Counted):
    """One line a step, and now and then one with the time left, for logs and pipes."""

    _told = float("-inf")

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def note(self, message: str) -> None:
        """Write one line."""
        print(message, file=sys.stderr, flush=True)

    def wave(self, name: str, steps: int) -> None:
        """Write the wave's name and size."""
        self.note(f"{name}: {steps} step{'s' if steps != 1 else ''}")

    def finished(self, step: Step, summary: str) -> None:
        """Write a step's outcome with the count so far."""
        with self.lock:
            self.count(step)
            width = len(str(self.total))
            self.note(f"  {self.done:>{width}}/{self.total}  {step.id:<44} {summary}")
            now = time.monotonic()
            if now - self._told >= EVERY and (left := self.remaining()):
                self._told = now
                self.note(f"  {left}")


class Live(_Counted):
    """A bar with the time left, and above it a line for each step."""

    def __init__(self, plan: Plan, config: Config, finished: Collection[str]) -> None:
        super().__init__(plan, config, finished)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._bar: Bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=self.total, completed=self.done, left="")

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self._bar.stop()

    def note(self, message: str) -> None:
        """Print above the bar."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def wave(self, name: str, steps: int) -> None:
        """Show which wave is running."""
        self._bar.update(self._task, description=name)

    def finished(self, step: Step, summary: str) -> None:
        """Move the bar."""
        with self.lock:
            self.count(step)
            self.note(f"  {step.id:<44} {summary}")
            self._bar.update(self._task, completed=self.done, left=self.remaining())


def progress_for(plan: Plan, config: Config, finished: Collection[str]) -> Progress:
    """The display that suits standard error: live on a terminal, lines elsewhere."""
    display = Live if sys.stderr.isatty() else Lines
    return display(plan, config, finished)
