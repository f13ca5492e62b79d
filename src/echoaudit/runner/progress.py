"""How a run shows where it is: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from echoaudit.study.plan import Step


class Progress(AbstractContextManager["Progress"], Protocol):
    """Told of everything a user wants to follow; may be called from several threads."""

    def note(self, message: str) -> None:
        """Say something that is not a step: a phase begins, something goes slowly."""

    def wave(self, name: str, steps: int) -> None:
        """A wave of ``steps`` begins."""

    def finished(self, step: Step, summary: str) -> None:
        """A step is recorded."""


class _Counted:
    def __init__(self, total: int, done: int) -> None:
        self.total = total
        self.done = done
        self.resumed_at = done
        self.started = time.monotonic()
        self.lock = threading.Lock()

    def remaining(self) -> str:
        made = self.done - self.resumed_at
        if made < 5:
            return ""
        seconds = (time.monotonic() - self.started) / made * (self.total - self.done)
        minutes, seconds = divmod(round(seconds), 60)
        return f"about {minutes}:{seconds:02} left"


class Lines(_Counted):
    """One line a step, for logs and pipes."""

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
            self.done += 1
            width = len(str(self.total))
            self.note(f"  {self.done:>{width}}/{self.total}  {step.id:<44} {summary}")


class Live(_Counted):
    """A bar with the time left, and above it a line for each step."""

    def __init__(self, total: int, done: int) -> None:
        super().__init__(total, done)
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
        self._task = self._bar.add_task("starting", total=total, completed=done, left="")

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
            self.done += 1
            self.note(f"  {step.id:<44} {summary}")
            self._bar.update(self._task, completed=self.done, left=self.remaining())


def progress_for(total: int, done: int) -> Progress:
    """The display that suits standard error: live on a terminal, lines elsewhere."""
    return Live(total, done) if sys.stderr.isatty() else Lines(total, done)
