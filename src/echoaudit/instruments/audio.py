"""Sound devices: the one PyAudio of this process; devices found by name, opened one at a time.

PortAudio keeps global state and is not safe to initialise or open from several threads, and many
processes that open it together lose devices now and then. So initialising, listing, opening and
closing hold one lock of the process and one of the machine; reading and writing need neither.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from echoaudit.errors import BadInput, Unavailable

RATE = 16_000
"""Samples per second of everything said and heard."""

Samples = NDArray[np.int16]
Direction = Literal["input", "output"]

ATTEMPTS = 4
CHECK_BLOCK = 1024
"""Samples of a block of a stream that is opened only to see whether that works."""
LOCK_TIMEOUT = 30.0
"""Seconds to wait while other processes open their devices."""


@dataclass(frozen=True)
class Device:
    """A PyAudio device."""

    index: int
    name: str
    inputs: int
    outputs: int

    def channels(self, direction: Direction) -> int:
        """How many channels it has in ``direction``."""
        return self.inputs if direction == "input" else self.outputs


class _Missing(Exception):
    """The device is not there (yet)."""


def pyaudio() -> Any:
    """The PyAudio module; ``Unavailable`` when the extra is not installed."""
    try:
        import pyaudio as module
    except ImportError as missing:
        raise Unavailable(
            f"speaking and hearing need PyAudio ({missing})", fix="pip install 'echoaudit[voice]'"
        ) from missing
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence file descriptor 2: ALSA and JACK print pages there about devices nobody asked for."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@cache
def _hush_alsa() -> Any:
    """Take ALSA's error messages, which also come while a stream plays; kept alive by the cache."""
    handler = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(lambda *_: None)
    with suppress(OSError, AttributeError):  # a system without ALSA has nothing to hush
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    return handler


@contextmanager
def _machine_lock() -> Iterator[None]:
    """Hold the lock that all processes of this user share; ``Unavailable`` when it stays taken."""
    path = _lock_folder() / f"echoaudit-sound-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock_folder() -> Path:
    # In a user namespace this user may be called root and meet the real root's file in /tmp.
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(own if os.access(own, os.W_OK | os.X_OK) else tempfile.gettempdir())


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"another process has kept the sound devices' lock {path} for {LOCK_TIMEOUT:.0f} s",
                fix=f"fuser {path}",
            )
        time.sleep(0.01)


class _Library:
    """PortAudio as this process uses it: initialised once, shared by all threads."""

    def __init__(self) -> None:
        self._thread_lock = threading.Lock()
        self._instance: Any = None
        self._streams = 0

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._thread_lock, _machine_lock(), _quiet():
            yield

    def devices(self) -> tuple[Device, ...]:
        with self._exclusive():
            self._rescan()
            return self._list()

    def open(self, name: str, direction: Direction, block: int) -> Any:
        with self._exclusive():
            device = find(name, direction, self._list())
            if device is None:
                self._rescan()
                raise _Missing
            stream = self._open(device, direction, block)
            self._streams += 1
            return stream

    def close(self, stream: Any) -> None:
        with self._exclusive():
            self._streams -= 1
            stream.close()

    def _rescan(self) -> None:
        # PortAudio lists devices only when it starts, and may not be restarted under open streams.
        if self._instance is not None and not self._streams:
            self._instance.terminate()
            self._instance = None

    def _list(self) -> tuple[Device, ...]:
        if self._instance is None:
            _hush_alsa()
            self._instance = pyaudio().PyAudio()
        count = self._instance.get_device_count()
        return tuple(
            _device(self._instance.get_device_info_by_index(index)) for index in range(count)
        )

    def _open(self, device: Device, direction: Direction, block: int) -> Any:
        side = {direction: True, f"{direction}_device_index": device.index}
        return self._instance.open(
            rate=RATE, channels=1, format=pyaudio().paInt16, frames_per_buffer=block, **side
        )


_LIBRARY = _Library()


def _device(info: dict[str, Any]) -> Device:
    name = str(info["name"])
    return Device(
        int(info["index"]), name, int(info["maxInputChannels"]), int(info["maxOutputChannels"])
    )


def devices() -> tuple[Device, ...]:
    """All sound devices PyAudio sees now; ``Unavailable`` without PyAudio."""
    return _LIBRARY.devices()


def find(name: str, direction: Direction, listed: tuple[Device, ...]) -> Device | None:
    """The device called ``name``, else the one whose name begins so; None when there is none.

    ``BadInput`` when the beginning fits several devices.
    """
    able = [device for device in listed if device.channels(direction)]
    exact = [device for device in able if device.name == name]
    if exact:
        return exact[0]
    begun = [device for device in able if device.name.startswith(name)]
    if len(begun) > 1:
        raise BadInput(
            f"{direction} device {name!r} fits {_names(begun)}: write more of the name you mean"
        )
    return begun[0] if begun else None


@contextmanager
def open_stream(name: str, direction: Direction, block: int) -> Iterator[Any]:
    """A blocking PyAudio stream, 16 kHz mono 16 bit, of the device called ``name``.

    Waits and tries again while the device is missing or busy, as happens when many processes
    open theirs at once; then ``Unavailable`` with the names that are there. ``Unavailable``, too,
    when the device stops, or when it is no longer there in the end: sound servers then lead its
    streams to some other device, perhaps in another room, and say nothing.
    """
    stream = _open_patiently(name, direction, block)
    try:
        yield stream
    except OSError as error:
        if error.errno is None or error.errno >= 0:  # the system's own, not PortAudio's
            raise
        raise gone(name, direction, _reason(error)) from error
    finally:
        _LIBRARY.close(stream)
    try:
        _LIBRARY.close(_open_patiently(name, direction, block))
    except Unavailable as missing:
        raise gone(name, direction, "it is no longer there") from missing


def gone(name: str, direction: Direction, reason: str) -> Unavailable:
    """The error of a device that was there and is not any more."""
    return Unavailable(
        f"sound {direction} device {name!r} stopped ({reason})",
        fix="plug it in again; the same command resumes",
    )


def _open_patiently(name: str, direction: Direction, block: int) -> Any:
    failure: Exception = _Missing()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.1 * 2**attempt)
        try:
            return _LIBRARY.open(name, direction, block)
        except (_Missing, OSError, ValueError) as error:
            failure = error
    raise _unavailable(name, direction, failure) from failure


def _unavailable(name: str, direction: Direction, failure: Exception) -> Unavailable:
    able = [device for device in devices() if device.channels(direction)]
    if isinstance(failure, _Missing):
        # PortAudio does not list a card that another program has for itself.
        return Unavailable(
            f"no sound {direction} device called {name!r}; there is {_names(able)}",
            fix=f"set {_SETTING[direction]}.device in the configuration to one of these names, "
            f"or, if {name!r} is plugged in, end the program that uses it",
        )
    return Unavailable(
        f"sound {direction} device {name!r} cannot be opened at 16 kHz mono ({_reason(failure)})",
        fix="plug it in, end the program that uses it, or choose a device that converts "
        "(default, pulse)",
    )


_SETTING: dict[Direction, str] = {"input": "microphone", "output": "speaker"}


def _reason(failure: Exception) -> str:
    return str(failure.args[-1]) if failure.args else type(failure).__name__


def _names(listed: list[Device]) -> str:
    return ", ".join(repr(device.name) for device in listed) or "none"


def check(name: str, direction: Direction) -> None:
    """``Unavailable`` (or ``BadInput``) when ``name`` is not there, busy or unfit for our sound."""
    if find(name, direction, devices()) is None:
        raise _unavailable(name, direction, _Missing())
    _LIBRARY.close(_open_patiently(name, direction, CHECK_BLOCK))


def to_pcm(samples: NDArray[np.floating[Any]]) -> Samples:
    """Samples in LSB as 16-bit PCM: rounded, and clipped where they exceed it."""
    pcm: Samples = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return pcm


def device_name(pattern: str, account: str) -> str:
    """The device's name for one account: ``{account}`` stands for the account."""
    return pattern.replace("{account}", account)
