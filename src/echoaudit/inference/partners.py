"""What the platform's partners offer beside what others offer, account by account.

What servers tell each other no browser sees. If a persona's price rises with those to whom the
platform's identifiers go, and not with those to whom nobody was seen to send any, that hints at the
way by which the persona became known. So the score of an account is the level of partners' bids
less that of others' bids, both as in ``scores``: what moves all bidders alike cancels.

Who is a partner is read off all accounts' exchanges together, whatever their persona, so that it
tells nothing of the labels that are permuted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echoaudit.inference.scores import Coded, Score, Scores, score_accounts

if TYPE_CHECKING:
    import pandas as pd

PARTNERS = frozenset({"partner"})
OTHERS = frozenset({"apart", "unseen"})
"""Bidders that nobody who is told by the platform was seen to send identifiers. Those downstream of
partners are neither, and so are bidders whose server no request tells."""
UNKNOWN = "unknown"
Rows = NDArray[np.bool_]


def standings(bids: pd.DataFrame, sync_graph: pd.DataFrame) -> dict[str, str]:
    """Where each bidder's usual server stands (``sync_graph``), or ``unknown``.

    The usual server is the one it was asked at most often; of equals the last by name.
    """
    standing = dict(zip(sync_graph["domain"], sync_graph["standing"], strict=True))
    known = bids[bids["server"] != ""]
    counts = Counter(zip(known["bidder"], known["server"], strict=True))
    ordered = sorted(counts, key=lambda pair: (counts[pair], pair[1]))
    usual = {str(bidder): str(server) for bidder, server in ordered}
    return {
        str(bidder): str(standing.get(usual.get(str(bidder), ""), UNKNOWN))
        for bidder in bids["bidder"].unique()
    }


def sides(bids: pd.DataFrame, sync_graph: pd.DataFrame) -> tuple[Rows, Rows]:
    """Which requests went to partners, and which to others."""
    stands: Mapping[str, str] = standings(bids, sync_graph)
    of_each = [stands[str(bidder)] for bidder in bids["bidder"]]
    return (
        np.array([one in PARTNERS for one in of_each], dtype=bool),
        np.array([one in OTHERS for one in of_each], dtype=bool),
    )


def score_partners(coded: Coded, rows: tuple[Rows, Rows], accounts: list[str]) -> Scores:
    """Score accounts by the level of partners' bids less that of others'.

    An account that cannot be scored on either side cannot be scored.
    """
    ours, theirs = (
        score_accounts(replace(coded, bid=coded.bid & side), accounts, "value") for side in rows
    )
    by_account = {one.account: one for one in theirs.scored}
    scored = tuple(
        _less(one, by_account[one.account]) for one in ours.scored if one.account in by_account
    )
    done = {one.account for one in scored}
    return Scores(
        scored,
        tuple(account for account in accounts if account not in done),
        min(ours.rounds_before, theirs.rounds_before),
        min(ours.rounds_after, theirs.rounds_after),
    )


def _less(ours: Score, theirs: Score) -> Score:
    before = None
    if ours.before is not None and theirs.before is not None:
        before = ours.before - theirs.before
    return Score(
        ours.account, before, ours.after - theirs.after, ours.observations + theirs.observations
    )
