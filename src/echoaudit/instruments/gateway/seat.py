"""The right to be this machine's gateway: who has it, and what that process says of itself."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from echoaudit.errors import Unavailable

Purpose = Literal["run", "up"]
"""Why there is a gateway: a study runs, or it was asked to stay up between runs."""

_NAME = "\0echoaudit-gateway"
_PATIENCE = 10.0
_POLL = 0.05
_MOST = 2**16


@dataclass(frozen=True)
class Holder:
    """The process that is the gateway."""

    pid: int
    """As the kernel tells it: no file can be stale. 0 when it is in another PID namespace."""
    purpose: Purpose
    about: Mapping[str, Any]
    """What it says of itself, see :meth:`Gateway.about`."""

    def __str__(self) -> str:
        if self.purpose == "up":
            return f"`echoaudit gateway up` (process {self.pid}) is this machine's gateway"
        return f"another run (process {self.pid}) uses this machine as its gateway"

    @property
    def fix(self) -> str:
        """What makes room for another one."""
        return "echoaudit gateway down" if self.purpose == "up" else "wait until it has ended"


@contextmanager
def take(about: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Be this network's gateway, and tell whoever asks what ``about`` returns.

    An abstract socket belongs to the network namespace and ends with the process: no lock file
    can be left behind.

    Raises:
        Unavailable: another process is the gateway.
    """
    with keep_free() as seat:
        seat.listen()
        answers = threading.Thread(target=_answer, args=(seat, about), daemon=True)
        answers.start()
        try:
            yield
        finally:
            seat.shutdown(socket.SHUT_RDWR)
            answers.join(_PATIENCE)


@contextmanager
def keep_free() -> Iterator[socket.socket]:
    """Have nobody else become the gateway, without being one: no process is named as the holder.

    Who else does so (it clears up after a killed gateway) is waited for.

    Raises:
        Unavailable: another process is the gateway.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as seat:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                seat.bind(_NAME)
                break
            except OSError as error:
                if holder() is not None or time.monotonic() > end:
                    raise _taken() from error
                time.sleep(_POLL)
        yield seat


def require_free() -> None:
    """Raise ``Unavailable`` when another process is the gateway."""
    found = holder()
    if found is not None:
        raise Unavailable(str(found), fix=found.fix)


def _taken() -> Unavailable:
    found = holder()
    if found is None:
        return Unavailable(
            "another process is just becoming or ceasing to be this machine's gateway",
            fix="run the same command again",
        )
    return Unavailable(str(found), fix=found.fix)


def _answer(seat: socket.socket, about: Callable[[], Mapping[str, Any]]) -> None:
    while True:
        try:
            client, _ = seat.accept()
        except OSError:
            return  # Shut down: the gateway ends.
        # A client that has gone does not matter to anyone else.
        with client, suppress(OSError):
            client.settimeout(_PATIENCE)
            client.sendall(json.dumps(about()).encode())


def holder() -> Holder | None:
    """The process that is this machine's gateway; None when none is.

    Raises:
        Unavailable: a process has the right and does not say what for, or is another user's.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_PATIENCE)
        try:
            asking.connect(_NAME)
        except ConnectionRefusedError:
            return None
        raw = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, user, _ = struct.unpack("3i", raw)
        # Anyone may take the name; only root's processes and one's own are believed.
        if user not in (0, os.geteuid()):
            fix = f"end process {pid}"
            raise Unavailable(f"user {user} keeps this machine from being a gateway", fix=fix)
        said = _said(asking)
    if said.get("purpose") not in ("run", "up"):
        raise Unavailable(f"the gateway (process {pid}) does not answer", fix=f"kill {pid}")
    return Holder(pid, said["purpose"], said)


def _said(asking: socket.socket) -> dict[str, Any]:
    text = b""
    try:
        while len(text) < _MOST and (part := asking.recv(4096)):
            text += part
        said = json.loads(text)
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
