"""What another machine's resolver says of the study's devices: its log, followed over SSH."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway import ssh
from echoaudit.instruments.gateway.child import Child
from echoaudit.instruments.gateway.names import NameLog
from echoaudit.study.models import RemoteSettings

READY_PATIENCE = 20.0
_READY = "following"
# Messages come back on the error output, as those of all programs do.
_FOLLOW = f'echo {_READY} >&2; exec tail -n 0 -F "$1" >&2'


def follow_command(file: str) -> list[str]:
    """The command that writes what is added to a log there, also after the log was rotated."""
    return ssh.until_input_ends(["sh", "-c", _FOLLOW, "sh", file])


class RemoteNames:
    """Follows the log until :meth:`stop`.

    Messages of other devices than the study's are dropped as they come; nothing of them is kept.
    """

    def __init__(self, settings: RemoteSettings, file: str, names: NameLog, ahead: float) -> None:
        """Start and wait until the log is followed.

        Args:
            settings: which machine.
            file: its resolver's log.
            names: takes the messages.
            ahead: seconds by which that machine's clock is ahead of this one's; events get its
                time, as packets do.

        Raises:
            Unavailable: no connection.
        """
        self._settings, self._file = settings, file
        self._names, self._ahead = names, ahead
        self._ready = threading.Event()
        self._child = Child(
            "ssh",
            ssh.arguments(settings, follow_command(file)),
            Path(os.devnull),
            on_line=self._line,
            stdin=subprocess.PIPE,
        )
        try:
            self._child.wait_until(self._ready.is_set, READY_PATIENCE)
        except Unavailable as error:
            self._child.stop()
            raise self._broken() from error

    def _line(self, moment: float, line: str) -> None:
        if line == _READY:
            self._ready.set()
        self._names.line(moment + self._ahead, line)

    def require_alive(self) -> None:
        """Raise ``Unavailable`` when the log is no longer followed."""
        if not self._child.alive:
            raise self._broken()

    def _broken(self) -> Unavailable:
        host = ssh.host_of(self._settings)
        return Unavailable(
            f"{self._file} of {host} is no longer followed: {self._child.last_words()}",
            fix="see `echoaudit doctor gateway`, then run the same command",
        )

    def stop(self) -> None:
        """End it, here and there."""
        self._child.end_input(READY_PATIENCE)


def clock_ahead(settings: RemoteSettings) -> float:
    """Seconds by which that machine's clock is ahead of this one's, to a few tenths.

    Raises:
        Unavailable: it cannot be asked.
    """
    said = ssh.ask(settings, "date", "+%s.%N")
    now = time.time()
    seconds, _, part = said.strip().partition(".")
    # A small machine's date knows no parts of seconds.
    there = float(f"{seconds}.{part}") if part.isdigit() else float(seconds) + 0.5
    return there - now
