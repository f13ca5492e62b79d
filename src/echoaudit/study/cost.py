"""What a plan costs in time: hours of speech, of listening and of crawling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from echoaudit.study.models import Config
from echoaudit.study.plan import Plan, Step

SPOKEN = 4.0
"""Seconds that a sentence lasts."""
REPLY = 5.0
"""Seconds that an answer lasts."""


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds."""

    sentence: float
    """A sentence with its answer and the pause after it."""
    visit: float
    """A page load with its auctions."""
    measured: bool = False
    """Whether a recording told."""


@dataclass(frozen=True)
class Cost:
    """Hours; each speaker and each browser counts, then what passes on the clock."""

    speech: float
    """Of all speakers together: sentences, idle time, streams."""
    crawl: float
    """Of all browsers together."""
    clock: float
    """From beginning to end, with as much at once as the configuration allows."""
    accounts: int
    sentences: int
    visits: int


def assumed_pace(config: Config) -> Pace:
    """A pace from the configuration: silence that ends a reply, pause, settling of pages."""
    talk, microphone = config.conversation, config.microphone
    return Pace(SPOKEN + REPLY + microphone.silence + talk.pause, 5.0 + config.browser.settle)


def cost(plan: Plan, config: Config, pace: Pace) -> Cost:
    """What the plan costs at a pace."""
    speech = crawl = clock = 0.0
    for wave in plan.waves:
        tracks = [sum(seconds(step, config, pace) for step in t.steps) for t in wave.tracks]
        total = sum(tracks)
        once = config.parallel.sessions if wave.kind == "sessions" else config.parallel.browsers
        clock += max(max(tracks, default=0.0), total / once)
        if wave.kind == "sessions":
            speech += total
        else:
            crawl += total
    steps = plan.steps
    return Cost(
        speech / 3600,
        crawl / 3600,
        clock / 3600,
        len({step.account for step in steps}),
        sum(step.sentences for step in steps),
        sum(step.kind == "visit" for step in steps),
    )


def seconds(step: Step, config: Config, pace: Pace) -> float:
    """How long a step takes by itself at a pace."""
    if step.kind == "idle":
        return config.conversation.idle
    if step.kind == "session":
        return step.sentences * pace.sentence + config.conversation.gap
    if step.kind == "stream":
        return step.seconds + step.sentences * pace.sentence
    return pace.visit


def measured_pace(
    steps: Iterable[tuple[str, str, float]], planned: dict[str, int], fallback: Pace
) -> Pace:
    """A pace from a recording.

    Args:
        steps: finished steps as id, kind and seconds.
        planned: sentences of each session that was recorded, by its id.
        fallback: for what was not recorded.
    """
    listed = list(steps)
    spoken = [(planned[i], s) for i, kind, s in listed if kind == "session" and planned.get(i)]
    visits = [took for _, kind, took in listed if kind == "visit"]
    sentences = sum(number for number, _ in spoken)
    return Pace(
        sum(s for _, s in spoken) / sentences if sentences else fallback.sentence,
        sum(visits) / len(visits) if visits else fallback.visit,
        measured=bool(sentences or visits),
    )
