"""The section on bids."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from echoaudit.inference import Conclusion
from echoaudit.inference.scores import BID_STATES, NO_BID_STATES
from echoaudit.report.figures.ecdf import ecdf
from echoaudit.report.figures.forest import forest
from echoaudit.report.figures.slopes import slopes
from echoaudit.report.figures.splits import splits
from echoaudit.report.parts import Column, Figure, Section, Table
from echoaudit.report.text import NOTHING, count, money, share

MOST_PERSONAS = 12
"""Personas that get figures of their own."""
MOST_ROWS = 400
PHASES = ("before", "topic", "after")


def section(
    bids: pd.DataFrame, conclusions: Sequence[Conclusion], colours: dict[str, str]
) -> Section:
    """What advertisers offered for each persona."""
    real = bids[bids["state"].isin(BID_STATES) & (bids["cpm_usd"] > 0)]
    prices = [c for c in conclusions if c.measure == "value"][:MOST_PERSONAS]
    # Short figures first, then the tall ones in pairs, so that rows of two line up.
    about_bids = [c for c in conclusions if c.outcome == "bids"]
    figures: list[Figure | None] = [forest(about_bids, colours)]
    figures += [splits(conclusion, colours) for conclusion in prices]
    for conclusion in prices:
        pair = conclusion.treated.persona, conclusion.control.persona
        after = real[(real["phase"] == "after") & real["persona"].isin(pair)]
        figures += [ecdf(after, *pair, colours), slopes(conclusion, colours)]
    bidders = bids["bidder"].nunique()
    sites = bids["site"].nunique()
    return Section(
        id="bids",
        title="What advertisers offered",
        short="Bids",
        lead=(
            f"{count(len(real), 'bid')} from {count(bidders, 'bidder')} on "
            f"{count(sites, 'site')}. A bid (CPM) is what a bidder offers for showing its ad "
            "1,000 times; a higher bid means that the bidder believes it knows something about "
            "who is looking."
        ),
        figures=tuple(figure for figure in figures if figure is not None),
        tables=(_personas(bids, real),),
        folded=(_accounts(bids, real), _bidders(bids, real)),
    )


def _counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    bid = int(rows["state"].isin(BID_STATES).sum())
    none = int(rows["state"].isin(NO_BID_STATES).sum())
    return bid, none, len(rows) - bid - none


def _offers(rows: pd.DataFrame, real: pd.DataFrame) -> tuple[str, ...]:
    """Bids, median, mean, bid rate, requests without an answer."""
    bid, none, lost = _counts(rows)
    prices = real["cpm_usd"]
    middle = (money(float(prices.median())), money(float(prices.mean()))) if len(real) else ()
    return (
        f"{bid:,}",
        *(middle or (NOTHING, NOTHING)),
        share(bid, bid + none),
        f"{lost:,}",
    )


def _order(phase: str) -> int:
    """Phases in the order of time."""
    return PHASES.index(phase) if phase in PHASES else len(PHASES)


OFFER_COLUMNS = tuple(
    Column(label, numeric=True) for label in ("bids", "median", "mean", "bid rate", "unanswered")
)


def _personas(bids: pd.DataFrame, real: pd.DataFrame) -> Table:
    rows = []
    for (persona, phase), own in bids.groupby(["persona", "phase"], sort=True):
        mine = real[(real["persona"] == persona) & (real["phase"] == phase)]
        others = real[(real["persona"] != persona) & (real["phase"] == phase)]["cpm_usd"].mean()
        extreme = mine["cpm_usd"].max() / others if len(mine) and others > 0 else None
        rows.append(
            (
                str(persona),
                str(phase),
                f"{own['account'].nunique()}",
                *_offers(own, mine),
                money(float(mine["cpm_usd"].max())) if len(mine) else NOTHING,
                f"{extreme:.1f}×" if extreme else NOTHING,
            )
        )
    rows.sort(key=lambda row: (row[0], _order(row[1])))
    return Table(
        "Bids by persona",
        (
            Column("persona"),
            Column("phase"),
            Column("accounts", numeric=True),
            *OFFER_COLUMNS,
            Column("maximum", numeric=True),
            Column("maximum / others' mean", numeric=True),
        ),
        tuple(rows),
        note=(
            "The last column is an outlier statistic: one bid decides it, it grows with the "
            "number of bids, and it tests nothing. It is here because published figures such as "
            "“30×” are of this kind. Unanswered: timeouts, errors and rejected bids, which count "
            "neither as bids nor as zeros."
        ),
    )


def _accounts(bids: pd.DataFrame, real: pd.DataFrame) -> Table:
    keys = ["persona", "account", "phase"]
    mine = dict(iter(real.groupby(keys, sort=True)))
    rows = [
        (str(account), str(persona), str(phase), *_offers(own, mine.get(key, real.iloc[:0])))
        for key, own in bids.groupby(keys, sort=True)
        for persona, account, phase in [key]
    ]
    rows.sort(key=lambda row: (row[1], row[0], _order(row[2])))
    return Table(
        "Bids by account",
        (Column("account"), Column("persona"), Column("phase"), *OFFER_COLUMNS),
        tuple(rows[:MOST_ROWS]),
        note=_cut(len(rows)),
    )


def _bidders(bids: pd.DataFrame, real: pd.DataFrame) -> Table:
    keys = ["bidder", "persona", "phase"]
    mine = dict(iter(real.groupby(keys, sort=True)))
    rows = [
        (str(bidder), str(persona), str(phase), *_offers(own, mine.get(key, real.iloc[:0])))
        for key, own in bids.groupby(keys, sort=True)
        for bidder, persona, phase in [key]
    ]
    rows.sort(key=lambda row: (row[0], row[1], _order(row[2])))
    return Table(
        "Bids by bidder",
        (Column("bidder"), Column("persona"), Column("phase"), *OFFER_COLUMNS),
        tuple(rows[:MOST_ROWS]),
        note=_cut(len(rows)),
    )


def _cut(rows: int) -> str | None:
    if rows <= MOST_ROWS:
        return None
    return f"The first {MOST_ROWS} of {rows:,} rows; all are in findings/bids.parquet."
