"""Exit codes and the errors that end a command in one clear line."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What a command's exit status means; the same for every command."""

    OK = 0
    DIFFERENT = 1
    """A check was made and failed: findings differ, evidence is damaged, a score is too low."""
    BAD_INPUT = 2
    """What the user wrote (YAML, arguments, a file) cannot be used."""
    UNAVAILABLE = 3
    """This machine lacks something: a device, a program, an extra, a port, disk space."""
    INTERRUPTED = 130
    """Stopped by the user; the same command resumes."""


class EchoauditError(Exception):
    """An error that the command line shows as one line, without a traceback."""

    exit_code: ExitCode = ExitCode.UNAVAILABLE


class BadInput(EchoauditError):
    """Something the user wrote is wrong.

    Shown as ``file:line:column: what was found, what is allowed, an example``.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        where = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)


class Unavailable(EchoauditError):
    """Something this machine needs is missing; ``fix`` is the command or act that mends it."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        self.message = message
        self.fix = fix
        super().__init__(f"{message}; fix: {fix}" if fix else message)


class Damaged(EchoauditError):
    """Evidence on disk is not what was recorded."""

    exit_code = ExitCode.DIFFERENT
