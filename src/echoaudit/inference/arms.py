"""What each side of a claim rests on: accounts, visits, bids, and what was done to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import pandas as pd

from echoaudit.inference.conclusion import AccountScore, Arm
from echoaudit.inference.scores import BID_STATES, NO_BID_STATES, Score

DELIVERED_FLOOR = 0.5
"""Below this share of delivered sentences or topic visits a persona has not been treated."""
TOPIC = "topic"
"""The phase of visits that are a treatment: their bids are not compared."""
COUNTS = (
    "visits_planned",
    "visits_complete",
    "utterances_planned",
    "utterances_delivered",
    "topic_visits_planned",
    "topic_visits_complete",
    "opt_outs_planned",
    "opt_outs_complete",
)
"""Columns of the delivery table that an arm adds up."""
Treatment = Literal["sentences", "topic visits", "opt-out"]


def accounts_of(persona: str, bids: pd.DataFrame, delivery: pd.DataFrame) -> list[str]:
    """The accounts of a persona that were planned or seen, in order of their names."""
    known = [frame.loc[frame["persona"] == persona, "account"] for frame in (bids, delivery)]
    return sorted(set(pd.concat(known).astype(str)))


def describe(
    persona: str,
    bids: pd.DataFrame,
    delivery: pd.DataFrame,
    compared: Collection[str],
    scores: Sequence[Score] = (),
    visits: Mapping[str, tuple[str, ...]] | None = None,
) -> Arm:
    """Count what a persona's side of a claim rests on.

    ``compared`` are the accounts that could be compared, of whatever persona; ``scores`` theirs,
    where the measure has any, and ``visits`` the ids of those that a score rests on.
    """
    accounts = accounts_of(persona, bids, delivery)
    own = bids[(bids["persona"] == persona) & (bids["phase"] != TOPIC)]
    planned = delivery[delivery["persona"] == persona]
    is_bid, is_none = own["state"].isin(BID_STATES), own["state"].isin(NO_BID_STATES)
    return Arm(
        persona=persona,
        accounts=tuple(account for account in accounts if account in compared),
        unscored=tuple(account for account in accounts if account not in compared),
        visits_with_bids=int(own.loc[is_bid, "visit"].nunique()),
        bids=int(is_bid.sum()),
        no_bids=int(is_none.sum()),
        failures=int((~is_bid & ~is_none).sum()),
        untreated=_untreated(planned),
        scores=tuple(
            AccountScore(
                s.account,
                s.before,
                s.after,
                s.value,
                s.observations,
                (visits or {}).get(s.account, ()),
            )
            for s in scores
            if s.account in accounts
        ),
        **{name: int(planned[name].sum()) for name in COUNTS},
    )


def _untreated(planned: pd.DataFrame) -> tuple[str, ...]:
    kind = "utterances" if planned["utterances_planned"].sum() else "topic_visits"
    part = "delivered" if kind == "utterances" else "complete"
    whole = planned[f"{kind}_planned"]
    if not whole.sum():
        return ()
    delivered = planned[f"{kind}_{part}"] / whole.where(whole > 0)
    return tuple(sorted(planned.loc[~(delivered >= DELIVERED_FLOOR), "account"].astype(str)))


def treatment(arm: Arm) -> tuple[Treatment, int, int] | None:
    """What was done to a persona, how much was planned and how much delivered.

    Sentences and topic visits go before an opt-out, which is done besides; None when nothing was
    planned, or nothing said yet.
    """
    kinds: tuple[tuple[Treatment, int, int], ...] = (
        ("sentences", arm.utterances_planned, arm.utterances_delivered),
        ("topic visits", arm.topic_visits_planned, arm.topic_visits_complete),
        ("opt-out", arm.opt_outs_planned, arm.opt_outs_complete),
    )
    return next((kind for kind in kinds if kind[1]), None)


def was_treated(arm: Arm) -> bool:
    """Whether at least half of the persona's sentences or topic visits were delivered.

    Whether its accounts opted out is asked apart (`opted_out`).
    """
    found = treatment(arm)
    return found is not None and found[2] >= DELIVERED_FLOOR * found[1]


def opted_out(arm: Arm) -> bool:
    """Whether every account that was meant to opt out did: one that did not is another arm's."""
    return arm.opt_outs_complete == arm.opt_outs_planned
