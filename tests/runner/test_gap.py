"""The quiet gap between two sessions of an account."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from echoaudit.runner.runner import Rooms, Runner
from echoaudit.study.models import Config, Conversation
from echoaudit.study.plan import Account, Plan, Step, Track

GAP, LONG = 0.3, 60.0
WHO = Account("fashion", 1)
STEPS = tuple(Step(f"fashion-1/sessions/0{n}-x", "session", WHO) for n in range(3))


def runner(finished: set[str], gap: float) -> Runner:
    config = Config(config="test", conversation=Conversation(gap=gap))
    recording: Any = SimpleNamespace(finished=finished, events=tuple)
    progress: Any = SimpleNamespace(note=print)
    return Runner(config, Plan(()), recording, Rooms(Path("p"), Path("s")), progress)


def test_sessions_are_apart_and_nothing_waits_before_the_first() -> None:
    began = time.monotonic()
    assert next(runner(set(), LONG)._apart(Track(WHO, STEPS))) == STEPS[0]
    assert time.monotonic() - began < LONG
    times = [time.monotonic() for _ in runner({STEPS[0].id}, GAP)._apart(Track(WHO, STEPS))]
    assert len(times) == 2
    assert times[1] - times[0] >= GAP


def test_a_run_that_is_stopped_does_not_wait() -> None:
    stopped = runner(set(), 60.0)
    steps = stopped._apart(Track(WHO, STEPS))
    assert next(steps) == STEPS[0]
    stopped.stop()
    assert list(steps) == []
