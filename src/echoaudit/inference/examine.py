"""One claim against the facts: who is compared, by what scores or sets, and what the tests say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from echoaudit.inference import diagnostics, sets, tests
from echoaudit.inference.arms import accounts_of, describe
from echoaudit.inference.conclusion import (
    Arm,
    ControlCheck,
    Diagnostics,
    Effect,
    Halves,
    Method,
    Sets,
    Test,
)
from echoaudit.inference.halves import FAMILY, control_check
from echoaudit.inference.items import BROWSED, Items, items
from echoaudit.inference.partners import Rows, score_partners, sides
from echoaudit.inference.scores import Coded, Score, Scores, code, counted, score_accounts

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.inference.scores import Measure
    from echoaudit.inference.tests import Direction, Floats
    from echoaudit.study.models import Claim

SHOWN = 100
"""Things of treated accounts only that a conclusion lists."""
PARTNERS = "partners"
"""The measure of bids that sets partners' beside others'."""
HALF = 0.5
"""Added to a count before its logarithm is taken, so that a zero has one (Anscombe 1948)."""


@dataclass(frozen=True)
class Examined:
    """A claim's evidence, before its family is corrected for."""

    claim: Claim
    family: int
    """Claims in its family."""
    treated: Arm
    control: Arm
    rounds: tuple[int, int]
    """Before and after the treatment."""
    effect: Effect | None
    sets: Sets | None
    test: Test | None
    diagnostics: Diagnostics


@dataclass
class Facts:
    """The tables of a study, and the scores and sets already taken from them."""

    tables: Mapping[str, pd.DataFrame]
    personas: frozenset[str]
    """Those that any claim names: cells are compared among all their accounts at once."""
    _scores: dict[str, Scores] = field(default_factory=dict)
    _items: dict[str, Items] = field(default_factory=dict)
    _visits: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    def scores(self, measure: str) -> Scores:
        """Scores of all accounts by a measure of bids."""
        if measure not in self._scores:
            known = sorted({a for p in self.personas for a in self.accounts(p)})
            self._scores[measure] = (
                score_partners(self.coded, self.sides, known)
                if measure == PARTNERS
                else score_accounts(self.coded, known, cast("Measure", measure))
            )
        return self._scores[measure]

    def visits(self, measure: str) -> dict[str, tuple[str, ...]]:
        """Ids of the visits with requests that count for a measure of bids, by account."""
        if measure not in self._visits:
            if measure == PARTNERS:
                counts = counted(self.coded, "value") & (self.sides[0] | self.sides[1])
            else:
                counts = counted(self.coded, cast("Measure", measure))
            rows = self.tables["bids"].loc[counts, ["account", "visit"]]
            each = rows.drop_duplicates().sort_values(["account", "visit"]).groupby("account")
            self._visits[measure] = {str(a): tuple(map(str, own)) for a, own in each["visit"]}
        return self._visits[measure]

    @cached_property
    def coded(self) -> Coded:
        """The bids as integers."""
        return code(self.tables["bids"])

    @cached_property
    def sides(self) -> tuple[Rows, Rows]:
        """Bids of the platform's partners, and those of others."""
        return sides(self.tables["bids"], self.tables["sync_graph"])

    def items(self, outcome: str) -> Items:
        """Things of all accounts."""
        if outcome not in self._items:
            self._items[outcome] = items(outcome, self.tables)
        return self._items[outcome]

    def accounts(self, persona: str) -> list[str]:
        """The accounts of a persona."""
        return accounts_of(persona, self.tables["bids"], self.tables["delivery"])


def examine(claim: Claim, facts: Facts, family: int) -> Examined:
    """Compare the two personas of a claim, which is one of ``family`` claims."""
    if claim.outcome == "bids":
        return _by_scores(claim, facts, family, facts.scores(claim.measure))
    if claim.measure == "count":
        return _by_scores(claim, facts, family, _counted(facts.items(claim.outcome)))
    return _by_sets(claim, facts, family)


# --- scores: bids and counts --------------------------------------------------------------------


def _counted(found: Items) -> Scores:
    """Counts as scores: logarithms of (count + 1/2), per hour where hours are known."""
    baseline = bool(found.before)
    scored, unscored = [], []
    for account, own in found.sets.items():
        if baseline and account not in found.before:
            unscored.append(account)
            continue
        exposure = found.exposure.get(account, 1.0)
        before = found.before.get(account, frozenset())
        scored.append(
            Score(
                account,
                math.log(len(before) + HALF) if baseline else None,
                math.log((len(own) + HALF) / exposure),
                len(own) + len(before),
            )
        )
    return Scores(tuple(scored), tuple(unscored), 0, 0)


def _by_scores(claim: Claim, facts: Facts, family: int, scores: Scores) -> Examined:
    compared = {score.account for score in scores.scored}
    treated, control = _arms(claim, facts, compared, scores)
    effect = test = None
    if len(treated.scores) >= 1 and len(control.scores) >= 2:
        effect, test = _compare(_values(treated), _values(control), claim, family)
    bids = claim.outcome == "bids"
    counts = None
    if not bids:
        both = (*treated.scores, *control.scores)
        own = facts.items(claim.outcome).sets
        things = frozenset[str]().union(*(own[s.account] for s in both))
        counts = Sets(len(things), tuple((s.account, len(own[s.account])) for s in both))
    rounds = (scores.rounds_before, scores.rounds_after) if bids else _rounds(claim, facts)
    pooled = bids and claim.measure != PARTNERS  # single bids are on one side only
    return Examined(
        claim, family, treated, control, rounds, effect, counts, test,
        _diagnose(treated, control, facts.coded if pooled else None, claim),
    )  # fmt: skip


def _arms(
    claim: Claim, facts: Facts, compared: set[str], scores: Scores | None = None
) -> tuple[Arm, Arm]:
    bids, delivery = facts.tables["bids"], facts.tables["delivery"]
    found = scores.scored if scores else ()
    visits = facts.visits(claim.measure) if claim.outcome == "bids" else None
    treated, control = (
        describe(persona, bids, delivery, compared, found, visits)
        for persona in (claim.treated, claim.control)
    )
    return treated, control


def _rounds(claim: Claim, facts: Facts) -> tuple[int, int]:
    """Rounds of visits that a claim about what browsers did rests on; speakers have none."""
    if claim.outcome not in BROWSED:
        return 0, 0
    steps = facts.tables["steps"]
    visits = steps[(steps["kind"] == "visit") & (steps["state"] == "complete")]
    numbers = visits.groupby("phase")["round"].nunique()
    return int(numbers.get("before", 0)), int(numbers.get("after", 0))


def _values(arm: Arm) -> Floats:
    return np.array([score.score for score in arm.scores])


def _before(arm: Arm) -> Floats:
    return np.array([np.nan if s.before is None else s.before for s in arm.scores])


def sided(claim: Claim) -> Direction:
    """The direction of a claim's tests of difference."""
    return "different" if claim.direction == "equivalent" else claim.direction


def _compare(treated: Floats, control: Floats, claim: Claim, family: int) -> tuple[Effect, Test]:
    """Effect and test of scores.

    Permutation decides where it can. Where it cannot, the t test decides about bids; counts are too
    coarse for it: controls that all have the same count would make any other count certain.
    """
    direction = sided(claim)
    t = tests.t_test(treated, control, direction)
    permutation = tests.permutation_test(treated, control, direction)
    # The most favourable claim of the family has to pass alpha / family, so a test that cannot
    # reach it can't support anything. This depends on the numbers of accounts only, not on data.
    reaches = len(treated) > 1 and permutation.smallest_p <= claim.alpha / family
    counts = claim.outcome != "bids"
    decides = reaches or counts
    within = None if counts else tests.equivalence_p(t, math.log(claim.smallest_effect))
    method: Method = "permutation" if decides else t.name
    p = permutation.p if decides else t.p
    if claim.direction == "equivalent":
        # Of counts it is not tested (see lacking): no p is small.
        method, p = "tost", 1.0 if within is None else within
    low, high = t.interval()
    test = Test(
        method=method,
        p=p,
        p_corrected=1.0,
        smallest_p=permutation.smallest_p,
        labelings=permutation.labelings,
        exact=permutation.exact,
        t_p=t.p,
        family=family,
        correction=claim.correction,
        equivalence_p=within,
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


def one_sided(claim: Claim, family: int) -> float:
    """The level of the one-sided test that a claim amounts to, were it the family's hardest."""
    return claim.alpha / family / (2 if claim.direction == "different" else 1)


def _detectable(sd: float, treated: int, control: int, claim: Claim, family: int) -> float | None:
    smallest = tests.smallest_margin if claim.direction == "equivalent" else tests.detectable
    found = smallest(sd, treated, control, one_sided(claim, family))
    if found is None or found > math.log(1000):
        return None
    return math.exp(-found if claim.direction == "lower" else found)


def _diagnose(treated: Arm, control: Arm, bids: Coded | None, claim: Claim) -> Diagnostics:
    ours, theirs = _values(treated), _values(control)
    baseline_ratio = baseline_p = None
    if len(ours) and len(theirs):
        baseline_ratio, baseline_p = diagnostics.baseline(_before(treated), _before(control))
    return Diagnostics(
        leave_one_out=diagnostics.leave_one_out(ours, theirs),
        baseline_ratio=baseline_ratio,
        baseline_p=baseline_p,
        splits=diagnostics.split_check(
            theirs, bids, list(control.accounts), sided(claim), claim.alpha
        ),
        controls=_control_scores(control, claim),
        outliers=diagnostics.outliers(
            ours, theirs, tuple(s.account for s in (*treated.scores, *control.scores))
        ),
    )


def _control_scores(control: Arm, claim: Claim) -> ControlCheck | None:
    """The claim's own test of halves of its controls, two-sided."""
    if not control.scores:
        return None
    score = {one.account: one.score for one in control.scores}
    either = claim.model_copy(update={"direction": "different"})

    def test(by: str, first: Sequence[str], second: Sequence[str]) -> Halves:
        one, other = (np.array([score[account] for account in half]) for half in (first, second))
        effect, found = _compare(one, other, either, FAMILY)
        able = found.method != "permutation" or _reaches(found.smallest_p, claim)
        return Halves(
            by, (len(one), len(other)), found.method, found.p, found.smallest_p, able,
            effect.ratio, effect.detectable,
        )  # fmt: skip

    return control_check((*control.accounts, *control.unscored), score.keys(), test, claim.alpha)


def _reaches(smallest: float, claim: Claim) -> bool:
    return smallest <= claim.alpha / FAMILY


# --- sets ---------------------------------------------------------------------------------------


def _by_sets(claim: Claim, facts: Facts, family: int) -> Examined:
    found = facts.items(claim.outcome)
    treated, control = _arms(claim, facts, set(found.compared))
    accounts = (*treated.accounts, *control.accounts)
    matrix, things = sets.incidence([found.compared[account] for account in accounts])
    counts = tuple(zip(accounts, (int(n) for n in matrix.sum(axis=1)), strict=True))
    controls = None
    part, test = Sets(len(things), counts), None
    if treated.accounts and control.accounts:
        part, test = _test_sets(claim, part, matrix, things, len(treated.accounts), family)
        rows = dict(zip(accounts, matrix, strict=True))
        controls = _control_sets(control, claim, rows, things)
    return Examined(
        claim, family, treated, control, _rounds(claim, facts), None, part, test,
        Diagnostics(None, None, None, None, controls),
    )  # fmt: skip


def _control_sets(
    control: Arm, claim: Claim, rows: Mapping[str, Floats], things: tuple[str, ...]
) -> ControlCheck:
    """The claim's own test of halves of its controls, two-sided."""
    either = claim.model_copy(update={"direction": "different"})
    one_way = claim.measure == "exclusive"

    def judged(first: Sequence[str], second: Sequence[str]) -> Test:
        matrix = np.array([rows[account] for account in (*first, *second)])
        part = Sets(len(things), ())
        return _test_sets(either, part, matrix, things, len(first), FAMILY)[1]

    def test(by: str, first: Sequence[str], second: Sequence[str]) -> Halves:
        found = judged(first, second)
        p, smallest = found.p, found.smallest_p
        if one_way:
            # Either half may have things of its own.
            p, smallest = 2 * min(p, judged(second, first).p), 2 * smallest
        sizes = len(first), len(second)
        able = _reaches(smallest, claim)
        return Halves(by, sizes, found.method, min(1.0, p), min(1.0, smallest), able)

    return control_check(
        (*control.accounts, *control.unscored), control.accounts, test, claim.alpha
    )


def _test_sets(
    claim: Claim, part: Sets, matrix: Floats, things: tuple[str, ...], k: int, family: int
) -> tuple[Sets, Test]:
    if claim.measure == "distance":
        far = sets.distance_test(matrix, k)
        shown = {"between": far.between, "within": far.within, "explained": far.explained}
        return _with(part, shown), _permuted(far.test, claim, family)
    if claim.measure == "exclusive":
        own = sets.exclusive_test(matrix, k)
        names = tuple(things[column] for column in own.things[:SHOWN])
        shown_own = {"own": names, "own_count": len(own.things), "own_expected": own.expected}
        return _with(part, shown_own), _permuted(own.test, claim, family)
    having = matrix[:, [n for n, thing in enumerate(things) if claim.item in (None, thing)]]
    has = having.sum(axis=1) > 0
    ours, theirs = (int(has[:k].sum()), k), (int(has[k:].sum()), len(has) - k)
    fisher = sets.fisher(ours, theirs, sided(claim))
    shares = {
        "treated_with": ours[0],
        "control_with": theirs[0],
        "difference": fisher.difference,
        "low": fisher.low,
        "high": fisher.high,
    }
    test = Test(
        "fisher", fisher.p, 1.0, fisher.smallest_p, math.comb(len(has), k), True, None, family,
        claim.correction,
    )  # fmt: skip
    return _with(part, shares), test


def _with(part: Sets, found: Mapping[str, object]) -> Sets:
    return Sets(part.things, part.counts, **found)  # type: ignore[arg-type]


def _permuted(test: tests.Permutation, claim: Claim, family: int) -> Test:
    return Test(
        "permutation", test.p, 1.0, test.smallest_p, test.labelings, test.exact, None, family,
        claim.correction,
    )  # fmt: skip
