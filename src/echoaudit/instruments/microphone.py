"""The microphone: records a reply until it ends, keeps it and writes down its words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from echoaudit.instruments import audio, audio_socket, audio_stream, transcribe
from echoaudit.instruments.audio import RATE, Samples
from echoaudit.instruments.audio_ends import Ending, SpeechDetector, rms
from echoaudit.instruments.audio_files import keep, soundfile_module
from echoaudit.instruments.audio_tape import Tape, record
from echoaudit.study.models import MicrophoneSettings

WARM_UP = 2.0
"""Seconds before a reply from which the detector learns the room's noise, if the ear was open."""
REVERBERATION = 0.2
"""Seconds for which a room still sounds of what was said; no device answers so soon."""


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
        with record(self._device) as tape:
            yield Ear(self._settings, tape)

    def listen(self, into: Path) -> Heard:
        """Open, hear one reply from now on, and close."""
        with self.open() as ear:
            return ear.listen(into)


class Ear:
    """An open microphone; made by ``Microphone.open``."""

    def __init__(self, settings: MicrophoneSettings, tape: Tape) -> None:
        self._settings = settings
        self._tape = tape

    def listen(self, into: Path, since: float | None = None) -> Heard:
        """Hear one reply to what ended at ``since`` (``Said.ended``; from now on when absent).

        Ends after the settings' silence, or after their patience when nobody speaks, or at their
        limit. Keeps it as ``into/heard-NN.flac``. ``Unavailable`` when the microphone
        stops delivering.
        """
        heard = self._tape.position(time.time() if since is None else since)
        took = self._take(heard if since is None else heard + REVERBERATION)
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

    def rest(self, seconds: float) -> None:
        """Wait while so many seconds of sound pass."""
        self._tape.rest(seconds)

    def loudness(self, seconds: float) -> float:
        """RMS in LSB of the sound of the next seconds."""
        return audio_stream.loudness(self._tape, self._tape.position(time.time()), seconds)

    def stream(
        self, into: Path, since: float, limits: audio_stream.Limits, room: float
    ) -> Iterator[audio_stream.StreamFile]:
        """Record from the moment ``since`` on; see ``audio_stream.record_stream``."""
        return audio_stream.record_stream(
            self._tape, into, self._tape.position(since), limits, room
        )

    def _take(self, since: float) -> _Take:
        settings = self._settings
        ending = Ending(settings.silence, max(settings.silence, settings.patience), settings.limit)
        took = _Take(ending, self._tape.overflows)
        detector = SpeechDetector()
        for at, frame in self._tape.frames(since - WARM_UP):
            speaking = detector.hears_speech(frame)
            if at < since:
                continue
            took.started = took.started or self._tape.moment(at)
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


def check(settings: MicrophoneSettings, account: str = "account") -> None:
    """Raise ``Unavailable`` or ``BadInput`` when ``Microphone(settings, account)`` is deaf."""
    device = audio.device_name(settings.device, account)
    if audio_socket.is_socket(device):
        audio_socket.check(device)
    else:
        audio.check(device, "input")
    soundfile_module()
    SpeechDetector()
    transcribe.check(settings.transcriber)
