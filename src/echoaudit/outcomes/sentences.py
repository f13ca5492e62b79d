"""Which sentence of which session each turn says: attempts at one are one, over all parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.visits import number, plain

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

WOKEN = "Alexa, "
"""What an answer begins with when it is said again: the speaker no longer listens for it."""
_Key = tuple[str, str]


def sentences(recording: Recording) -> dict[tuple[str, int], str]:
    """The sentence of each turn, ``SESSION#N`` with N from 1, by step id and the turn's place.

    A first attempt begins a sentence, be its text what it may: the same answer to two questions is
    two sentences. In a session that went on after an interruption, what was not delivered in an
    earlier part is said again and is the same sentence; an answer is not, for its question is over.
    """
    parts: dict[str, list[StepEvidence]] = defaultdict(list)
    for step in recording.steps("session"):
        if step.has("transcript.json"):
            parts[_whole(step)].append(step)
    return {
        (step, place): f"{whole}#{sentence}"
        for whole, steps in parts.items()
        for step, place, sentence in _numbered(steps)
    }


def _whole(step: StepEvidence) -> str:
    about = step.json("session.json") if step.has("session.json") else None
    return (plain(about.get("part_of")) if isinstance(about, dict) else None) or step.id


def _numbered(parts: Iterable[StepEvidence]) -> Iterator[tuple[str, int, int]]:
    """Step, place and sentence of each turn of a session's parts, in the order of time."""
    undelivered: dict[_Key, list[int]] = defaultdict(list)
    last = 0
    for step in parts:
        again = {key: list(left) for key, left in undelivered.items()}
        current: dict[_Key, int] = {}
        for place, turn in _turns(step):
            key = _key(turn)
            if key not in current or (number(turn.get("attempt")) or 1) <= 1:
                waiting = again.get(key)
                if waiting:
                    current[key] = waiting.pop(0)
                else:
                    last += 1
                    current[key] = last
                    if key[0] != "answer":
                        undelivered[key].append(last)
            if turn.get("delivered") and current[key] in undelivered[key]:
                undelivered[key].remove(current[key])
            yield step.id, place, current[key]


def _turns(step: StepEvidence) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Turns that say a sentence, with their places."""
    turns = step.json("transcript.json")
    for place, turn in enumerate(turns if isinstance(turns, list) else ()):
        if isinstance(turn, dict) and turn.get("purpose") != "stop":
            yield place, turn


def _key(turn: Mapping[str, Any]) -> _Key:
    purpose, text = str(turn.get("purpose")), str(turn.get("text"))
    late = purpose == "answer" and (number(turn.get("attempt")) or 1) > 1
    return purpose, text.removeprefix(WOKEN) if late else text
