"""How an effect changed from one study to another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from echoaudit.inference.conclusion import Effect


@dataclass(frozen=True)
class EffectChange:
    """The later effect over the earlier one, as a ratio of ratios."""

    ratio: float
    low: float
    """95 % interval."""
    high: float
    p: float
    """Two-sided, of no change."""
    degrees: float


def effect_change(before: Effect, after: Effect) -> EffectChange:
    """Compare two effects measured on different accounts.

    The difference of the log ratios, whose variance is the sum of both variances; degrees of
    freedom by Welch and Satterthwaite. Errors are read off the effects' 95 % intervals.
    """
    errors = [_error(effect) for effect in (before, after)]
    variance = sum(error**2 for error in errors)
    difference = math.log(after.ratio / before.ratio)
    if variance == 0:
        same = difference == 0
        ratio = math.exp(difference)
        return EffectChange(ratio, ratio, ratio, float(same), before.degrees + after.degrees)
    parts = (error**4 / e.degrees for error, e in zip(errors, (before, after), strict=True))
    degrees = variance**2 / sum(parts)
    half = float(stats.t.ppf(0.975, degrees)) * math.sqrt(variance)
    return EffectChange(
        ratio=_exp(difference),
        low=_exp(difference - half),
        high=_exp(difference + half),
        p=float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), degrees)),
        degrees=degrees,
    )


def _error(effect: Effect) -> float:
    width = math.log(effect.high) - math.log(effect.low)
    return width / 2 / float(stats.t.ppf(0.975, effect.degrees))


def _exp(value: float) -> float:
    return math.exp(max(-700.0, min(700.0, value)))
