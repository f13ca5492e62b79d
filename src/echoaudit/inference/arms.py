"""What each side of a claim rests on: accounts, visits, bids, delivered sentences."""

from __future__ import annotations

import pandas as pd

from echoaudit.inference.conclusion import AccountScore, Arm
from echoaudit.inference.scores import BID_STATES, NO_BID_STATES, Scores

DELIVERED_FLOOR = 0.5
"""Below this share of delivered sentences a persona has not been treated."""


def accounts_of(persona: str, bids: pd.DataFrame, delivery: pd.DataFrame) -> list[str]:
    """The accounts of a persona that were planned or seen, in order of their names."""
    known = [frame.loc[frame["persona"] == persona, "account"] for frame in (bids, delivery)]
    return sorted(set(pd.concat(known).astype(str)))


def describe(persona: str, bids: pd.DataFrame, delivery: pd.DataFrame, scores: Scores) -> Arm:
    """Count what a persona's side of a claim rests on."""
    accounts = accounts_of(persona, bids, delivery)
    own = bids[bids["persona"] == persona]
    planned = delivery[delivery["persona"] == persona]
    is_bid, is_none = own["state"].isin(BID_STATES), own["state"].isin(NO_BID_STATES)
    scored = [score for score in scores.scored if score.account in accounts]
    return Arm(
        persona=persona,
        accounts=tuple(score.account for score in scored),
        unscored=tuple(sorted(set(accounts) - {score.account for score in scored})),
        visits_planned=int(planned["visits_planned"].sum()),
        visits_complete=int(planned["visits_complete"].sum()),
        visits_with_bids=int(own.loc[is_bid, "visit"].nunique()),
        bids=int(is_bid.sum()),
        no_bids=int(is_none.sum()),
        failures=int((~is_bid & ~is_none).sum()),
        utterances_planned=int(planned["utterances_planned"].sum()),
        utterances_delivered=int(planned["utterances_delivered"].sum()),
        silent=_silent(planned),
        scores=tuple(
            AccountScore(s.account, s.before, s.after, s.value, s.observations) for s in scored
        ),
    )


def _silent(planned: pd.DataFrame) -> tuple[str, ...]:
    if not planned["utterances_planned"].sum():
        return ()
    delivered = planned["utterances_delivered"] / planned["utterances_planned"].where(
        planned["utterances_planned"] > 0
    )
    return tuple(sorted(planned.loc[~(delivered >= DELIVERED_FLOOR), "account"].astype(str)))


def was_treated(arm: Arm) -> bool:
    """Whether the persona's sentences reached its speakers."""
    if arm.utterances_planned == 0:
        return False
    return arm.utterances_delivered / arm.utterances_planned >= DELIVERED_FLOOR
