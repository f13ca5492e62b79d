"""What a microphone hears, as it comes: a thread that reads the device without pause."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from echoaudit.errors import Unavailable
from echoaudit.instruments import audio, audio_socket
from echoaudit.instruments.audio import RATE, Samples
from echoaudit.instruments.audio_ends import FRAME, BlockClock

BLOCK = 1920
"""Frames read at once: four of the detector's; much smaller blocks drop samples under load."""
BLOCK_SECONDS = BLOCK / RATE
MEMORY = 20.0
"""Seconds an open ear remembers before anybody listens."""
STALLED = 5.0
"""Seconds without a sample after which the device counts as gone."""


class Tape(Protocol):
    """An open microphone's sound. Positions are seconds of sound since some beginning."""

    @property
    def overflows(self) -> int:
        """Blocks of samples that the machine was too slow to take."""

    def frames(self, since: float) -> Iterator[tuple[float, Samples]]:
        """30 ms frames with their positions, from ``since`` on; never ends by itself."""

    def position(self, moment: float) -> float:
        """Where on the tape a moment (seconds since 1970) is."""

    def moment(self, position: float) -> float:
        """When the sound at ``position`` came, seconds since 1970."""

    def rest(self, seconds: float) -> None:
        """Wait until so much sound has passed."""


@contextmanager
def record(device: str) -> Iterator[Tape]:
    """A tape of what ``device`` hears from now on."""
    if audio_socket.is_socket(device):
        with audio_socket.open_line(device) as line:
            yield line
        return
    with audio.open_stream(device, "input", BLOCK) as stream:
        tape = DeviceTape(stream, device)
        try:
            yield tape
        finally:
            tape.stop()


class DeviceTape:
    """A PyAudio device's sound and what it heard lately; positions are seconds since 1970."""

    def __init__(self, stream: Any, device: str) -> None:
        self._stream = stream
        self._device = device
        self._blocks: deque[_Block] = deque(maxlen=round(MEMORY / BLOCK_SECONDS))
        self._news = threading.Condition()
        self._running = True
        self._failure: OSError | None = None
        self.overflows = 0
        self._thread = threading.Thread(target=self._read, name=f"ear {device}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._running = False
        self._thread.join(STALLED)

    def frames(self, since: float) -> Iterator[tuple[float, Samples]]:
        """As they come."""
        for block in self._all_blocks():
            for start in range(0, BLOCK, FRAME):
                moment = block.when + start / RATE
                if moment >= since:
                    yield moment, block.samples[start : start + FRAME]

    def position(self, moment: float) -> float:
        """The moment itself."""
        return moment

    def moment(self, position: float) -> float:
        """The position itself."""
        return position

    def rest(self, seconds: float) -> None:
        """The tape runs by itself."""
        time.sleep(seconds)

    def _all_blocks(self) -> Iterator[_Block]:
        last = -1
        while True:
            fresh = self._wait_beyond(last)
            last = fresh[-1].number
            yield from fresh

    def _wait_beyond(self, last: int) -> list[_Block]:
        with self._news:
            came = self._news.wait_for(
                lambda: self._failure or (self._blocks and self._blocks[-1].number > last), STALLED
            )
            if self._failure:
                raise self._gone(str(self._failure.args[-1])) from self._failure
            if not came:
                raise self._gone(f"no sound for {STALLED:.0f} s")
            return [block for block in self._blocks if block.number > last]

    def _gone(self, reason: str) -> Unavailable:
        return Unavailable(
            f"sound input device {self._device!r} stopped ({reason})",
            fix="plug it in again; the same command resumes",
        )

    def _read(self) -> None:
        clock = BlockClock(BLOCK_SECONDS)
        try:
            while self._running:
                data = self._stream.read(BLOCK, exception_on_overflow=False)
                when = clock.count(time.time())
                self._publish(_Block(clock.blocks, when, np.frombuffer(data, np.int16)), clock.lost)
        except OSError as error:
            self._fail(error)

    def _publish(self, block: _Block, lost: int) -> None:
        with self._news:
            self._blocks.append(block)
            self.overflows = lost
            self._news.notify_all()

    def _fail(self, error: OSError) -> None:
        with self._news:
            self._failure = error
            self._news.notify_all()


@dataclass(frozen=True)
class _Block:
    number: int
    when: float
    samples: Samples
