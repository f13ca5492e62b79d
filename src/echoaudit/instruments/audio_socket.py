"""Sockets as sound devices: ``unix:PATH`` is a loudspeaker and a microphone in one.

Who listens on the stream socket PATH is the rest of the room. Sound passes in lock-step: for each
block sent, one comes back (480 samples, which are 30 ms; 16-bit little-endian mono at 16 kHz). So
sound has a time of its own, counted in samples: it passes only while somebody speaks, listens or
rests, stands still while either end thinks, and is never late or lost. Moments are the clock's, so
that what was said and heard lies where the network saw it; seconds are seconds of sound.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echoaudit.errors import Unavailable
from echoaudit.instruments.audio import Samples
from echoaudit.instruments.audio_ends import FRAME, FRAME_SECONDS

PREFIX = "unix:"
MEMORY = 20.0
"""Seconds of sound that an open line remembers."""
START_PATIENCE = 180.0
"""Seconds to wait for somebody to listen at the path."""
ANSWER_PATIENCE = 180.0
"""Seconds the other end may think about one block."""
SILENCE: Samples = np.zeros(FRAME, np.int16)
HUNG_UP = "the other end hung up"
_POLL = 0.05


@dataclass(frozen=True)
class Played:
    """A sound that has left the loudspeaker; moments in seconds since 1970."""

    started: float
    ended: float
    """When its last word had left."""
    dropped: int
    """Blocks that came too late."""


@dataclass(frozen=True)
class _Block:
    when: float
    samples: Samples


class Line:
    """A connection, and what came back lately. Speak or listen, not both at once."""

    overflows = 0

    def __init__(self, device: str) -> None:
        self._device = device
        self._connection = _connect(device)
        self._lock = threading.Lock()
        self._blocks: deque[_Block] = deque(maxlen=round(MEMORY / FRAME_SECONDS))
        self._passed = 0
        self.users = 0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def play(self, sound: Samples, spoken: int) -> Played:
        """Let ``sound`` pass, whose last word ends at sample ``spoken``."""
        started = ended = time.time()
        for start in range(0, len(sound), FRAME):
            self._exchange(sound[start : start + FRAME])
            if start < spoken:
                ended = time.time()
        return Played(started, ended, dropped=0)

    def frames(self, since: float) -> Iterator[tuple[float, Samples]]:
        """Frames with their positions, from ``since`` on; never ends by itself."""
        number = max(round(since / FRAME_SECONDS), self._passed - len(self._blocks), 0)
        while True:
            while number >= self._passed:
                self._exchange(SILENCE)
            yield number * FRAME_SECONDS, self._block(number).samples
            number += 1

    def rest(self, seconds: float) -> None:
        """Let so much sound pass."""
        for _ in range(round(seconds / FRAME_SECONDS)):
            self._exchange(SILENCE)

    def position(self, moment: float) -> float:
        """The place on the line, in seconds of sound, of what passed first after ``moment``."""
        later = sum(block.when >= moment for block in self._blocks)
        return (self._passed - later) * FRAME_SECONDS

    def moment(self, position: float) -> float:
        """When the sound at ``position`` passed."""
        return self._block(round(position / FRAME_SECONDS)).when

    def _block(self, number: int) -> _Block:
        return self._blocks[number - self._passed]

    def _exchange(self, samples: Samples) -> None:
        block = np.concatenate([samples, SILENCE[len(samples) :]])
        with self._lock:
            when = time.time()
            try:
                self._connection.sendall(block.astype("<i2").tobytes())
                answer = receive(self._connection)
            except ConnectionError as error:
                raise _gone(self._device, HUNG_UP) from error
            except OSError as error:
                raise _gone(self._device, error.strerror or str(error)) from error
            if answer is None:
                raise _gone(self._device, HUNG_UP)
            self._blocks.append(_Block(when, answer))
            self._passed += 1


def receive(connection: socket.socket) -> Samples | None:
    """One block; None when the other end hung up."""
    data = bytearray()
    while len(data) < 2 * FRAME:
        part = connection.recv(2 * FRAME - len(data))
        if not part:
            return None
        data += part
    return np.frombuffer(bytes(data), "<i2")


_LINES: dict[str, Line] = {}
_LINES_LOCK = threading.Lock()


@contextmanager
def open_line(device: str) -> Iterator[Line]:
    """The line to ``device``, shared by its loudspeaker and its microphone in this process.

    ``Unavailable`` when nobody listens there for three minutes.
    """
    line = _take(device)
    try:
        yield line
    finally:
        _give_back(device, line)


def _take(device: str) -> Line:
    with _LINES_LOCK:
        line = _LINES.get(device) or Line(device)
        _LINES[device] = line
        line.users += 1
        return line


def _give_back(device: str, line: Line) -> None:
    with _LINES_LOCK:
        line.users -= 1
        if not line.users:
            _LINES.pop(device, None)
            line.close()


def is_socket(device: str) -> bool:
    """Whether ``device`` names a socket."""
    return device.startswith(PREFIX)


def check(device: str) -> None:
    """``Unavailable`` when there is no such socket."""
    if not _path(device).is_socket():
        raise _absent(device)


def _connect(device: str) -> socket.socket:
    deadline = time.monotonic() + START_PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_PATIENCE)
        try:
            connection.connect(str(_path(device)))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            if time.monotonic() > deadline:
                raise _absent(device) from error
            time.sleep(_POLL)
        except OSError as error:
            connection.close()
            raise _gone(device, error.strerror or str(error)) from error
        else:
            return connection


def _path(device: str) -> Path:
    return Path(device.removeprefix(PREFIX))


def _absent(device: str) -> Unavailable:
    return Unavailable(
        f"nobody listens at the sound device {device!r}",
        fix="start the program at its other end, or set speaker.device and microphone.device",
    )


def _gone(device: str, reason: str) -> Unavailable:
    return Unavailable(
        f"sound device {device!r} stopped ({reason})", fix="the same command resumes"
    )
