"""Two-sample tests on account scores: label permutation, and t tests for small samples.

Scores are on the log scale; every function takes the treated accounts' and the controls' scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

Floats = NDArray[np.float64]
Direction = Literal["higher", "lower", "different"]

EXACT_LABELINGS = 20_000
"""Up to this many ways to label the accounts, all of them are tried."""
DRAWS = 9_999
"""Random labelings tried when there are more."""
SEED = 20_230
"""Of the random labelings: the same recording always gives the same p."""
UNEQUAL = 0.01
"""The variances of the arms count as unequal when an F test gives a smaller p."""
TOLERANCE = 1e-9
"""Statistics closer than this are ties: rounding must not decide."""
FLAT = TOLERANCE**2
"""A variance of log scores below this is none."""


@dataclass(frozen=True)
class Permutation:
    """Result of a label permutation test."""

    p: float
    labelings: int
    exact: bool
    smallest_p: float
    """The smallest p that this number of accounts can give."""


def smallest_p(treated: int, controls: int, direction: Direction) -> float:
    """The smallest p that a permutation test of these numbers of accounts can give."""
    labelings = math.comb(treated + controls, treated)
    least = 1 / labelings if labelings <= EXACT_LABELINGS else 1 / (DRAWS + 1)
    return min(1.0, least * (2 if direction == "different" else 1))


def permutation_test(treated: Floats, controls: Floats, direction: Direction) -> Permutation:
    """Test by relabelling accounts, with the studentised (Welch) difference of means.

    All labelings when there are at most ``EXACT_LABELINGS``, else ``DRAWS`` random ones with
    p = (1 + b) / (1 + R). The two-sided p is twice the smaller one-sided p. Studentising keeps
    the test valid when the arms differ in spread only (Janssen 1997).
    """
    scores = np.concatenate([treated, controls])
    n, k = len(scores), len(treated)
    p = permutation_p(scores[None, :], k, direction)[0]
    exact = math.comb(n, k) <= EXACT_LABELINGS
    total = math.comb(n, k) if exact else DRAWS
    return Permutation(float(p), total, exact, smallest_p(k, n - k, direction))


def permutation_p(scores: Floats, k: int, direction: Direction) -> Floats:
    """p of :func:`permutation_test` for many outcomes of the same accounts at once.

    ``scores`` has one outcome a row and one account a column, the ``k`` treated ones first. The
    labelings of all outcomes are one matrix product.
    """
    n = scores.shape[1]
    own = _mask(np.arange(k)[None, :], n)
    labels = labelings(n, k)
    extra = 0 if math.comb(n, k) <= EXACT_LABELINGS else 1
    observed = _studentised(scores, own)
    statistics = _studentised(scores, labels)
    margin = np.where(np.isfinite(observed), TOLERANCE * np.maximum(1.0, np.abs(observed)), 0.0)
    high = (statistics >= observed - margin).sum(axis=1) + extra
    low = (statistics <= observed + margin).sum(axis=1) + extra
    counts = {"higher": high, "lower": low, "different": 2 * np.minimum(high, low)}
    return np.asarray(np.minimum(1.0, counts[direction] / (len(labels) + extra)))


@lru_cache(maxsize=64)
def labelings(n: int, k: int) -> Floats:
    """Ways to call ``k`` of ``n`` accounts treated, one a row of zeros and ones.

    All of them when there are at most ``EXACT_LABELINGS``, else ``DRAWS`` random ones.
    """
    if math.comb(n, k) <= EXACT_LABELINGS:
        chosen = np.array(list(combinations(range(n), k)), dtype=np.intp)
    else:
        keys = np.random.default_rng(SEED).random((DRAWS, n))
        chosen = np.argpartition(keys, k - 1, axis=1)[:, :k]
    labels = _mask(chosen, n)
    labels.flags.writeable = False
    return labels


def _mask(chosen: NDArray[np.intp], n: int) -> Floats:
    mask = np.zeros((len(chosen), n))
    np.put_along_axis(mask, chosen, 1.0, axis=1)
    return mask


def _studentised(scores: Floats, treated: Floats) -> Floats:
    """Welch's t of every outcome (row of ``scores``) under every labeling (row of ``treated``).

    The pooled t when an arm has one account.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    k = float(treated[0].sum())
    m = scores.shape[1] - k
    sums, squares = centred @ treated.T, centred**2 @ treated.T
    mean_t, mean_c = sums / k, (centred.sum(axis=1, keepdims=True) - sums) / m
    spread_t = np.maximum(squares - k * mean_t**2, 0)
    spread_c = np.maximum((centred**2).sum(axis=1, keepdims=True) - squares - m * mean_c**2, 0)
    if k > 1 and m > 1:
        error = np.sqrt(spread_t / (k - 1) / k + spread_c / (m - 1) / m)
    else:
        error = np.sqrt((spread_t + spread_c) / (k + m - 2) * (1 / k + 1 / m))
    difference = mean_t - mean_c
    scale = np.maximum(np.abs(centred).max(axis=1, keepdims=True), 1e-12)
    difference = np.where(np.abs(difference) < TOLERANCE * scale, 0.0, difference)
    # Without any spread inside the arms every difference is infinitely many errors wide.
    flat = error < 1e-7 * scale
    limit = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.where(flat, limit, difference / np.where(flat, 1.0, error))


@dataclass(frozen=True)
class TTest:
    """A t test with the interval that goes with it."""

    name: Literal["pooled", "welch", "crawford-howell"]
    difference: float
    error: float
    df: float
    p: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval of the difference."""
        half = float(stats.t.ppf((1 + confidence) / 2, self.df)) * self.error
        return self.difference - half, self.difference + half


def t_test(treated: Floats, controls: Floats, direction: Direction) -> TTest:
    """Compare the arms' means by a t test.

    Pooled variance; Welch's when both arms have three accounts and their variances look unequal.
    One account against a sample is Crawford and Howell's (1998) test of a single case,
    t = (x - mean) / (s * sqrt(1 + 1/m)) with m - 1 degrees of freedom, which the pooled formula
    becomes. Raises ``ValueError`` when there are not enough accounts for any variance.
    """
    k, m = len(treated), len(controls)
    if k + m < 3 or not k or not m:
        raise ValueError("a t test needs three accounts, and one in each arm")
    found = t_tests(np.concatenate([treated, controls])[None, :], k, direction)
    single: Literal["pooled", "crawford-howell"] = "crawford-howell" if 1 in (k, m) else "pooled"
    return TTest(
        "welch" if found.welch[0] else single,
        float(found.difference[0]),
        float(found.error[0]),
        float(found.df[0]),
        float(found.p[0]),
    )


@dataclass(frozen=True)
class TTests:
    """:class:`TTest` of many outcomes, one an element."""

    welch: NDArray[np.bool_]
    difference: Floats
    error: Floats
    df: Floats
    p: Floats


def t_tests(scores: Floats, k: int, direction: Direction) -> TTests:
    """:func:`t_test` for many outcomes of the same accounts at once.

    ``scores`` has one outcome a row and one account a column, the ``k`` treated ones first; each
    arm has an account, and both together three.
    """
    m = scores.shape[1] - k
    spread = _spread(scores[:, :k]), _spread(scores[:, k:])
    difference = scores[:, :k].mean(axis=1) - scores[:, k:].mean(axis=1)
    variance = (spread[0] + spread[1]) / (k + m - 2) * (1 / k + 1 / m)
    df = np.full(len(scores), float(k + m - 2))
    welch = _look_unequal(spread, k, m)
    if welch.any():
        parts = spread[0] / (k - 1) / k, spread[1] / (m - 1) / m
        whole = parts[0] + parts[1]
        own = whole**2 / np.maximum(parts[0] ** 2 / (k - 1) + parts[1] ** 2 / (m - 1), FLAT**2)
        variance, df = np.where(welch, whole, variance), np.where(welch, own, df)
    flat = variance < FLAT
    certain = np.where(np.abs(difference) > TOLERANCE, np.copysign(np.inf, difference), 0.0)
    t = np.where(flat, certain, difference / np.sqrt(np.where(flat, 1.0, variance)))
    if direction == "different":
        p = 2 * stats.t.sf(np.abs(t), df)
    else:
        p = stats.t.sf(t if direction == "higher" else -t, df)
    return TTests(welch, difference, np.sqrt(variance), df, np.asarray(p))


def _look_unequal(spread: tuple[Floats, Floats], k: int, m: int) -> NDArray[np.bool_]:
    """Whether a two-sided F test of each row finds the arms' variances different."""
    if k < 3 or m < 3:
        return np.zeros(len(spread[0]), dtype=bool)
    first, second = spread[0] / (k - 1), spread[1] / (m - 1)
    usable = (first >= FLAT) & (second >= FLAT)
    ratio = np.where(usable, first / np.where(usable, second, 1.0), 1.0)
    cumulative = stats.f.cdf(ratio, k - 1, m - 1)
    return np.asarray(usable & (2 * np.minimum(cumulative, 1 - cumulative) < UNEQUAL))


def _spread(scores: Floats) -> Floats:
    """Squared deviations from the mean, per row."""
    return np.asarray(((scores - scores.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))


def equivalence_p(found: TTest, margin: float) -> float:
    """p of two one-sided t tests (Schuirmann 1987) that a difference is within ``margin`` of 0.

    The larger of both, so that it is small only when the difference is neither above nor below. 1
    without any spread: then nothing says how far the truth may be from what was seen.
    """
    if found.error**2 < FLAT:
        return 1.0
    low = stats.t.sf((found.difference + margin) / found.error, found.df)
    high = stats.t.cdf((found.difference - margin) / found.error, found.df)
    return float(max(low, high))


def pooled_t_of(scores: Floats, labels: Floats, direction: Direction) -> tuple[Floats, Floats]:
    """Difference of means and p of the pooled t test for every labeling of the same scores."""
    centred = scores - scores.mean()
    k = labels.sum(axis=1)
    m = len(scores) - k
    sums = labels @ centred
    difference = sums / k + sums / m
    spread = np.maximum((centred**2).sum() - sums**2 / k - sums**2 / m, FLAT)
    df = len(scores) - 2
    t = difference / np.sqrt(spread / df * (1 / k + 1 / m))
    if direction == "different":
        return difference, np.asarray(2 * stats.t.sf(np.abs(t), df))
    return difference, np.asarray(stats.t.sf(t if direction == "higher" else -t, df))


def power(difference: float, sd: float, treated: int, controls: int, alpha: float) -> float:
    """Power of the one-sided pooled t test for a true difference, with account spread ``sd``."""
    df = treated + controls - 2
    if df < 1:
        return 0.0
    if sd <= 0:
        return 1.0 if difference > 0 else alpha
    shift = difference / (sd * math.sqrt(1 / treated + 1 / controls))
    return float(stats.nct.sf(stats.t.isf(alpha, df), df, shift))


def detectable(
    sd: float, treated: int, controls: int, alpha: float, wanted: float = 0.8
) -> float | None:
    """The true difference that would be found with probability ``wanted``.

    ``None`` when no difference of practical size would be.
    """
    if sd <= 0:
        return 0.0
    limit = 50 * sd
    if power(limit, sd, treated, controls, alpha) < wanted:
        return None
    found = brentq(lambda d: power(d, sd, treated, controls, alpha) - wanted, 0, limit)
    return float(found)


def equivalence_power(margin: float, sd: float, treated: int, controls: int, alpha: float) -> float:
    """Least power of :func:`equivalence_p` when there is no difference at all."""
    return max(0.0, 2 * power(margin, sd, treated, controls, alpha) - 1)


def smallest_margin(
    sd: float, treated: int, controls: int, alpha: float, wanted: float = 0.8
) -> float | None:
    """The margin within which no difference would be shown with probability ``wanted``."""
    return detectable(sd, treated, controls, alpha, (1 + wanted) / 2)


def accounts_needed(difference: float, sd: float, alpha: float, wanted: float = 0.8) -> int | None:
    """Treated accounts, with twice as many controls, that find a difference; ``None`` over 50."""
    for treated in range(2, 51):
        if power(difference, sd, treated, 2 * treated, alpha) >= wanted:
            return treated
    return None


def replicated(treated: int, alpha: float, direction: Direction) -> int | None:
    """Controls with which permuting ``treated`` accounts' labels can give p at most ``alpha``."""
    found = (m for m in range(1, 51) if smallest_p(treated, m, direction) <= alpha)
    return next(found, None)


def corrected(p_values: list[float], correction: Literal["holm", "bh"]) -> list[float]:
    """The p values of one family, corrected, in the order given."""
    if correction == "holm" or not p_values:
        return holm(p_values)
    return [float(q) for q in stats.false_discovery_control(p_values)]


def holm(p_values: list[float]) -> list[float]:
    """Holm's (1979) step-down correction of a family of p values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [1.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = running
    return corrected
