"""What a recording holds about each turn of a session: the evidence of who answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.data_types_known import SHORTEST, Known, KnownValues
from echoaudit.outcomes.data_types_read import Reader
from echoaudit.outcomes.exchanges import REFUSED, Exchange, exchanges
from echoaudit.outcomes.sessions import NAMES
from echoaudit.outcomes.visits import number

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

SHORTEST_REPLY = 0.3
"""Seconds of speech below which a sound is no answer: the runner's own rule."""
LOG_RESOLUTION = 1.0
"""Seconds to which DNS logs are exact."""


@dataclass(frozen=True)
class TurnEvidence:
    """One turn, with what happened from its beginning to that of the next."""

    meant: str
    purpose: str
    reply: str
    spoke: bool
    told: frozenset[str]
    """Skills of the study whose ids the device passed on."""
    directed: frozenset[str]
    """Skills of the study whose ids servers named in what they told the device to do."""
    hosts: frozenset[str]
    """Names that were looked up."""


def evidence(recording: Recording, skills: Iterable[str]) -> dict[tuple[str, int], TurnEvidence]:
    """The turns of all sessions by step id and place; ``skills`` are the ids to look for."""
    known = KnownValues()
    for skill in skills:
        if len(skill) >= SHORTEST:
            known.add(Known("skill id", skill), {skill.lower()})
    return {
        (step.id, place): turn
        for step in recording.steps("session")
        for place, turn in enumerate(_turns(step, known))
    }


def _turns(step: StepEvidence, known: KnownValues) -> Iterator[TurnEvidence]:
    turns = step.json("transcript.json") if step.has("transcript.json") else []
    rows = [row for row in turns if isinstance(row, dict)] if isinstance(turns, list) else []
    starts = [number(_part(row, "said").get("started")) for row in rows]
    sent = [exchange for exchange in exchanges(step) if exchange.kind != REFUSED]
    told, directed = _named(sent, known), _named(map(_received, sent), known)
    hosts = _looked_up(step)
    for place, row in enumerate(rows):
        heard = _part(row, "heard")
        begin, end = starts[place], next((s for s in starts[place + 1 :] if s), None)
        yield TurnEvidence(
            meant=str(step.data.get("skill") or ""),
            purpose=str(row.get("purpose") or ""),
            reply=str(heard.get("text") or ""),
            spoke=(number(heard.get("speech_seconds")) or 0.0) >= SHORTEST_REPLY,
            told=frozenset(_within(told, begin, end)),
            directed=frozenset(_within(directed, begin, end)),
            hosts=frozenset(_within(hosts, begin, end, LOG_RESOLUTION)),
        )


def _within(
    events: Iterable[tuple[float, str]], begin: float | None, end: float | None, blur: float = 0.0
) -> Iterator[str]:
    """What happened from a sentence's beginning to the next one's."""
    if begin is not None:
        for time, what in events:
            if begin <= time + blur and (end is None or time + blur < end):
                yield what


def _named(sent: Iterable[Exchange], known: KnownValues) -> list[tuple[float, str]]:
    """Times at which ids of skills were sent."""
    reader = Reader()
    return [
        (exchange.time, found.value)
        for exchange in sent
        for leaf in reader.leaves(exchange)
        for found in known.search(leaf.text)
    ]


def _received(exchange: Exchange) -> Exchange:
    """An exchange's answer, as if it had been sent."""
    return replace(exchange, url="", headers=(), messages=(), body=exchange.answer, whole=True)


def _looked_up(step: StepEvidence) -> list[tuple[float, str]]:
    if not step.has(NAMES):
        return []
    return [
        (number(event.get("time")) or 0.0, str(event.get("name") or ""))
        for event in step.jsonl(NAMES)
        if isinstance(event, dict) and event.get("event") == "query"
    ]


def _part(turn: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = turn.get(name)
    return part if isinstance(part, dict) else {}
