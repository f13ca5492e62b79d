"""Starting and surely ending the browser's processes.

ChromeDriver leaves the browser behind when it is killed, and the browser then holds its profile's
lock. So every browser runs in a session (setsid) of its own, and the whole session is ended.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

LOCKS = ("SingletonLock", "SingletonCookie", "SingletonSocket")
PROC = Path("/proc")
KILLING = 10.0
"""Seconds that killed processes get to be gone: on a busy machine each must still get its turn."""


def members(session: int) -> list[int]:
    """Process ids in a session, zombies left out."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            state, sid = _state_and_session(entry)
            if sid == session and state not in ("Z", "X"):
                found.append(int(entry.name))
    return found


def _state_and_session(entry: Path) -> tuple[str, int]:
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", -1
    return fields[0], int(fields[3])


def end_session(session: int, patience: float = 3.0) -> None:
    """End all processes of a session: politely, and after ``patience`` seconds by force."""
    _signalled(session, signal.SIGTERM)
    if not wait_until(lambda: not members(session), patience):
        # Again and again: one may have been starting another while it was killed.
        wait_until(lambda: not _signalled(session, signal.SIGKILL), KILLING)


def _signalled(session: int, number: signal.Signals) -> list[int]:
    found = members(session)
    for pid in found:
        _signal(pid, number)
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether ``condition`` became true within ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def release_profile(profile: Path) -> None:
    """End a browser left over on this profile by a killed run, and remove its locks."""
    for session in _sessions_on(profile):
        end_session(session)
    remove_locks(profile)


def remove_locks(profile: Path) -> None:
    """Remove the locks that a browser which is gone has left on its profile."""
    for name in LOCKS:
        (profile / name).unlink(missing_ok=True)


def _sessions_on(profile: Path) -> set[int]:
    """Sessions, other than our own, in which a browser runs on this profile."""
    wanted = f" --user-data-dir={profile} ".encode()
    users = [
        entry for entry in PROC.iterdir() if entry.name.isdigit() and wanted in _command_line(entry)
    ]
    return {_state_and_session(entry)[1] for entry in users} - {os.getsid(0), -1}


def _command_line(entry: Path) -> bytes:
    try:
        return b" " + (entry / "cmdline").read_bytes().replace(b"\0", b" ") + b" "
    except OSError:
        return b""
