"""Whether a contact in a session is the session's, or what the device does anyway.

``docs/report.md`` states the rule. It decides per session, over all hosts contacted in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from echoaudit.inference.tests import holm

ALPHA = 0.05
"""Chance of taking background for the session's, over all hosts of a session together."""
IDLE_FACTOR = 3.0
"""Idle time per session time from which absence tells: what happens once in a session's length on
average is missed for three such lengths with a chance of e^-3, 5 %."""
DIGITS = 6
"""Significant digits of p values: more would show the machine's arithmetic, not the evidence."""

Verdict = Literal["skill", "background", "uncertain"]


@dataclass(frozen=True)
class Counts:
    """Connections to one host in a session and while the device was idle; times in seconds."""

    flows: int
    seconds: float
    idle_flows: int
    idle_seconds: float
    named: bool = True
    """Whether anything names the host; an address may be another host's elsewhere."""


@dataclass(frozen=True)
class Judgement:
    """What is made of a contact; p values are None when idle has no such connection."""

    verdict: Verdict
    reason: str
    p: float | None = None
    p_holm: float | None = None


def judge(hosts: Sequence[Counts]) -> list[Judgement]:
    """A verdict on each host of one session; those that idle has, too, are one family of tests."""
    tested = [number for number, host in enumerate(hosts) if host.idle_flows]
    p_values = [more_than(hosts[number]) for number in tested]
    corrected = dict(zip(tested, zip(p_values, holm(p_values), strict=True), strict=True))
    return [_judged(host, corrected.get(number)) for number, host in enumerate(hosts)]


def more_than(host: Counts) -> float:
    """One-sided p of so many connections in a session, were their rate that of idle time.

    Exact conditional test of two Poisson rates (Przyborowski and Wilenski 1940): given the sum of
    both counts, one of them is binomial. Connections that come in bursts make p too small.
    1 when there is no time to compare.
    """
    from scipy.stats import binom

    if host.seconds <= 0 or host.idle_seconds <= 0:
        return 1.0
    part = host.seconds / (host.seconds + host.idle_seconds)
    return float(binom.sf(host.flows - 1, host.flows + host.idle_flows, part))


def _judged(host: Counts, tested: tuple[float, float] | None) -> Judgement:
    p, corrected = map(_rounded, tested) if tested else (None, None)
    verdict, reason = _verdict(host, corrected)
    return Judgement(verdict, reason, p, corrected)


def _verdict(host: Counts, p: float | None) -> tuple[Verdict, str]:
    if p is not None and p > ALPHA:
        return "background", "as in idle"
    if not host.named:
        return "uncertain", "no name"
    if p is not None:
        return "skill", "more than in idle"
    if host.seconds <= 0 or host.idle_seconds < IDLE_FACTOR * host.seconds:
        return "uncertain", "too little idle time"
    return "skill", "not in idle"


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
