"""Recorded streams in segments: which are the same sound, and which are ads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from echoaudit.errors import BadInput
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.recording.redact import redact

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.outcomes.audio.cuts import Segment
    from echoaudit.outcomes.audio.judge import Verdict
    from echoaudit.recording import Recording, StepEvidence

NAME = "audio_segments"
TABLE = Schema(
    NAME,
    "Recorded streams in segments: which are the same sound, and which are ads.",
    (
        Column("segment", "string", "Its name: the step, `@`, and the second at which it begins."),
        Column("account", "string", "Account whose device played."),
        Column("persona", "string", "Persona of the account."),
        Column("service", "string", "Streaming service."),
        Column("at", "float", "Where it begins in the step's recording.", "s of sound"),
        Column("seconds", "float", "Its length.", "s of sound"),
        Column("time", "float", "About when it was heard.", "s since 1970"),
        Column("sound", "string", "Equal for segments that are the same sound (fingerprint)."),
        Column("plays", "int", "How often this sound was heard in the whole recording."),
        Column("is_ad", "bool", "Whether the rules call it an ad."),
        Column("brand", "string", "The brand it names; empty when none is recognised."),
        Column("confidence", "string", "Of an ad: `high`, `medium`, `low`; else empty."),
        Column(
            "basis",
            "string",
            "What speaks for an ad: `offer:KIND`, `brand:HOW` (`exact`, `near`, `far`), "
            "`brand:insisted`, `plays:N`, `accounts:N`, `length:SECONDS`.",
        ),
        Column(
            "text", "string", "Transcript, as the engine wrote it; mail addresses are redacted."
        ),
        Column("engine", "string", "What transcribed it; empty when nothing is said."),
    ),
)
MARGIN = 0.3
"""Seconds by which a passage may begin before its segment: detectors keep a lead."""
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _File(_Loose):
    file: str
    started: float
    ended: float
    seconds: float


class _Stream(_Loose):
    service: str
    room: float = 0.0
    files: tuple[_File, ...]


class _Passage(_Loose):
    start: float
    end: float
    text: str


class _Transcript(_Loose):
    engine: str = ""
    passages: tuple[_Passage, ...] = ()


@dataclass(frozen=True)
class _Heard:
    """A segment of a step's stream, before it is compared with others."""

    step: StepEvidence
    service: str
    segment: Segment
    time: float
    text: str
    engine: str


def derive(recording: Recording) -> pd.DataFrame:
    """The segments of all streams; sounds are numbered as the plan's order first meets them."""
    from echoaudit.outcomes.audio.judge import Play, judge
    from echoaudit.outcomes.audio.repeats import Catalogue

    sounds = Catalogue()
    heard: list[tuple[int, _Heard]] = []
    for step in recording.steps("stream"):
        if step.has("stream.json"):
            heard.extend(_step(step, sounds))
    plays: dict[int, list[Play]] = defaultdict(list)
    for kind, one in heard:
        play = Play(one.step.account, one.segment.seconds, one.text, one.segment.edge)
        plays[kind].append(play)
    verdicts = {kind: judge(own) for kind, own in plays.items()}
    return TABLE.conform(_row(one, kind, len(plays[kind]), verdicts[kind]) for kind, one in heard)


def _step(step: StepEvidence, sounds: Any) -> Iterator[tuple[int, _Heard]]:
    from echoaudit.outcomes.audio.cuts import segments
    from echoaudit.outcomes.audio.features import features
    from echoaudit.outcomes.audio.repeats import fingerprint

    stream = _read(step, "stream.json", _Stream)
    files = [file for file in stream.files if step.has(file.file)]
    sound = features([step.path(file.file) for file in files])
    passages = list(_passages(step, files))
    for segment in segments(sound.levels, stream.room):
        words = [
            (p.text, engine)
            for p, engine in passages
            if segment.start - MARGIN <= (p.start + p.end) / 2 < segment.start + segment.seconds
        ]
        one = _Heard(
            step,
            stream.service,
            segment,
            _moment(files, segment.start),
            _MAIL.sub(lambda found: redact(found[0]), " ".join(text for text, _ in words)),
            words[0][1] if words else "",
        )
        yield sounds.kind(fingerprint(sound, segment)), one


def _passages(step: StepEvidence, files: list[_File]) -> Iterator[tuple[_Passage, str]]:
    """What was said, in seconds of the step's whole recording."""
    before = 0.0
    for file in files:
        name = file.file.removesuffix(".flac") + ".json"
        if step.has(name):
            read = _read(step, name, _Transcript)
            for p in read.passages:
                yield _Passage(start=before + p.start, end=before + p.end, text=p.text), read.engine
        before += file.seconds


def _moment(files: list[_File], at: float) -> float:
    """About when the sound at ``at`` was heard: within a file, sound is taken to pass evenly."""
    for file in files:
        if at < file.seconds:
            return file.started + (file.ended - file.started) * at / file.seconds
        at -= file.seconds
    return files[-1].ended


def _row(one: _Heard, kind: int, plays: int, verdict: Verdict) -> dict[str, Any]:
    at = round(one.segment.start, 1)
    return {
        "segment": f"{one.step.id}@{at:07.1f}",
        "account": one.step.account,
        "persona": one.step.persona,
        "service": one.service,
        "at": at,
        "seconds": round(one.segment.seconds, 1),
        "time": round(one.time, 1),
        "sound": f"s{kind + 1:05d}",
        "plays": plays,
        "is_ad": verdict.is_ad,
        "brand": verdict.brand,
        "confidence": verdict.confidence,
        "basis": verdict.basis,
        "text": one.text,
        "engine": one.engine,
    }


def _read(step: StepEvidence, name: str, model: Any) -> Any:
    try:
        return model.model_validate(step.json(name))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{place}: {first['msg']}", file=step.path(name)) from error
