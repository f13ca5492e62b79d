"""Claims and facts to conclusions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from echoaudit.inference import tests
from echoaudit.inference.conclusion import Conclusion, State
from echoaudit.inference.examine import Examined, Facts, examine
from echoaudit.inference.lacking import Unfinished, flaw, imprecision, interim
from echoaudit.inference.rounding import rounded
from echoaudit.inference.sentence import verdict

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.study.models import Claim


def conclude(claim: Claim, bids: pd.DataFrame, delivery: pd.DataFrame) -> Conclusion:
    """Judge one claim about bids on its own. See :func:`conclude_all`."""
    return conclude_all([claim], {"bids": bids, "delivery": delivery})[0]


def conclude_all(
    claims: Sequence[Claim],
    tables: Mapping[str, pd.DataFrame],
    later: Sequence[Claim] = (),
    unfinished: Unfinished | None = None,
) -> list[Conclusion]:
    """Judge claims, each family with its own correction.

    ``tables["bids"]`` is the outcome of that name. ``tables["delivery"]`` has one row per account:
    ``account, persona`` and the counts ``arms.COUNTS``; claims about sets also need the tables that
    ``items.items`` names. A claim without a test counts in its family with p = 1. ``later`` are
    claims that were stated after the run: exploratory, whatever they say of themselves, and in
    families of their own. ``unfinished`` says that the study still runs: its numbers are interim
    and no claim gets a verdict, for who may stop when it suits finds something sooner or later.
    """
    stated = [(claim, True) for claim in claims] + [(claim, False) for claim in later]
    families: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, (claim, registered) in enumerate(stated):
        families[claim.family, claim.exploratory, registered].append(number)
    facts = Facts(tables, frozenset(p for c, _ in stated for p in (c.treated, c.control)))
    found: dict[int, Conclusion] = {}
    for members in families.values():
        examined = [examine(stated[number][0], facts, len(members)) for number in members]
        p_values = [one.test.p if one.test else 1.0 for one in examined]
        corrected = tests.corrected(p_values, examined[0].claim.correction)
        for number, one, p in zip(members, examined, corrected, strict=True):
            found[number] = rounded(
                _decide(one, p, registered=stated[number][1], unfinished=unfinished)
            )
    return [found[number] for number in range(len(stated))]


def _decide(
    examined: Examined, p_corrected: float, *, registered: bool, unfinished: Unfinished | None
) -> Conclusion:
    claim = examined.claim
    test = replace(examined.test, p_corrected=p_corrected) if examined.test else None
    flawed = (interim(unfinished) if unfinished else None) or flaw(examined)
    reason, needed = flawed or imprecision(examined, test) or (None, None)
    state: State
    if reason is not None:
        state = "insufficient"
    else:
        assert test is not None
        state = "supported" if test.p_corrected <= claim.alpha else "not supported"
    return Conclusion(
        claim=claim.claim,
        outcome=claim.outcome,
        measure=claim.measure,
        item=claim.item,
        direction=claim.direction,
        family=claim.family,
        exploratory=claim.exploratory or not registered,
        registered=registered,
        alpha=claim.alpha,
        smallest_effect=claim.smallest_effect,
        state=state,
        sentence=verdict(state, reason, examined, test),
        reason=reason,
        needed=needed,
        flawed=flawed is not None,
        treated=examined.treated,
        control=examined.control,
        rounds_before=examined.rounds[0],
        rounds_after=examined.rounds[1],
        effect=examined.effect,
        sets=examined.sets,
        test=test,
        diagnostics=examined.diagnostics,
    )
