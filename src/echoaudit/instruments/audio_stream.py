"""Long recordings in files of bounded length, and what is said in them. Memory stays flat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from echoaudit.instruments import transcribe
from echoaudit.instruments.audio import RATE, Samples
from echoaudit.instruments.audio_ends import FLOOR, FRAME, FRAME_SECONDS, SpeechDetector, rms
from echoaudit.instruments.audio_files import soundfile_module
from echoaudit.instruments.audio_tape import Tape

ABOVE_ROOM = 2.0
"""A sound is at least this factor (6 dB) above the quiet room."""
BREATH = 0.45
"""Seconds without speech that end a passage; voices pause 0.2 to 0.4 s at commas."""
LEAD = 0.2
"""Seconds before its first speech that belong to a passage."""
LONGEST = 20.0
"""Seconds of one passage: recognisers grow worse on long ones."""


@dataclass(frozen=True)
class StreamFile:
    """One file of a stream."""

    file: str
    started: float
    """Time of the first sample, seconds since 1970."""
    ended: float
    seconds: float
    level: float
    """RMS as a fraction of full scale."""
    sounding: float
    """Seconds that were louder than the quiet room."""


@dataclass(frozen=True)
class Passage:
    """Something said: where in its file, in seconds, and its words."""

    start: float
    end: float
    text: str


@dataclass
class _Writer:
    """A FLAC file in the making."""

    path: Path
    file: Any
    started: float
    samples: int = 0
    squares: float = 0.0
    sounding: int = 0
    batch: list[Samples] = field(default_factory=list)

    def add(self, frame: Samples, loud: bool) -> None:
        self.samples += len(frame)
        self.squares += float(np.sum(frame.astype(np.float64) ** 2))
        self.sounding += loud
        self.batch.append(frame)
        if len(self.batch) * FRAME >= RATE:
            self.flush()

    def flush(self) -> None:
        if self.batch:
            self.file.write(np.concatenate(self.batch))
            self.batch.clear()

    def close(self) -> StreamFile:
        """Write the rest; only now the file has its name."""
        self.flush()
        self.file.close()
        whole = self.path.with_name(self.path.name.removeprefix(".").removesuffix(".part"))
        self.path.rename(whole)
        level = (self.squares / max(1, self.samples)) ** 0.5 / 32768
        seconds, sounding = self.samples / RATE, self.sounding * FRAME_SECONDS
        return StreamFile(whole.name, self.started, time.time(), seconds, level, sounding)


def loudness(tape: Tape, since: float, seconds: float) -> float:
    """RMS in LSB of the next seconds from ``since``; a click within them does not count."""
    levels = []
    for at, frame in tape.frames(since):
        levels.append(rms(frame))
        if at + FRAME_SECONDS >= since + seconds:
            break
    return float(np.median(levels))


@dataclass(frozen=True)
class Limits:
    """How long a stream is recorded."""

    seconds: float
    per_file: float
    """Longest file, in seconds."""
    silence: float
    """Seconds of silence that end it before its time."""
    wanted: Callable[[], bool] = lambda: True
    """Whether to go on; asked with every frame."""


def record_stream(
    tape: Tape, into: Path, since: float, limits: Limits, room: float
) -> Iterator[StreamFile]:
    """Keep what is heard from ``since`` on as ``stream-NN.flac``, each as soon as it is whole.

    Args:
        tape: an open microphone's sound.
        into: the step's folder; later calls go on with the numbers.
        since: position on the tape.
        limits: when to end a file and the recording.
        room: RMS in LSB of the quiet room.

    What was heard when the microphone breaks is kept too.
    """
    threshold = max(FLOOR, ABOVE_ROOM * room)
    writer: _Writer | None = None
    quiet, left = 0, round(limits.seconds / FRAME_SECONDS)
    try:
        for at, frame in tape.frames(since):
            loud = rms(frame) > threshold
            quiet = 0 if loud else quiet + 1
            writer = writer or _begin(into, tape.moment(at))
            writer.add(frame, loud)
            left -= 1
            over = left <= 0 or quiet * FRAME_SECONDS >= limits.silence or not limits.wanted()
            if over or writer.samples >= limits.per_file * RATE:
                whole, writer = writer.close(), None
                yield whole
            if over:
                return
    finally:
        if writer is not None:
            writer.close()


def _begin(into: Path, started: float) -> _Writer:
    number = len(list(into.glob("stream-*.flac"))) + 1
    path = into / f".stream-{number:02d}.flac.part"
    module = soundfile_module()
    file = module.SoundFile(path, "w", RATE, 1, subtype="PCM_16", format="FLAC")
    return _Writer(path, file, started)


def passages(path: Path, engine: transcribe.Engine) -> tuple[str, list[Passage]]:
    """What is said in a sound file, passage by passage, and the engine that wrote it down."""
    found, label = [], ""
    for start, sound in speech(path):
        words = transcribe.transcribe(sound, engine)
        label = words.engine
        if words.text:
            found.append(Passage(round(start, 2), round(start + len(sound) / RATE, 2), words.text))
    return label or "none: no speech", found


def speech(path: Path) -> Iterator[tuple[float, Samples]]:
    """Runs of speech in a sound file with the second at which each begins.

    A run ends where nobody speaks for ``BREATH``; one that grows too long (over music a detector
    hears speech all the time) ends at the quietest frame of its second half.
    """
    detector = SpeechDetector()
    run: list[Samples] = []
    spoken = quiet = 0
    for number, frame in enumerate(_frames(path), 1):
        run.append(frame)
        speaking = detector.hears_speech(frame)
        spoken += speaking
        quiet = 0 if speaking else quiet + 1
        if not spoken:
            run = run[-round(LEAD / FRAME_SECONDS) :]
        elif quiet * FRAME_SECONDS >= BREATH or len(run) * FRAME_SECONDS >= LONGEST:
            end = len(run) if quiet * FRAME_SECONDS >= BREATH else _quietest(run)
            yield (number - len(run)) * FRAME_SECONDS, np.concatenate(run[:end])
            run = run[end:]
            spoken = len(run)
    if spoken:
        yield (number - len(run)) * FRAME_SECONDS, np.concatenate(run)


def _quietest(run: list[Samples]) -> int:
    half = len(run) // 2
    return half + int(np.argmin([rms(frame) for frame in run[half:]]))


def _frames(path: Path) -> Iterator[Samples]:
    with soundfile_module().SoundFile(path) as file:
        for block in file.blocks(blocksize=FRAME, dtype="int16"):
            if len(block) == FRAME:
                yield block
