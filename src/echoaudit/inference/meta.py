"""One claim over several studies: pooled effects, and how far the studies disagree.

Studies differ in more than chance (other weeks, other sites, other bidders), so effects are pooled
as random: their variance between studies is DerSimonian and Laird's (1986), the interval Hartung
and Knapp's (2001) with the variance never below the one without heterogeneity (Röver et al. 2015),
for with two or three studies it can come out far too narrow. Claims about sets have no effect to
pool; their p values are combined by Fisher's method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy import stats

from echoaudit.inference.rounding import rounded
from echoaudit.inference.sentence import compared, p_value, ratio
from echoaudit.inference.sequential import e_process

if TYPE_CHECKING:
    from echoaudit.inference.conclusion import Conclusion, State
    from echoaudit.inference.tests import Direction, Floats

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


# --- conclusions --------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyEffect:
    """One study's part in a pooled claim."""

    study: str
    state: State
    ratio: float | None
    low: float | None
    high: float | None
    weight: float | None
    """Share of the pooled effect; ``None`` when the study is not pooled."""
    left_out: str | None
    """Why it is not pooled."""


@dataclass(frozen=True)
class Pooled:
    """A claim that several studies make, and what they say together."""

    outcome: str
    measure: str
    item: str | None
    treated: str
    control: str
    direction: str
    alpha: float
    state: State
    sentence: str
    studies: tuple[StudyEffect, ...]
    pooled: int
    """Studies that were pooled."""
    ratio: float | None
    low: float | None
    high: float | None
    low_next: float | None
    """95 % interval for the true ratio of another such study; ``None`` below three studies."""
    high_next: float | None
    p: float | None
    anytime_p: float | None
    """p that holds although studies were added one after the other and looked at each time
    (``sequential``): studies in the order given, each a block of its own accounts."""
    heterogeneity: Heterogeneity | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def pool(studies: Mapping[str, Sequence[Conclusion]]) -> list[Pooled]:
    """Pool the claims that at least two studies make.

    Args:
        studies: the conclusions of each study, by a name that tells them apart.

    A claim is the same when outcome, measure, item, personas and direction are. Studies whose
    evidence is flawed (``Conclusion.flawed``) are listed, not pooled; those that only lack accounts
    to decide on their own are pooled, for leaving them out would prefer large effects. Exploratory
    claims are pooled, too: what one study asks, another may confirm.
    """
    groups: dict[tuple[object, ...], list[tuple[str, Conclusion]]] = {}
    for study, conclusions in studies.items():
        for c in conclusions:
            key = (c.outcome, c.measure, c.item, c.treated.persona, c.control.persona, c.direction)
            groups.setdefault(key, []).append((study, c))
    return [_pool(found) for found in groups.values() if len({name for name, _ in found}) >= LEAST]


def _pool(found: Sequence[tuple[str, Conclusion]]) -> Pooled:
    usable = [(study, c) for study, c in found if _left_out(c) is None]
    with_effect = [(study, c) for study, c in usable if c.effect is not None]
    if len(usable) < LEAST:
        return _outcome(found, {}, None, None)
    if len(with_effect) == len(usable):
        estimates = np.array([math.log(c.effect.ratio) for _, c in usable if c.effect])
        variances = np.array([_variance(c) for _, c in usable])
        effects = random_effects(estimates, variances)
        weights = dict(zip((study for study, _ in usable), effects.weights, strict=True))
        return _outcome(found, weights, effects, effects.p(_sided(found[0][1])))
    p_values = [c.test.p for _, c in usable if c.test is not None]
    p = float(stats.combine_pvalues(p_values, method="fisher").pvalue)
    equal = {study: 1 / len(usable) for study, _ in usable}
    return _outcome(found, equal, None, p)


def _sided(c: Conclusion) -> str:
    return "different" if c.direction == "equivalent" else c.direction


def _variance(c: Conclusion) -> float:
    assert c.effect is not None
    arms = 1 / len(c.treated.accounts) + 1 / len(c.control.accounts)
    return max(c.effect.account_sd**2 * arms, 1e-12)


def _left_out(c: Conclusion) -> str | None:
    if c.flawed:
        return c.reason
    return None if c.test is not None else "no test"


def _outcome(
    found: Sequence[tuple[str, Conclusion]],
    weights: Mapping[str, float],
    effects: RandomEffects | None,
    p: float | None,
) -> Pooled:
    first = found[0][1]
    equivalent = first.direction == "equivalent"
    if p is None:
        state: State = "insufficient"
    elif equivalent:
        state = "supported" if effects is not None and _within(effects, first) else "not supported"
    else:
        state = "supported" if p <= first.alpha else "not supported"
    finite = effects is not None and len(weights) > LEAST
    return rounded(
        Pooled(
            outcome=first.outcome,
            measure=first.measure,
            item=first.item,
            treated=first.treated.persona,
            control=first.control.persona,
            direction=first.direction,
            alpha=first.alpha,
            state=state,
            sentence=_sentence(state, first, effects, p, len(weights)),
            studies=tuple(_study(name, c, weights.get(name)) for name, c in found),
            pooled=len(weights),
            ratio=_exp(effects.estimate) if effects else None,
            low=_exp(effects.low) if effects else None,
            high=_exp(effects.high) if effects else None,
            low_next=_exp(effects.low_next) if effects and finite else None,
            high_next=_exp(effects.high_next) if effects and finite else None,
            p=p,
            anytime_p=_anytime(found, weights) if effects else None,
            heterogeneity=effects.heterogeneity if effects else None,
        )
    )


def _anytime(found: Sequence[tuple[str, Conclusion]], weights: Mapping[str, float]) -> float | None:
    """The e-process over the pooled studies' account scores; no such thing for equivalence."""
    direction = found[0][1].direction
    if direction not in ("higher", "lower", "different"):
        return None
    blocks = [
        (
            np.array([score.score for score in c.treated.scores]),
            np.array([score.score for score in c.control.scores]),
        )
        for study, c in found
        if study in weights
    ]
    return e_process(blocks, cast("Direction", direction)).anytime_p


def _within(effects: RandomEffects, c: Conclusion) -> bool:
    """Whether the 90 % interval lies inside the margin: two one-sided tests at 5 %."""
    half = float(stats.t.ppf(1 - c.alpha, effects.df)) * effects.error
    return abs(effects.estimate) + half <= math.log(c.smallest_effect)


def _study(name: str, c: Conclusion, weight: float | None) -> StudyEffect:
    e = c.effect
    return StudyEffect(
        name,
        c.state,
        e.ratio if e else None,
        e.low if e else None,
        e.high if e else None,
        weight,
        _left_out(c),
    )


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _sentence(
    state: State, c: Conclusion, effects: RandomEffects | None, p: float | None, number: int
) -> str:
    if p is None:
        return "There is not enough evidence: fewer than two studies could be pooled."
    if effects is None:
        words = f"{c.measure} of {c.outcome} of {c.treated.persona} and {c.control.persona}"
        verb = "differ" if state == "supported" else "were not shown to differ"
        return f"Over {number} studies, {words} {verb} (Fisher's combined {p_value(p)})."
    numbers = (
        f"95 % interval {ratio(_exp(effects.low))} to {ratio(_exp(effects.high))}; {p_value(p)}, "
        f"random effects; {100 * effects.heterogeneity.i2:.0f} % of the variance is between studies"
    )
    equivalent = c.direction == "equivalent"
    words = compared(
        (c.outcome, c.measure),
        (c.treated.persona, c.control.persona),
        _exp(effects.estimate),
        c.smallest_effect if equivalent else None,
    )
    lead = ""
    if state != "supported":
        lead = (
            "it was not shown that they are alike: "
            if equivalent
            else "no such difference was shown: "
        )
    return f"Over {number} studies, {lead}{words} ({numbers})."
