"""The runner: a plan's steps in order, each recorded whole or kept as interrupted."""

from echoaudit.runner.progress import Progress, progress_for
from echoaudit.runner.runner import Rooms, Runner, Stopped

__all__ = ["Progress", "Rooms", "Runner", "Stopped", "progress_for"]
