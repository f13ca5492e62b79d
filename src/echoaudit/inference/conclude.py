"""Claims and facts to conclusions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from echoaudit.inference import diagnostics, tests
from echoaudit.inference.arms import accounts_of, describe, opted_out, treatment, was_treated
from echoaudit.inference.conclusion import Arm, Conclusion, Diagnostics, Effect, State, Test
from echoaudit.inference.scores import Scores, score_accounts
from echoaudit.inference.sentence import ratio, verdict

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.inference.tests import Floats
    from echoaudit.study.models import Claim

USEFUL = 2.0
"""A test that would miss even this ratio cannot say "not supported", only "insufficient"."""
COMPLETE_FLOOR = 0.5
"""Below this share of complete visits an arm has not been observed."""
DIGITS = 6
"""Significant digits kept: more would show the machine's arithmetic, not the evidence."""


def conclude(claim: Claim, bids: pd.DataFrame, delivery: pd.DataFrame) -> Conclusion:
    """Judge one claim on its own. See :func:`conclude_all`."""
    return conclude_all([claim], {"bids": bids, "delivery": delivery})[0]


def conclude_all(claims: Sequence[Claim], tables: Mapping[str, pd.DataFrame]) -> list[Conclusion]:
    """Judge a family of claims, with Holm's correction over all of them.

    ``tables["bids"]`` is the outcome of that name. ``tables["delivery"]`` has one row per account:
    ``account, persona`` and the counts ``arms.COUNTS``. A claim without a test counts in the family
    with p = 1.
    """
    examined = [_examine(c, tables["bids"], tables["delivery"], len(claims)) for c in claims]
    corrected = tests.holm([e.test.p if e.test else 1.0 for e in examined])
    return [_rounded(_decide(e, p)) for e, p in zip(examined, corrected, strict=True)]


@dataclass(frozen=True)
class _Examined:
    """A claim's evidence, before the family is corrected for."""

    claim: Claim
    treated: Arm
    control: Arm
    scores: Scores
    effect: Effect | None
    test: Test | None
    diagnostics: Diagnostics


def _examine(claim: Claim, bids: pd.DataFrame, delivery: pd.DataFrame, family: int) -> _Examined:
    personas = (claim.treated, claim.control)
    bids = bids[bids["persona"].isin(personas)]
    accounts = [a for persona in personas for a in accounts_of(persona, bids, delivery)]
    scores = score_accounts(bids, accounts, claim.measure)
    treated, control = (describe(p, bids, delivery, scores) for p in personas)
    effect = test = None
    if len(treated.scores) >= 1 and len(control.scores) >= 2:
        effect, test = _compare(_values(treated), _values(control), claim, family)
    return _Examined(
        claim, treated, control, scores, effect, test, _diagnose(treated, control, bids, claim)
    )


def _values(arm: Arm) -> Floats:
    return np.array([score.score for score in arm.scores])


def _before(arm: Arm) -> Floats:
    return np.array([np.nan if s.before is None else s.before for s in arm.scores])


def _compare(treated: Floats, control: Floats, claim: Claim, family: int) -> tuple[Effect, Test]:
    """Effect and test; permutation decides where it can, the t test where it cannot."""
    t = tests.t_test(treated, control, claim.direction)
    permutation = tests.permutation_test(treated, control, claim.direction)
    # The most favourable claim of the family has to pass alpha / family, so a test that cannot
    # reach it can't support anything. This depends on the numbers of accounts only, not on data.
    decides = len(treated) > 1 and permutation.smallest_p <= claim.alpha / family
    low, high = t.interval()
    test = Test(
        method="permutation" if decides else t.name,
        p=permutation.p if decides else t.p,
        p_corrected=1.0,
        smallest_p=permutation.smallest_p,
        labelings=permutation.labelings,
        exact=permutation.exact,
        t_p=t.p,
        family=family,
    )
    sd = t.error / math.sqrt(1 / len(treated) + 1 / len(control))
    effect = Effect(
        ratio=math.exp(t.difference),
        low=math.exp(low),
        high=_exp(high),
        account_sd=sd,
        degrees=t.df,
        detectable=_detectable(sd, len(treated), len(control), claim, family),
    )
    return effect, test


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _one_sided(claim: Claim, family: int) -> float:
    return claim.alpha / family / (2 if claim.direction == "different" else 1)


def _detectable(sd: float, treated: int, control: int, claim: Claim, family: int) -> float | None:
    found = tests.detectable(sd, treated, control, _one_sided(claim, family))
    if found is None or found > math.log(1000):
        return None
    return math.exp(-found if claim.direction == "lower" else found)


def _diagnose(treated: Arm, control: Arm, bids: pd.DataFrame, claim: Claim) -> Diagnostics:
    ours, theirs = _values(treated), _values(control)
    baseline_ratio = baseline_p = None
    if len(ours) and len(theirs):
        baseline_ratio, baseline_p = diagnostics.baseline(_before(treated), _before(control))
    return Diagnostics(
        leave_one_out=diagnostics.leave_one_out(ours, theirs),
        baseline_ratio=baseline_ratio,
        baseline_p=baseline_p,
        splits=diagnostics.split_check(
            theirs, bids, list(control.accounts), claim.direction, claim.alpha
        ),
    )


# --- the decision -------------------------------------------------------------------------------


def _decide(examined: _Examined, p_corrected: float) -> Conclusion:
    claim = examined.claim
    test = replace(examined.test, p_corrected=p_corrected) if examined.test else None
    reason, needed = _lacking(examined, test) or (None, None)
    state: State
    if reason is not None:
        state = "insufficient"
    else:
        assert test is not None
        state = "supported" if test.p_corrected <= claim.alpha else "not supported"
    sentence = verdict(
        state,
        reason,
        claim,
        (len(examined.treated.accounts), len(examined.control.accounts)),
        (examined.effect, test) if examined.effect and test else None,
    )
    return Conclusion(
        claim=claim.claim,
        outcome=claim.outcome,
        measure=claim.measure,
        direction=claim.direction,
        alpha=claim.alpha,
        smallest_effect=claim.smallest_effect,
        state=state,
        sentence=sentence,
        reason=reason,
        needed=needed,
        treated=examined.treated,
        control=examined.control,
        rounds_before=examined.scores.rounds_before,
        rounds_after=examined.scores.rounds_after,
        effect=examined.effect,
        test=test,
        diagnostics=examined.diagnostics,
    )


def _lacking(examined: _Examined, test: Test | None) -> tuple[str, str] | None:
    """Why the evidence cannot carry a verdict and what would mend it; ``None`` when it can."""
    checks = (_not_opted_out, _untreated, _unobserved, _unreplicated, _controls_differ)
    for check in checks:
        if found := check(examined):
            return found
    assert test is not None
    return _powerless(examined, test)


def _not_opted_out(examined: _Examined) -> tuple[str, str] | None:
    for arm in (examined.treated, examined.control):
        if not opted_out(arm):
            return (
                f"treatment not delivered: only {arm.opt_outs_complete} of {arm.opt_outs_planned} "
                f"{arm.persona} accounts opted out",
                "opt-outs that the platform's page confirms (the same command resumes them)",
            )
    return None


def _untreated(examined: _Examined) -> tuple[str, str] | None:
    arm = examined.treated
    if was_treated(arm):
        return None
    found = treatment(arm)
    if found is None:
        return (
            f"nothing was done to {arm.persona}: nothing was said to its speakers, and no visit "
            "to a topic was planned",
            "sessions with the persona's skills, or visits to its topic",
        )
    kind, planned, delivered = found
    if kind == "topic visits":
        return (
            f"treatment not delivered: only {delivered} of {planned} visits of {arm.persona} to "
            "its topic are complete",
            "the missing visits (the same command resumes them), or sites that load",
        )
    total = len(arm.accounts) + len(arm.unscored)
    never = (
        f"the speakers of {len(arm.untreated)} of {total} {arm.persona} accounts never answered"
        if delivered == 0
        else f"only {delivered} of {planned} sentences were answered by {arm.persona}'s speakers"
    )
    return (
        f"treatment not delivered: {never}",
        "loudspeaker, microphone and Echo that hear each other (echoaudit doctor), then a new run",
    )


def _unobserved(examined: _Examined) -> tuple[str, str] | None:
    for arm in (examined.treated, examined.control):
        if not arm.scores:
            return (
                f"no account of {arm.persona} has bids that can be compared "
                f"({arm.bids} bids in {arm.visits_complete} complete visits)",
                "sites whose auctions answer, visited by both personas",
            )
        if arm.visits_complete < COMPLETE_FLOOR * arm.visits_planned:
            return (
                f"only {arm.visits_complete} of {arm.visits_planned} visits of {arm.persona} "
                "are complete",
                "the missing visits (the same command resumes them)",
            )
    return None


def _unreplicated(examined: _Examined) -> tuple[str, str] | None:
    treated, control = len(examined.treated.scores), len(examined.control.scores)
    if control >= 3 or (treated >= 2 and control >= 2):
        return None
    return (
        f"unreplicated: {treated} account{'s' * (treated != 1)} of {examined.treated.persona} "
        f"and {control} of {examined.control.persona}, so a difference between accounts cannot be "
        "told from a difference between personas",
        "at least 2 accounts with the persona and 4 without; 3 and 6 are the usual plan",
    )


def _controls_differ(examined: _Examined) -> tuple[str, str] | None:
    check = examined.diagnostics.splits
    if check is None or check.passed:
        return None
    return (
        f"controls differ among themselves: {check.rejected} of {check.splits} divisions of the "
        "controls show a difference where there is none",
        "controls that were made and treated alike",
    )


def _powerless(examined: _Examined, test: Test) -> tuple[str, str] | None:
    effect, claim = examined.effect, examined.claim
    assert effect is not None
    if test.p_corrected <= claim.alpha:
        return None
    found = effect.detectable
    if found is not None and max(found, 1 / found) <= USEFUL:
        return None
    needed = tests.accounts_needed(
        math.log(USEFUL), effect.account_sd, _one_sided(claim, test.family)
    )
    return (
        f"accounts differ so much from each other that a ratio of {ratio(USEFUL)} would have been "
        f"missed more than once in five times",
        f"about {needed} accounts with the persona and {2 * needed} without"
        if needed
        else "more than 50 accounts with the persona, or less noise between accounts",
    )


def _rounded(value: Any) -> Any:
    """The same value with every float cut to ``DIGITS`` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, tuple):
        return tuple(_rounded(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rounded(getattr(value, f.name)) for f in fields(value)})
    return value
