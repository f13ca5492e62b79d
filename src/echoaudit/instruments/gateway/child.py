"""Programs that run beside the runner, end with it, and leave their messages in a log."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from echoaudit.errors import Unavailable

LineSeen = Callable[[float, str], None]
"""Called with the time (seconds since 1970) and the text of each line of a program's messages."""

_TAIL = 40
_POLL = 0.02
_LAST_WORDS = 10.0
"""Seconds until all that an ended program said has been read."""

PACKAGES = {
    "dnsmasq": "dnsmasq-base",
    "dumpcap": "wireshark-common",
    "editcap": "wireshark-common",
    "ip": "iproute2",
    "nft": "nftables",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
}


def find_program(name: str) -> str | None:
    """Where a program is: beside the interpreter, on the path, or in the system's folders."""
    beside = Path(sys.executable).with_name(name)
    if os.access(beside, os.X_OK):
        return str(beside)
    folders = [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders))


def fix_for(name: str) -> str:
    """The command that installs a program."""
    if name == "mitmdump":
        return "pip install 'echoaudit[gateway]'"
    return f"apt-get install {PACKAGES[name]}"


def need_program(name: str) -> str:
    """Where a program is.

    Raises:
        Unavailable: it is not installed.
    """
    found = find_program(name)
    if found is None:
        raise Unavailable(f"the program {name} is missing", fix=fix_for(name))
    return found


class Child:
    """A running program in its own process group.

    The kernel ends it when the thread that started it ends, however that happens: no signal
    handler of ours has to run.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        on_line: LineSeen | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        self.name = name
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._log = log
        command = [need_program("setpriv"), "--pdeathsig", "KILL", need_program(name), *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
            env={**os.environ, **(environment or {})},
        )
        self._failure: OSError | None = None
        self._reader = threading.Thread(target=self._read, name=f"{name} messages", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            self._follow()
        except OSError as error:
            # Asked for by require_alive: what the program says can no longer be kept.
            self._failure = error

    def _follow(self) -> None:
        assert self._process.stderr is not None
        with self._log.open("a", encoding="utf-8") as log:
            for line in self._process.stderr:
                now = time.time()
                text = line.rstrip("\n")
                self._tail.append(text)
                log.write(f"{now:.6f} {text}\n")
                log.flush()
                if self._on_line is not None:
                    self._on_line(now, text)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def require_alive(self) -> None:
        """Raise ``Unavailable`` when the program has ended or its messages are being lost."""
        if self._failure is not None:
            reason = self._failure.strerror or type(self._failure).__name__
            raise Unavailable(
                f"what {self.name} says cannot be written to {self._log}: {reason}",
                fix="free disk space, then run the same command",
            ) from self._failure
        if not self.alive:
            self._reader.join(_LAST_WORDS)
            raise Unavailable(
                f"{self.name} stopped by itself (status {self._process.returncode}):"
                f" {self.last_words()}",
                fix=f"see {self._log}, then run the same command",
            )

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until ``ready()`` is true.

        Raises:
            Unavailable: the program ended, or ``timeout`` seconds passed.
        """
        end = time.monotonic() + timeout
        while not ready():
            self.require_alive()
            if time.monotonic() > end:
                raise Unavailable(
                    f"{self.name} was not ready within {timeout:g} s: {self.last_words()}",
                    fix=f"see {self._log}",
                )
            time.sleep(_POLL)

    def last_words(self) -> str:
        """The last message that is not empty."""
        return next((line.strip() for line in reversed(self._tail) if line.strip()), "no message")

    def end_input(self, patience: float) -> None:
        """Close its input, on which it ends by itself; after ``patience`` seconds, stop it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM, patience: float = 5.0) -> None:
        """Ask the program to end; after ``patience`` seconds, end its process group."""
        if self.alive:
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):  # it ended meanwhile
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reader.join(_LAST_WORDS)
