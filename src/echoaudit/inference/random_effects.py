"""Effects of several studies pooled as random.

Studies differ in more than chance (other weeks, other sites, other bidders): the variance between
them is DerSimonian and Laird's (1986), the interval Hartung and Knapp's (2001) with the variance
never below the one without heterogeneity (Röver et al. 2015), for with two or three studies it can
come out far too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from echoaudit.inference.tests import Floats

LEAST = 2
"""Studies without which nothing is pooled."""


@dataclass(frozen=True)
class Heterogeneity:
    """How much studies differ beyond chance."""

    tau: float
    """Standard deviation of true effects between studies (log scale)."""
    i2: float
    """Share of the variance of effects that is due to differences between studies, 0 to 1."""
    q: float
    """Cochran's Q."""
    p: float
    """Of Q, were all studies of one true effect."""


@dataclass(frozen=True)
class RandomEffects:
    """A pooled effect on the scale of its estimates."""

    estimate: float
    error: float
    df: int
    low: float
    """95 % interval of the mean effect."""
    high: float
    low_next: float
    """95 % interval for the true effect of another such study."""
    high_next: float
    heterogeneity: Heterogeneity
    weights: tuple[float, ...]
    """Of the studies, summing to 1."""

    def p(self, direction: str) -> float:
        """p of no mean effect, by the t distribution; one-sided for ``higher`` and ``lower``."""
        t = self.estimate / self.error
        if direction == "different":
            return float(2 * stats.t.sf(abs(t), self.df))
        return float(stats.t.sf(t if direction == "higher" else -t, self.df))

    def equivalence_p(self, margin: float) -> float:
        """p of two one-sided t tests that the mean effect is within ``margin`` of none."""
        return float(stats.t.sf((margin - abs(self.estimate)) / self.error, self.df))


def random_effects(estimates: Floats, variances: Floats) -> RandomEffects:
    """Pool estimates with their variances (squared standard errors).

    Raises:
        ValueError: fewer than two studies, or a variance that is not positive.
    """
    k = len(estimates)
    if k < LEAST:
        raise ValueError("pooling needs two studies")
    if not (np.isfinite(estimates).all() and np.isfinite(variances).all() and variances.min() > 0):
        raise ValueError("pooling needs finite estimates and positive variances")
    spread = _heterogeneity(estimates, variances)
    weights = 1 / (variances + spread.tau**2)
    total = float(weights.sum())
    mean = float((weights * estimates).sum() / total)
    scale = float((weights * (estimates - mean) ** 2).sum() / (k - 1))
    error = math.sqrt(max(1.0, scale) / total)
    half = float(stats.t.ppf(0.975, k - 1)) * error
    # Higgins, Thompson and Spiegelhalter (2009); with two studies there are no degrees left.
    wide = math.sqrt(spread.tau**2 + error**2)
    reach = float(stats.t.ppf(0.975, k - 2)) * wide if k > LEAST else math.inf
    return RandomEffects(
        mean, error, k - 1, mean - half, mean + half, mean - reach, mean + reach, spread,
        tuple(float(w) for w in weights / total),
    )  # fmt: skip


def _heterogeneity(estimates: Floats, variances: Floats) -> Heterogeneity:
    weights = 1 / variances
    mean = (weights * estimates).sum() / weights.sum()
    q = float((weights * (estimates - mean) ** 2).sum())
    df = len(estimates) - 1
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    tau2 = max(0.0, (q - df) / scale)
    i2 = max(0.0, (q - df) / q) if q > 0 else 0.0
    return Heterogeneity(math.sqrt(tau2), i2, q, float(stats.chi2.sf(q, df)))
