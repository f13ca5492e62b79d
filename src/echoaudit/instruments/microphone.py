"""The microphone: records a reply until it ends, keeps it and writes down its words."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from echoaudit.errors import Unavailable
from echoaudit.instruments import audio, transcribe
from echoaudit.instruments.audio import RATE, Samples
from echoaudit.instruments.audio_ends import FRAME, BlockClock, Ending, SpeechDetector, rms
from echoaudit.instruments.audio_files import keep, soundfile_module
from echoaudit.study.models import MicrophoneSettings

BLOCK = 1920
"""Frames read at once: four of the detector's; much smaller blocks drop samples under load."""
BLOCK_SECONDS = BLOCK / RATE
MEMORY = 20.0
"""Seconds an open ear remembers before anybody listens."""
WARM_UP = 2.0
"""Seconds before a reply from which the detector learns the room's noise, if the ear was open."""
PATIENCE = 5.0
"""Least seconds to wait for a reply to begin."""
REVERBERATION = 0.2
"""Seconds for which a room still sounds of what was said; no device answers so soon."""
STALLED = 5.0
"""Seconds without a sample after which the device counts as gone."""


@dataclass(frozen=True)
class Heard:
    """One reply as it was recorded."""

    file: str
    started: float
    """Time of the first sample, seconds since 1970."""
    seconds: float
    speech_seconds: float
    level: float
    """RMS of the whole recording as a fraction of full scale."""
    text: str
    """Its words; empty when nobody spoke."""
    engine: str
    """What transcribed it."""
    overflows: int
    """Blocks of samples that the machine was too slow to take."""
    cut: bool
    """Whether the recording's limit ended it, not silence."""


class Microphone:
    """Hears through one microphone. One per account; several may hear at once."""

    def __init__(self, settings: MicrophoneSettings, account: str) -> None:
        self._settings = settings
        self._device = audio.device_name(settings.device, account)

    @contextmanager
    def open(self) -> Iterator[Ear]:
        """Record from now on, so that a reply that comes at once is not lost."""
        with audio.open_stream(self._device, "input", BLOCK) as stream:
            tape = _Tape(stream, self._device)
            try:
                yield Ear(self._settings, tape)
            finally:
                tape.stop()

    def listen(self, into: Path) -> Heard:
        """Open, hear one reply from now on, and close."""
        with self.open() as ear:
            return ear.listen(into)


class Ear:
    """An open microphone; made by ``Microphone.open``."""

    def __init__(self, settings: MicrophoneSettings, tape: _Tape) -> None:
        self._settings = settings
        self._tape = tape

    def listen(self, into: Path, since: float | None = None) -> Heard:
        """Hear one reply to what ended at ``since`` (``Said.ended``; from now on when absent).

        Ends after the settings' silence, or after ``max(silence, 5 s)`` when nobody speaks, or
        at their limit. Keeps it as ``into/heard-NN.flac``. ``Unavailable`` when the microphone
        stops delivering.
        """
        start = time.time() if since is None else since + REVERBERATION
        took = self._take(start)
        sound = np.concatenate([np.zeros(0, np.int16), *took.frames])
        words = self._words(sound, took.ending)
        return Heard(
            file=keep(sound, into, "heard"),
            started=took.started,
            seconds=len(sound) / RATE,
            speech_seconds=round(took.ending.speech, 2),
            level=rms(sound) / 32768,
            text=words.text,
            engine=words.engine,
            overflows=took.overflows,
            cut=took.ending.cut,
        )

    def _take(self, since: float) -> _Take:
        settings = self._settings
        ending = Ending(settings.silence, max(settings.silence, PATIENCE), settings.limit)
        took = _Take(ending, self._tape.overflows)
        detector = SpeechDetector()
        for when, frame in self._tape.frames(since - WARM_UP):
            speaking = detector.hears_speech(frame)
            if when < since:
                continue
            took.started = took.started or when
            took.frames.append(frame)
            if ending.over(speaking):
                break
        took.overflows = self._tape.overflows - took.overflows
        return took

    def _words(self, sound: Samples, ending: Ending) -> transcribe.Transcript:
        if not ending.speech:
            return transcribe.Transcript("", "none: no speech")
        return transcribe.transcribe(sound, self._settings.transcriber)


@dataclass
class _Take:
    """A recording in the making."""

    ending: Ending
    overflows: int
    started: float = 0.0
    frames: list[Samples] = field(default_factory=list)


class _Tape:
    """A thread that reads the device without pause, and what it read lately."""

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
        self._running = False
        self._thread.join(STALLED)

    def frames(self, since: float) -> Iterator[tuple[float, Samples]]:
        """30 ms frames with their times, from ``since`` on, as they come; never ends by itself."""
        for block in self._all_blocks():
            for start in range(0, BLOCK, FRAME):
                moment = block.when + start / RATE
                if moment >= since:
                    yield moment, block.samples[start : start + FRAME]

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


def check(settings: MicrophoneSettings, account: str = "account") -> None:
    """Raise ``Unavailable`` or ``BadInput`` when ``Microphone(settings, account)`` is deaf."""
    audio.check(audio.device_name(settings.device, account), "input")
    soundfile_module()
    SpeechDetector()
    transcribe.check(settings.transcriber)
