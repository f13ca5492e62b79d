"""One part of a streaming service: asked for, recorded, stopped, written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.instruments.audio_ends import FLOOR
from echoaudit.instruments.audio_stream import ABOVE_ROOM, Limits, StreamFile, passages
from echoaudit.recording import write_json
from echoaudit.runner.conversation import STOP

if TYPE_CHECKING:
    from echoaudit.instruments.microphone import Ear, Microphone
    from echoaudit.instruments.speaker import Speaker
    from echoaudit.study.models import Config
    from echoaudit.study.plan import Step

QUIET = 1.0
"""Seconds in which the room is heard before anything is said, and after "stop"."""
SHORT = 0.1
"""Seconds by which a recording in frames may miss its length."""
SHORTEST = 30.0
"""Seconds of sound below which a service has not played."""


@dataclass
class Listened:
    """What came of one part of a stream."""

    turns: list[dict[str, Any]] = field(default_factory=list)
    """As in the ``transcript.json`` of sessions, without replies."""
    files: list[StreamFile] = field(default_factory=list)
    room: float = 0.0
    """RMS of the quiet room before anything was said, as a fraction of full scale."""
    cut: bool = False
    """Whether it stopped being wanted before it had lasted as planned or ended by itself."""

    @property
    def seconds(self) -> float:
        """Length of the recording, in seconds of sound."""
        return sum(file.seconds for file in self.files)

    def to_json(self, service: str, planned: float) -> dict[str, Any]:
        """The record kept in ``stream.json``."""
        files = [asdict(file) for file in self.files]
        about = {"service": service, "planned": planned, "seconds": self.seconds}
        return {**about, "room": self.room, "files": files}


def listen(
    step: Step,
    speaker: Speaker,
    microphone: Microphone,
    config: Config,
    folder: Path,
    wanted: Callable[[], bool],
) -> Listened:
    """Ask for a stream, record it to its end or as long as it is ``wanted``, and stop it.

    The sentence is said again, as often as ``conversation.attempts`` says, when hardly anything
    was heard after it.
    """
    assert step.stream is not None
    done = Listened()
    minute = 60.0
    limits = Limits(step.seconds, config.streaming.file * minute, config.streaming.silence, wanted)
    with microphone.open() as ear:
        room = ear.loudness(QUIET)
        done.room = room / 32768
        for attempt in range(1, config.conversation.attempts + 1):
            said = speaker.say(step.stream.sentence, folder)
            heard = length = 0.0
            for file in ear.stream(folder, said.ended, limits, room):
                done.files.append(file)
                heard += file.sounding
                length += file.seconds
            done.cut = not wanted() and length < step.seconds - SHORT
            delivered = heard >= min(SHORTEST, step.seconds / 2)
            done.turns.append(_turn("play", step.stream.sentence, attempt, said, delivered))
            if delivered or not wanted():
                break
        done.turns += _stop(speaker, ear, config, folder, max(FLOOR, ABOVE_ROOM * room))
    return done


def _stop(
    speaker: Speaker, ear: Ear, config: Config, folder: Path, threshold: float
) -> list[dict[str, Any]]:
    """Say "Alexa, stop" until the room is quiet."""
    turns = []
    for attempt in range(1, config.conversation.attempts + 1):
        said = speaker.say(STOP.text, folder)
        ear.rest(config.conversation.pause)
        quiet = ear.loudness(QUIET) <= threshold
        turns.append(_turn("stop", STOP.text, attempt, said, quiet))
        if quiet:
            break
    return turns


def _turn(purpose: str, text: str, attempt: int, said: Any, delivered: bool) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "text": text,
        "attempt": attempt,
        "said": asdict(said),
        "heard": None,
        "delivered": delivered,
    }


def write_down(done: Listened, config: Config, folder: Path) -> None:
    """Transcribe the files of a stream, each into ``stream-NN.json``."""
    for file in done.files:
        engine, found = passages(folder / file.file, config.microphone.transcriber)
        record = {"engine": engine, "passages": [asdict(passage) for passage in found]}
        write_json(folder / Path(file.file).with_suffix(".json"), record)
