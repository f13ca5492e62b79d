"""How often bidders bid: a question of its own, besides how much.

A bidder that merely answers more often raises every pooled sum of bids; so the share of answers
that are bids is kept apart from their worth. Timeouts, errors and rejected bids are no answers:
they are counted, and in neither part of the share. Requests of visits that did not show the page
that was asked for (``TURNED_AWAY``) are not counted at all: no bidder of it was asked there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

BIDS = ("bid", "won", "rendered")
COUNTED = {"no_bids": "no-bid", "timeouts": "timeout", "errors": "error",
           "rejected": "rejected", "unanswered": "requested"}  # fmt: skip
"""Column to the state that it counts."""
KEYS = ["account", "persona", "phase", "bidder", "forced"]
DECIMALS = 6
TURNED_AWAY = ("challenge", "paywall", "empty", "blocked", "robots")
"""States of visits in which bidders had no opportunity."""
RATES = Schema(
    "bid_rate",
    "How often bidders bid: one row per account, phase and bidder.",
    (
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("bidder", "string", "Bidder code."),
        Column("forced", "bool", "Whether echoaudit started the auctions, not the pages."),
        Column("requests", "int", "Bid requests."),
        Column("bids", "int", "Answers that offered a price."),
        Column("no_bids", "int", "Answers that offered none."),
        Column("timeouts", "int", "Requests that were not answered in the page's time."),
        Column("errors", "int", "Requests that failed."),
        Column("rejected", "int", "Bids that Prebid refused."),
        Column("unanswered", "int", "Requests still open when the visit ended."),
        Column("won", "int", "Bids that won their slot."),
        Column("rendered", "int", "Bids whose ad was shown."),
        Column("rate", "float", "`bids` / (`bids` + `no_bids`); missing when both are 0."),
    ),
)


def opportunities(bids: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """The bid requests of visits that showed the page."""
    away = steps.loc[steps["state"].isin(TURNED_AWAY), "step"]
    return bids[~bids["visit"].isin(away)]


def rates_table(bids: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Counts of the bids' states, and the share of answers that are bids."""
    rows = []
    bids = opportunities(bids, steps)
    for key, own in bids.groupby(KEYS, sort=True):
        state = own["state"]
        offered, none = int(state.isin(BIDS).sum()), int((state == "no-bid").sum())
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "requests": len(own),
                "bids": offered,
                **{name: int((state == word).sum()) for name, word in COUNTED.items()},
                "won": int(state.isin(("won", "rendered")).sum()),
                "rendered": int((state == "rendered").sum()),
                "rate": round(offered / (offered + none), DECIMALS) if offered + none else None,
            }
        )
    return RATES.conform(rows)
