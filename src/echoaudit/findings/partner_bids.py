"""Bids of the platform's partners beside those of others: a hint at what servers tell each other.

What parties are told between servers no browser sees. If only partners, and those they send
identifiers to, offer more for a persona, the knowledge came through what was seen; if others do
too, it came another way. This describes; it tests nothing: bidders differ in more than in whom they
sync with. A claim with measure ``partners`` tests it (``inference.partners``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.findings.bid_rate import BIDS, DECIMALS
from echoaudit.inference.partners import standings
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["persona", "phase", "standing"]
PARTNERS = Schema(
    "partner_bids",
    "Bids by where the bidder's server stands in the exchange of identifiers; descriptive.",
    (
        Column("persona", "string", "The persona."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column(
            "standing",
            "string",
            "Of the bidder's server (table `sync_graph`); `unknown` when no request tells it.",
        ),
        Column("bidders", "string", "The bidders, comma-separated."),
        Column("accounts", "int", "Accounts with such requests."),
        Column("requests", "int", "Bid requests."),
        Column("bids", "int", "Answers that offered a price."),
        Column("rate", "float", "Share of answers that offered a price; missing without answers."),
        Column("median_usd", "float", "Median price.", "USD per 1000 views"),
        Column("mean_usd", "float", "Mean price.", "USD per 1000 views"),
    ),
)


def partners_table(bids: pd.DataFrame, sync_graph: pd.DataFrame) -> pd.DataFrame:
    """One row per persona, phase and standing of the bidder's server."""
    stands = standings(bids, sync_graph)
    placed = bids.assign(standing=[stands[str(bidder)] for bidder in bids["bidder"]])
    rows = []
    for key, own in placed.groupby(KEYS, sort=True):
        offered = own[own["state"].isin(BIDS)]
        answers = len(offered) + int((own["state"] == "no-bid").sum())
        prices = offered["cpm_usd"].dropna()
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                "bidders": ",".join(sorted(set(own["bidder"]))),
                "accounts": own["account"].nunique(),
                "requests": len(own),
                "bids": len(offered),
                "rate": round(len(offered) / answers, DECIMALS) if answers else None,
                "median_usd": round(float(prices.median()), DECIMALS) if len(prices) else None,
                "mean_usd": round(float(prices.mean()), DECIMALS) if len(prices) else None,
            }
        )
    return PARTNERS.conform(rows)
