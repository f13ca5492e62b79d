"""One claim over several studies: pooled effects, and how far the studies disagree.

Effects are pooled as random (``random_effects``). Claims about sets have no effect to pool; their p
values are combined by Fisher's method. A study counts once in a claim, and p values are corrected
for all claims that are pooled together, as they are within a study.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from scipy import stats

from echoaudit.inference import tests
from echoaudit.inference.random_effects import LEAST, Heterogeneity, RandomEffects, random_effects
from echoaudit.inference.rounding import rounded
from echoaudit.inference.sentence import CORRECTION, compared, p_value, ratio
from echoaudit.inference.sequential import e_process

if TYPE_CHECKING:
    from echoaudit.inference.conclusion import Conclusion, State
    from echoaudit.inference.tests import Direction

Correction = Literal["holm", "bh"]
Found = Sequence[tuple[str, "Conclusion"]]
"""Studies, by name, and what each concludes about one claim."""


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
    family: str
    """Of the claim in the studies; families that share a pooled claim are one."""
    exploratory: bool
    """Whether it is a question, or was stated after the run, in a study that is pooled."""
    alpha: float
    """The strictest of its family in any of the studies."""
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
    """Of an equivalence claim, that of two one-sided tests."""
    p_corrected: float | None
    """For the claims of its family that are pooled, too; it decides."""
    claims: int
    """Claims that it was corrected for, itself among them."""
    correction: Correction
    anytime_p: float | None
    """p that holds although studies were added one after the other and looked at each time
    (``sequential``): studies in the order given, each a block of its own accounts."""
    anytime_p_corrected: float | None
    """By Holm's method, which keeps what it holds; a claim without one counts with 1."""
    heterogeneity: Heterogeneity | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Together:
    """Studies of one claim before the correction of its family."""

    found: Found
    weights: Mapping[str, float]
    """Of the studies that are pooled, by name."""
    effects: RandomEffects | None
    p: float | None
    anytime_p: float | None

    @property
    def first(self) -> Conclusion:
        """The first study's conclusion, which states what the others do."""
        return self.found[0][1]

    @property
    def used(self) -> list[Conclusion]:
        """Conclusions that count: the pooled ones, or all when nothing could be pooled."""
        return [c for name, c in self.found if name in self.weights or not self.weights]

    @property
    def exploratory(self) -> bool:
        """Whether data that suggested the claim may be among those that are to confirm it."""
        return any(c.exploratory for c in self.used)

    @property
    def families(self) -> frozenset[str]:
        """Names of its family in the studies."""
        return frozenset(c.family for c in self.used)


def pool(studies: Mapping[str, Sequence[Conclusion]]) -> list[Pooled]:
    """Pool the claims that at least two studies make.

    Args:
        studies: the conclusions of each study, by a name that tells them apart, in the order in
            which the studies began.

    A claim is the same when outcome, measure, item, personas and direction are, and of equivalence
    the margin. A study counts once in it, whatever number of its claims it is: by a prediction
    rather than a question, else by the one stated first. Studies whose evidence is flawed
    (``Conclusion.flawed``) are listed, not pooled; those that only lack accounts to decide on their
    own are pooled, for leaving them out would prefer large effects. Exploratory claims are pooled,
    too, and marked: what suggested a claim cannot confirm it. Predictions and questions are
    corrected apart, each family for all of its claims that two studies make.
    """
    groups: dict[tuple[object, ...], list[tuple[str, Conclusion]]] = {}
    for study, conclusions in studies.items():
        for key, c in _once(conclusions).items():
            groups.setdefault(key, []).append((study, c))
    together = [_pool(found) for found in groups.values() if len(found) >= LEAST]
    decided = {n: one for members in _families(together) for n, one in _judge(together, members)}
    return [decided[number] for number in range(len(together))]


def _once(conclusions: Iterable[Conclusion]) -> dict[tuple[object, ...], Conclusion]:
    """One conclusion of a study for each claim: the same data may not count twice."""
    own: dict[tuple[object, ...], Conclusion] = {}
    for c in sorted(conclusions, key=lambda c: c.exploratory):
        margin = c.smallest_effect if c.direction == "equivalent" else None
        personas = (c.treated.persona, c.control.persona)
        own.setdefault((c.outcome, c.measure, c.item, *personas, c.direction, margin), c)
    return own


def _pool(found: Found) -> _Together:
    usable = [(study, c) for study, c in found if _left_out(c) is None]
    if len(usable) < LEAST:
        return _Together(found, {}, None, None, None)
    names = [study for study, _ in usable]
    if all(c.effect is not None for _, c in usable):
        estimates = np.array([math.log(c.effect.ratio) for _, c in usable if c.effect])
        variances = np.array([_variance(c) for _, c in usable])
        effects = random_effects(estimates, variances)
        weights = dict(zip(names, effects.weights, strict=True))
        p = _p(effects, found[0][1])
        return _Together(found, weights, effects, p, _anytime([c for _, c in usable]))
    p_values = [c.test.p for _, c in usable if c.test is not None]
    combined = float(stats.combine_pvalues(p_values, method="fisher").pvalue)
    return _Together(found, dict.fromkeys(names, 1 / len(names)), None, combined, None)


def _p(effects: RandomEffects, c: Conclusion) -> float:
    if c.direction == "equivalent":
        return effects.equivalence_p(math.log(c.smallest_effect))
    return effects.p(c.direction)


def _variance(c: Conclusion) -> float:
    assert c.effect is not None
    arms = 1 / len(c.treated.accounts) + 1 / len(c.control.accounts)
    return max(c.effect.account_sd**2 * arms, 1e-12)


def _left_out(c: Conclusion) -> str | None:
    if c.flawed:
        return c.reason
    return None if c.test is not None else "no test"


def _anytime(pooled: Sequence[Conclusion]) -> float | None:
    """The e-process over the studies' account scores; no such thing for equivalence."""
    direction = pooled[0].direction
    if direction not in ("higher", "lower", "different"):
        return None
    blocks = [
        (
            np.array([score.score for score in c.treated.scores]),
            np.array([score.score for score in c.control.scores]),
        )
        for c in pooled
    ]
    return e_process(blocks, cast("Direction", direction)).anytime_p


# --- families ----------------------------------------------------------------------------------


def _families(together: Sequence[_Together]) -> list[list[int]]:
    """Numbers of the claims that are corrected for together, each claim in one list.

    Studies may name families differently. Two families that have a pooled claim in common are one:
    a claim's correction then counts all that any of its studies corrected it with.
    """
    merged: list[tuple[bool, frozenset[str], list[int]]] = []
    for number, one in enumerate(together):
        names, members, apart = one.families, [number], []
        for exploratory, others, numbers in merged:
            if exploratory == one.exploratory and others & names:
                names, members = names | others, [*numbers, *members]
            else:
                apart.append((exploratory, others, numbers))
        merged = [*apart, (one.exploratory, names, members)]
    return [sorted(members) for _, _, members in merged]


def _judge(together: Sequence[_Together], members: Sequence[int]) -> list[tuple[int, Pooled]]:
    """The claims of one family, corrected, with their numbers."""
    family = [together[number] for number in members]
    used = [c for one in family for c in one.used]
    corrections = {c.test.correction for c in used if c.test is not None}
    correction: Correction = "bh" if corrections == {"bh"} else "holm"
    corrected = tests.corrected([1.0 if one.p is None else one.p for one in family], correction)
    anytime = tests.holm([1.0 if one.anytime_p is None else one.anytime_p for one in family])
    judged = _Family(
        " and ".join(sorted(frozenset().union(*(one.families for one in family)))),
        len(family),
        correction,
        min(c.alpha for c in used),
    )
    return [
        (number, _outcome(together[number], judged, p, at_any_time))
        for number, p, at_any_time in zip(members, corrected, anytime, strict=True)
    ]


@dataclass(frozen=True)
class _Family:
    name: str
    claims: int
    correction: Correction
    alpha: float


def _outcome(one: _Together, family: _Family, p_corrected: float, anytime_p: float) -> Pooled:
    first, effects = one.first, one.effects
    state: State = "insufficient"
    if one.p is not None:
        state = "supported" if p_corrected <= family.alpha else "not supported"
    finite = effects is not None and len(one.weights) > LEAST
    return rounded(
        Pooled(
            outcome=first.outcome,
            measure=first.measure,
            item=first.item,
            treated=first.treated.persona,
            control=first.control.persona,
            direction=first.direction,
            family=family.name,
            exploratory=one.exploratory,
            alpha=family.alpha,
            state=state,
            sentence=_sentence(state, one, family, p_corrected),
            studies=tuple(_study(name, c, one.weights.get(name)) for name, c in one.found),
            pooled=len(one.weights),
            ratio=_exp(effects.estimate) if effects else None,
            low=_exp(effects.low) if effects else None,
            high=_exp(effects.high) if effects else None,
            low_next=_exp(effects.low_next) if effects and finite else None,
            high_next=_exp(effects.high_next) if effects and finite else None,
            p=one.p,
            p_corrected=None if one.p is None else p_corrected,
            claims=family.claims,
            correction=family.correction,
            anytime_p=one.anytime_p,
            anytime_p_corrected=None if one.anytime_p is None else anytime_p,
            heterogeneity=effects.heterogeneity if effects else None,
        )
    )


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


def _sentence(state: State, one: _Together, family: _Family, p_corrected: float) -> str:
    c, effects, number = one.first, one.effects, len(one.weights)
    if one.p is None:
        return "There is not enough evidence: fewer than two studies could be pooled."
    p = p_value(one.p)
    if family.claims > 1:
        method = CORRECTION[family.correction]
        p += f", after {method} over {family.claims} claims {p_value(p_corrected)}"
    if effects is None:
        words = f"{c.measure} of {c.outcome} of {c.treated.persona} and {c.control.persona}"
        verb = "differ" if state == "supported" else "were not shown to differ"
        return f"Over {number} studies, {words} {verb} (Fisher's combined {p})."
    numbers = (
        f"95 % interval {ratio(_exp(effects.low))} to {ratio(_exp(effects.high))}; {p}, "
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
