"""Why evidence cannot carry a verdict, and what would mend it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from echoaudit.inference import tests
from echoaudit.inference.arms import opted_out, treatment, was_treated
from echoaudit.inference.conclusion import Arm, Test
from echoaudit.inference.examine import Examined, one_sided, sided
from echoaudit.inference.halves import DIVISIONS
from echoaudit.inference.items import BROWSED
from echoaudit.inference.sentence import THINGS, p_value, ratio

USEFUL = 2.0
"""A test that would miss even this ratio cannot say "not supported", only "insufficient"."""
COMPLETE_FLOOR = 0.5
"""Below this share of complete visits, or of observed accounts, an arm has not been observed."""


@dataclass(frozen=True)
class Unfinished:
    """How far a study is that still runs."""

    missing: int
    """Planned steps that have not ended yet."""
    planned: int


def interim(unfinished: Unfinished) -> tuple[str, str]:
    """Why a study that still runs gets no verdict: its end was fixed in its plan."""
    return (
        f"not finished: {unfinished.missing} of {unfinished.planned} planned steps have not "
        "happened yet, and numbers until then are interim",
        "the rest of the plan (the same command resumes)",
    )


def flaw(examined: Examined) -> tuple[str, str] | None:
    """What was not as planned, with the remedy; ``None`` when evidence is sound."""
    bids = examined.claim.outcome == "bids"
    checks: tuple[Callable[[Examined], tuple[str, str] | None], ...] = (
        _counts_alike,
        _not_opted_out,
        _untreated,
        _unobserved if bids else _unseen,
        _incomplete,
        # Labels of sets, permuted, tell when accounts are too few; scores need a spread.
        *((_unreplicated,) if bids or examined.test is None else ()),
        _controls_differ,
    )
    return next(filter(None, (check(examined) for check in checks)), None)


def imprecision(examined: Examined, test: Test | None) -> tuple[str, str] | None:
    """Why sound evidence is too little for a verdict, and how much would do.

    ``test`` is the claim's, corrected for its family; a claim that it rejects lacks nothing.
    """
    assert test is not None
    if test.p_corrected <= examined.claim.alpha:
        return None
    sets = examined.claim.outcome != "bids"
    return (_unreachable(examined, test) if sets else None) or _powerless(examined, test)


def _counts_alike(examined: Examined) -> tuple[str, str] | None:
    """Studies can no longer claim it; recordings of those that did are still judged."""
    claim = examined.claim
    if claim.direction != "equivalent" or claim.outcome == "bids":
        return None
    return (
        "counts are too coarse to be shown alike: accounts that all have the same count leave no "
        "spread, and half counts draw small ratios towards 1",
        "a claim of direction different, whose interval tells how unlike they may be",
    )


def _not_opted_out(examined: Examined) -> tuple[str, str] | None:
    for arm in (examined.treated, examined.control):
        if not opted_out(arm):
            return (
                f"treatment not delivered: only {arm.opt_outs_complete} of {arm.opt_outs_planned} "
                f"{arm.persona} accounts opted out",
                "opt-outs that the platform's page confirms (the same command resumes them)",
            )
    return None


def _untreated(examined: Examined) -> tuple[str, str] | None:
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


def _unobserved(examined: Examined) -> tuple[str, str] | None:
    for arm in (examined.treated, examined.control):
        total = len(arm.accounts) + len(arm.unscored)
        if not arm.scores or len(arm.scores) < COMPLETE_FLOOR * total:
            which = f"only {len(arm.scores)} of {total} accounts of {arm.persona} have bids"
            if not arm.scores:
                which = f"no account of {arm.persona} has bids"
            return (
                f"{which} that can be compared "
                f"({arm.bids} bids in {arm.visits_complete} complete visits)",
                "sites whose auctions answer, visited by both personas; where bidders stopped "
                "bidding, a claim of measure rate, which counts accounts without bids",
            )
    return None


def _unseen(examined: Examined) -> tuple[str, str] | None:
    """The like of outcomes that are sets: too few accounts observed, or nothing in any of them."""
    for arm in (examined.treated, examined.control):
        total = len(arm.accounts) + len(arm.unscored)
        if not arm.accounts or len(arm.accounts) < COMPLETE_FLOOR * total:
            return (
                f"only {len(arm.accounts)} of {total} accounts of {arm.persona} were observed",
                "the platform's answers to data requests of the accounts that lack them"
                if examined.claim.outcome == "interests"
                else "captures, visits or streams of the accounts that lack them",
            )
    if examined.sets is not None and not examined.sets.things:
        things = THINGS[examined.claim.outcome]
        return f"no account of either persona had any {things}", "an instrument that sees some"
    return None


def _incomplete(examined: Examined) -> tuple[str, str] | None:
    if examined.claim.outcome not in BROWSED:
        return None
    for arm in (examined.treated, examined.control):
        if arm.visits_complete < COMPLETE_FLOOR * arm.visits_planned:
            return (
                f"only {arm.visits_complete} of {arm.visits_planned} visits of {arm.persona} "
                "are complete",
                "the missing visits (the same command resumes them)",
            )
    return None


def _unreplicated(examined: Examined) -> tuple[str, str] | None:
    treated, control = len(examined.treated.scores), len(examined.control.scores)
    if control >= 3 or (treated >= 2 and control >= 2):
        return None
    return (
        f"unreplicated: {treated} account{'s' * (treated != 1)} of {examined.treated.persona} "
        f"and {control} of {examined.control.persona}, so a difference between accounts cannot be "
        "told from a difference between personas",
        "at least 2 accounts with the persona and 4 without; 3 and 6 are the usual plan",
    )


def _controls_differ(examined: Examined) -> tuple[str, str] | None:
    check = examined.diagnostics.controls
    if check is None or check.passed is not False or check.p is None:
        return None
    worst = min((half for half in check.halves if half.able), key=lambda half: half.p)
    by = f" by {ratio(worst.ratio)} times" if worst.ratio is not None else ""
    first, second = worst.by.split(" and ")
    return (
        f"controls differ among themselves: the {first} accounts of {examined.control.persona} "
        f"from the {second} ones{by} ({p_value(check.p)} for {DIVISIONS} divisions)",
        "controls that were made and treated alike",
    )


def _unreachable(examined: Examined, test: Test) -> tuple[str, str] | None:
    """Labels of so few accounts, permuted, cannot give a p that would have been small enough."""
    level = examined.claim.alpha / test.family
    if test.smallest_p <= level:
        return None
    treated, control = len(examined.treated.accounts), len(examined.control.accounts)
    needed = tests.replicated(treated, level, sided(examined.claim))
    family = f" for {test.family} claims together" if test.family > 1 else ""
    return (
        f"unreplicated: {_some(treated, examined.treated)} and {_some(control, examined.control)} "
        f"cannot give a p below {test.smallest_p:.2g}, and {level:.2g} is needed{family}",
        f"{needed} accounts of {examined.control.persona} beside {treated} of "
        f"{examined.treated.persona}"
        if needed
        else f"more accounts of {examined.treated.persona}; 3 and 6 are the usual plan",
    )


def _some(number: int, arm: Arm) -> str:
    return f"{number} account{'s' * (number != 1)} of {arm.persona}"


def _powerless(examined: Examined, test: Test) -> tuple[str, str] | None:
    effect, claim = examined.effect, examined.claim
    if effect is None:
        return None
    equivalent = claim.direction == "equivalent"
    if equivalent and effect.account_sd < tests.TOLERANCE:
        return (
            "accounts do not differ at all, so nothing says how far a difference could be from "
            "what was seen",
            "a measure that tells accounts of one persona apart",
        )
    useful = claim.smallest_effect if equivalent else USEFUL
    found = effect.detectable
    if found is not None and max(found, 1 / found) <= useful:
        return None
    level = one_sided(claim, test.family)
    wanted = 0.9 if equivalent else 0.8
    needed = tests.accounts_needed(math.log(useful), effect.account_sd, level, wanted)
    missed = (
        f"no difference at all would have been shown to be within a ratio of {ratio(useful)} less "
        "than four times in five"
        if equivalent
        else f"a ratio of {ratio(useful)} would have been missed more than once in five times"
    )
    return (
        f"accounts differ so much from each other that {missed}",
        f"about {needed} accounts with the persona and {2 * needed} without"
        if needed
        else "more than 50 accounts with the persona, or less noise between accounts",
    )
