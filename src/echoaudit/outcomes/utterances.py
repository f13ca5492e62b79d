"""What was said and what was heard back: one row per attempt to say a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput
from echoaudit.outcomes.answers import Answered, answered
from echoaudit.outcomes.enabling import was_enabled
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sentences import sentences

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "utterances"
TABLE = Schema(
    NAME,
    "What was said and what was heard back: one row per attempt to say a sentence.",
    (
        Column("session", "string", "Step id of the session."),
        Column("turn", "int", "Place in the session's conversation, from 0."),
        Column("account", "string", "Account whose device was spoken to."),
        Column("persona", "string", "Persona of the account."),
        Column("skill", "string", "Id of the skill; empty when idle."),
        Column(
            "purpose",
            "string",
            "`enable`, `converse`, `answer` (a skill's question), `disable` or `stop`.",
        ),
        Column("text", "string", "The sentence as it was given to the voice."),
        Column(
            "sentence",
            "string",
            "`SESSION#N`: which sentence it is; attempts at one share it, also over the parts of a "
            "session that was interrupted; empty for `stop`.",
        ),
        Column("attempt", "int", "Which attempt at the sentence it was, from 1."),
        Column(
            "delivered",
            "bool",
            "Whether the device answered or acted, and not the platform with a refusal; where the "
            "store did not enable the skill, whether the skill is known to have answered.",
        ),
        Column(
            "answered_by",
            "string",
            "`skill` (the one meant), `other skill` (of the study), `platform`, `nobody` or "
            "`unknown`; empty for `stop`.",
        ),
        Column("answerer", "string", "Id of the skill that answered or was enabled; else empty."),
        Column(
            "basis",
            "string",
            "What says so: `directive` (the decrypted device was told to speak for the skill), "
            "`metadata` (it named the skill itself), `words` (of the reply), `contacts` (hosts of "
            "the skill's vendor), `known-reply` (it is like one of that skill), `silence`.",
        ),
        Column("confidence", "string", "`high`, `medium` or `low`; empty without any basis."),
        Column("confounded", "bool", "Whether another skill answered or was enabled."),
        Column("reply", "string", "The reply as transcribed; empty when none was understood."),
        Column("engine", "string", "What transcribed the reply; empty when nothing did."),
        Column("started", "float", "When the sentence began.", "s since 1970"),
        Column("said_seconds", "float", "Length of the sentence as spoken.", "s"),
        Column("gain", "float", "Factor on the spoken samples; 0 is silence."),
        Column("heard_seconds", "float", "Length of the recorded reply.", "s"),
        Column("speech_seconds", "float", "Part of the recorded reply that is speech.", "s"),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The turns of all sessions."""
    judged, said = answered(recording), sentences(recording)
    return TABLE.conform(
        row | {"sentence": said.get((step.id, row["turn"]), "")}
        for step in recording.steps("session")
        if step.has("transcript.json")
        for row in _rows(step, judged)
    )


def _rows(
    step: StepEvidence, judged: Mapping[tuple[str, int], Answered]
) -> Iterator[dict[str, Any]]:
    turns = step.json("transcript.json")
    if not isinstance(turns, list):
        raise BadInput("not a list of turns", file=step.path("transcript.json"))
    enabled = was_enabled(step)
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or "text" not in turn:
            raise BadInput(f"turn {number} has no text", file=step.path("transcript.json"))
        yield _row(step, number, turn) | _answer(turn, judged[step.id, number], enabled)


def _row(step: StepEvidence, number: int, turn: Mapping[str, Any]) -> dict[str, Any]:
    said, heard = _part(turn, "said"), _part(turn, "heard")
    return {
        "session": step.id,
        "turn": number,
        "account": step.account,
        "persona": step.persona,
        "skill": step.data.get("skill") or "",
        "purpose": turn.get("purpose"),
        "text": turn["text"],
        "attempt": turn.get("attempt"),
        "reply": heard.get("text") or "",
        "engine": heard.get("engine") or "",
        "started": said.get("started"),
        "said_seconds": said.get("seconds"),
        "gain": said.get("gain"),
        "heard_seconds": heard.get("seconds"),
        "speech_seconds": heard.get("speech_seconds"),
    }


def _answer(turn: Mapping[str, Any], judged: Answered, enabled: bool) -> dict[str, Any]:
    return {
        "delivered": _delivered(turn, judged) if enabled else judged.by == "skill",
        "answered_by": judged.by,
        "answerer": judged.skill,
        "basis": judged.basis,
        "confidence": judged.confidence,
        "confounded": judged.by == "other skill",
    }


def _delivered(turn: Mapping[str, Any], judged: Answered) -> Any:
    """The runner's judgement, corrected by what it could not know or older ones did not ask."""
    if judged.skill:
        return True
    refused = judged.by == "platform" and "words" in judged.basis
    return False if refused or judged.by == "nobody" else turn.get("delivered")


def _part(turn: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = turn.get(name)
    return part if isinstance(part, dict) else {}
