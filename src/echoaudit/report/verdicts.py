"""Conclusions as the cards at the top of the page and the checks further down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from echoaudit.inference import Conclusion
from echoaudit.inference.conclusion import Arm, Sets
from echoaudit.inference.sentence import METHOD
from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, count, p_value, ratio, share, treatment

SIGNS = {"supported": "✓", "not supported": "○", "insufficient": "?"}
PARAMETRIC = ("pooled", "welch", "crawford-howell", "tost")
CLASSES = {"supported": "yes", "not supported": "no", "insufficient": "open"}


@dataclass(frozen=True)
class Verdict:
    """One claim's card."""

    claim: str
    state: str
    sign: str
    css: str
    sentence: str
    needed: str | None
    numbers: tuple[tuple[str, str], ...]


def verdicts(conclusions: Sequence[Conclusion]) -> list[Verdict]:
    """Cards in the order of the claims."""
    return [
        Verdict(
            f"{c.claim} ({_stage(c)})" if c.exploratory else c.claim,
            c.state,
            SIGNS[c.state],
            CLASSES[c.state],
            c.sentence,
            c.needed,
            _numbers(c),
        )
        for c in conclusions
    ]


def _stage(c: Conclusion) -> str:
    return "exploratory" if c.registered else "exploratory, stated after the run"


def _numbers(c: Conclusion) -> tuple[tuple[str, str], ...]:
    accounts = f"{len(c.treated.accounts)} + {len(c.control.accounts)}"
    basis = (
        ("accounts", accounts),
        ("rounds", f"{c.rounds_before} before, {c.rounds_after} after"),
        ("bids", f"{c.treated.bids + c.control.bids:,}"),
    )
    if c.test is None:
        return basis
    p = p_value(c.test.p_corrected)
    tested = (
        ("p" if c.test.family == 1 else f"p, of {c.test.family} claims", p),
        ("smallest possible p", p_value(c.test.smallest_p)),
    )
    if c.effect is None:
        return (*_sets(c.sets), *tested, *basis)
    return (
        ("effect", ratio(c.effect.ratio)),
        ("95 % interval", f"{ratio(c.effect.low)} to {ratio(c.effect.high)}"),
        *tested,
        ("detectable", ratio(c.effect.detectable) if c.effect.detectable else NOTHING),
        *basis,
    )


def _sets(sets: Sets | None) -> tuple[tuple[str, str], ...]:
    if sets is None:
        return ()
    if sets.between is not None:
        within = f"{sets.within:.2f}" if sets.within is not None else NOTHING
        return (("distance between personas", f"{sets.between:.2f}"), ("within one", within))
    if sets.own_count is not None:
        return (
            ("only in treated accounts", f"{sets.own_count:,}"),
            ("expected by chance", f"{sets.own_expected:.1f}"),
        )
    return (("treated accounts", str(sets.treated_with)), ("controls", str(sets.control_with)))


def diagnostics(conclusions: Sequence[Conclusion]) -> Section:
    """What could have gone wrong and whether it did."""
    return Section(
        id="checks",
        title="Checks on the conclusions",
        short="Checks",
        lead=(
            "A difference between personas can also come from one odd account, from arms that "
            "differed before anything was said, or from data lost on one side."
        ),
        tables=(_checks(conclusions), _arms(conclusions)) if conclusions else (),
    )


def _checks(conclusions: Sequence[Conclusion]) -> Table:
    return Table(
        "Diagnostics of each claim",
        (
            Column("claim"),
            Column("one account left out"),
            Column("before treatment"),
            Column("controls divided"),
            Column("test"),
            Column("p of the t test", numeric=True),
            Column("spread of accounts", numeric=True),
        ),
        tuple(
            (c.claim, _left_out(c), _before(c), _divided(c), _test(c), *_spread(c))
            for c in conclusions
        ),
        note=(
            "One account left out: lowest and highest effect then. Before treatment: the same "
            "ratio in the baseline rounds, 1× when the arms began alike. Controls divided: the "
            "claim’s own test of two divisions of the controls that were fixed before the run (odd "
            "against even accounts, the first half against the last); a p of at most a tenth of "
            "the claim’s level fails, and withholds the verdict. No power: so few controls could "
            "not be told apart whatever they did. Spread: standard deviation of the accounts’ log "
            "scores."
        ),
    )


def _left_out(c: Conclusion) -> str:
    ends = c.diagnostics.leave_one_out
    return f"{ratio(ends[0])} to {ratio(ends[1])}" if ends else NOTHING


def _before(c: Conclusion) -> str:
    found = c.diagnostics
    if found.baseline_ratio is None:
        return "too few accounts" if c.rounds_before else "no baseline"
    return f"{ratio(found.baseline_ratio)} (p {p_value(found.baseline_p)})"


def _divided(c: Conclusion) -> str:
    check = c.diagnostics.controls
    if check is None:
        return NOTHING
    if check.passed is None:
        return f"no power with {count(len(c.control.accounts), 'account')}"
    found = [f"{half.by} p {p_value(half.p)}" for half in check.halves if half.able]
    return f"{'passed' if check.passed else 'failed'}: {', '.join(found)}"


def _test(c: Conclusion) -> str:
    if c.test is None:
        return NOTHING
    if c.test.method in PARAMETRIC:
        return f"{METHOD[c.test.method]} (parametric)"
    if c.test.method == "fisher":
        return METHOD[c.test.method]
    kind = "all" if c.test.exact else "random"
    return f"{METHOD['permutation']}, {kind} {c.test.labelings:,} labelings"


def _spread(c: Conclusion) -> tuple[str, str]:
    sd = f"{c.effect.account_sd:.3f}" if c.effect else NOTHING
    return p_value(c.test.t_p if c.test else None), sd


def _arms(conclusions: Sequence[Conclusion]) -> Table:
    rows = [
        (c.claim, role, *_arm(arm))
        for c in conclusions
        for arm, role in ((c.treated, "treated"), (c.control, "control"))
    ]
    return Table(
        "What each side rests on, and what it lost",
        (
            Column("claim"),
            Column("side"),
            Column("persona"),
            Column("accounts scored"),
            Column("visits complete", numeric=True),
            Column("visits with bids", numeric=True),
            Column("bids", numeric=True),
            Column("bid rate", numeric=True),
            Column("unanswered", numeric=True),
            Column("treatment delivered"),
        ),
        tuple(rows),
    )


def _arm(arm: Arm) -> tuple[str, ...]:
    lost = f" (not: {', '.join(arm.unscored)})" if arm.unscored else ""
    return (
        arm.persona,
        f"{count(len(arm.accounts), 'account')}{lost}",
        f"{arm.visits_complete:,} / {arm.visits_planned:,}",
        share(arm.visits_with_bids, arm.visits_complete),
        f"{arm.bids:,}",
        share(arm.bids, arm.bids + arm.no_bids),
        f"{arm.failures:,}",
        treatment(
            (arm.utterances_delivered, arm.utterances_planned),
            (arm.topic_visits_complete, arm.topic_visits_planned),
            (arm.opt_outs_complete, arm.opt_outs_planned),
        ),
    )
