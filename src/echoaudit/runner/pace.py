"""How long a run takes: foreseen from its plan, and measured against what had to be said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from echoaudit.study.cost import assumed_pace
from echoaudit.study.cost import seconds as alone

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence
    from echoaudit.study.models import Config
    from echoaudit.study.plan import Plan, Step

TALK = ("session", "idle", "stream")


def foreseen(plan: Plan, config: Config) -> dict[str, float]:
    """Seconds that each step adds to a run: its own length, over how many go on beside it."""
    found: dict[str, float] = {}
    pace = assumed_pace(config)
    for wave in plan.waves:
        parallel = config.parallel
        bound = parallel.sessions if wave.kind == "sessions" else parallel.browsers
        width = min(bound, len(wave.tracks))
        found |= {step.id: alone(step, config, pace) / width for step in wave.steps}
    return found


class Estimate:
    """Time left, from what is foreseen and how fast talking and browsing truly went."""

    def __init__(self, steps: Iterable[Step], seconds: dict[str, float], now: float) -> None:
        """``steps`` are those to do; ``seconds`` what each is foreseen to add."""
        self._left = {step.id: (step.kind in TALK, seconds[step.id]) for step in steps}
        self._spent: dict[bool, float] = defaultdict(float)
        self._done: dict[bool, float] = defaultdict(float)
        self._last = now

    def finished(self, step: str, now: float) -> None:
        """A step has ended."""
        talk, seconds = self._left.pop(step)
        self._spent[talk] += now - self._last
        self._done[talk] += seconds
        self._last = now

    def seconds(self, now: float) -> float:
        """Seconds left, counted from ``now``; of a kind of which none is done, as foreseen."""
        left = sum(seconds * self._pace(talk) for talk, seconds in self._left.values())
        return max(0.0, left - (now - self._last))

    def _pace(self, talk: bool) -> float:
        return self._spent[talk] / self._done[talk] if self._done[talk] else 1.0


@dataclass(frozen=True)
class Pace:
    """How long the accounts talked, all together and the longest one by itself; in seconds."""

    account: str
    """Whose own time is the longest."""
    own: float
    """That account's own time: what it said, heard and waited for by rule."""
    least: float
    """No less does the talk of all take, so many accounts at a time (`in_turns`)."""
    talking: float
    """Time in which any account talked."""
    whole: float
    """Time in which the run did anything."""

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**asdict(self), "ratio": self.talking / self.least}


def measure(recording: Recording) -> Pace | None:
    """The pace of what a recording has so far; None when nobody has talked.

    An account's own time is what its sessions would take if nobody else were there and machines
    thought in no time: each sentence as played, each reply as recorded with the silence that ends
    it, the pause before the next sentence, the gap between sessions, idle sessions and streams at
    their length. Time in which the run was stopped counts nowhere.
    """
    own: dict[str, float] = defaultdict(float)
    for step in recording.steps():
        if step.kind in TALK:
            own[step.account] += _own(step, recording.info.get("config"))
    if not any(own.values()):
        return None
    longest = max(sorted(own), key=lambda account: own[account])
    spans = _spans(recording)
    at_once = _number(recording.info.get("config"), "parallel", "sessions") or len(own)
    return Pace(
        longest,
        own[longest],
        in_turns(own.values(), int(at_once)),
        _covered((first, last) for talk, first, last in spans if talk),
        _covered((first, last) for _, first, last in spans),
    )


def in_turns(own: Iterable[float], at_once: int) -> float:
    """Seconds that accounts need at least, so many at a time and each without a break.

    The greatest of the usual lower bounds of schedules on equal machines: everybody's time over
    the conversations at once; and, for each k, what k + 1 of the k * at_once + 1 longest accounts
    take one after another, for so many must share a place (k = 0: the longest account's own).
    """
    times = sorted(own, reverse=True)
    shared = (
        sum(times[k * at_once - k : k * at_once + 1]) for k in range(-(-len(times) // at_once))
    )
    return max(sum(times) / at_once, *shared)


def _own(step: StepEvidence, config: Any) -> float:
    """Seconds; what an imported or damaged recording does not say counts nothing."""
    if step.kind != "session" or not step.has("transcript.json"):
        about = step.json("session.json") if step.has("session.json") else None
        return max(0.0, _number(about, "ended") - _number(about, "started"))
    found = step.json("transcript.json")
    turns = found if isinstance(found, list) else []
    sound = sum(_number(turn, part, "seconds") for turn in turns for part in ("said", "heard"))
    paused = sum(isinstance(turn, dict) and turn.get("purpose") != "answer" for turn in turns)
    pause, gap = (_number(config, "conversation", name) for name in ("pause", "gap"))
    return float(sound + paused * pause + gap)


def _number(value: Any, *names: str) -> float:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else 0.0


def _spans(recording: Recording) -> list[tuple[bool, float, float]]:
    """First and last second of each attempt at a step, and whether it is talk.

    An attempt that was killed ends with the last record that was written before.
    """
    begun: dict[str, tuple[bool, float]] = {}
    found = []
    last = 0.0
    for event in recording.events():
        step = str(event.data.get("step"))
        if event.event == "step-started":
            begun[step] = (event.data["kind"] in TALK, event.time)
        elif event.event in ("step-finished", "step-interrupted"):
            talk, first = begun.pop(step)
            found.append((talk, first, event.time))
        elif event.event == "resumed":
            found += [(talk, first, last) for talk, first in begun.values()]
            begun = dict.fromkeys(begun, (False, event.time))
        last = event.time
    return found


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of what spans cover together."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
