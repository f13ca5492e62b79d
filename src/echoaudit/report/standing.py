"""How far identifiers travel from the platform, and what bidders offer by where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from echoaudit.report.parts import Column, Table
from echoaudit.report.text import NOTHING, count, listed, money, share

MOST_ROWS = 400
PHASES = ("before", "topic", "after")
NAMES = {
    "platform": "the platform",
    "partner": "partners",
    "downstream": "downstream",
    "apart": "apart",
    "unseen": "not observable",
    "unknown": "server unknown",
}
"""Standings of the tables ``sync_graph`` and ``partner_bids`` in words, in the order of steps."""
MEANINGS = {
    "partner": "exchange identifiers with the platform",
    "apart": "exchange identifiers, and were sent none by the platform, a partner or anyone "
    "downstream",
    "unseen": "asked for bids, and in no exchange that a browser could see: what the platform's "
    "servers tell them stays unknown",
}


def reach(graph: pd.DataFrame) -> tuple[Table, ...]:
    """How many parties are how many steps away; nothing where there are none."""
    if graph.empty:
        return ()
    keys = zip(graph["standing"].astype(str), graph["hops"].fillna(0).astype(int), strict=True)
    groups = graph.groupby(pd.Series(list(keys), index=graph.index), sort=True)
    rows = [
        (standing, steps, len(own), int((own["bidders"].fillna("") != "").sum()))
        for (standing, steps), own in groups
    ]
    rows.sort(key=lambda row: (_order(row[0]), row[1]))
    return (
        Table(
            "How far identifiers travel from the platform",
            (
                Column("where they stand"),
                Column("parties", numeric=True),
                Column("of these, asked for bids", numeric=True),
                Column("which parties these are"),
            ),
            tuple(
                (_place(standing, steps), f"{parties:,}", f"{bidders:,}", _meaning(standing, steps))
                for standing, steps, parties, bidders in rows
            ),
            note=_reached(graph),
        ),
    )


def offers(partner_bids: pd.DataFrame) -> tuple[Table, ...]:
    """Bids of partners beside those of others, a row for each persona and phase."""
    if partner_bids.empty:
        return ()
    found = sorted(set(partner_bids["standing"].astype(str)), key=lambda one: (_order(one), one))
    rows = []
    for (persona, phase), own in partner_bids.groupby(["persona", "phase"], sort=True):
        by_standing = {str(row["standing"]): row for row in own.to_dict("records")}
        cells = (_offer(by_standing.get(standing)) for standing in found)
        rows.append((str(persona), str(phase), *cells))
    rows.sort(key=lambda row: (row[0], _phase(row[1])))
    return (
        Table(
            "Median bid by where the bidder's server stands",
            (
                Column("persona"),
                Column("phase"),
                *(Column(NAMES.get(standing, standing), numeric=True) for standing in found),
            ),
            tuple(rows[:MOST_ROWS]),
            note=(
                "In brackets the number of bids. If only partners, and whom they send identifiers "
                "to, offer more after the treatment, what they know came through exchanges that "
                "a browser sees; if others do too, it came another way, such as between servers. "
                "This describes and tests nothing: bidders differ in more than in whom they "
                "exchange identifiers with." + _cut(len(rows), "partner_bids")
            ),
        ),
    )


def details(graph: pd.DataFrame, partner_bids: pd.DataFrame) -> Iterator[Table]:
    """Every party with its standing, and the offers in full; tables to be folded."""
    if len(graph):
        yield _parties(graph)
    if len(partner_bids):
        yield _offers(partner_bids)


def _order(standing: str) -> int:
    known = [*NAMES]
    return known.index(standing) if standing in known else len(known)


def _phase(phase: str) -> int:
    return PHASES.index(phase) if phase in PHASES else len(PHASES)


def _place(standing: str, steps: int) -> str:
    name = NAMES.get(standing, standing)
    return f"{name}, {steps} steps away" if standing == "downstream" else name


def _meaning(standing: str, steps: int) -> str:
    if standing == "downstream":
        senders = "a partner" if steps == 2 else f"a party that is {steps - 1} steps away"
        return f"are sent identifiers by {senders}"
    return MEANINGS.get(standing, NOTHING)


def _reached(graph: pd.DataFrame) -> str:
    standings = graph["standing"].astype(str)
    partners, beyond = (int((standings == one).sum()) for one in ("partner", "downstream"))
    farthest = graph.loc[standings == "downstream", "hops"].max()
    steps = "" if pd.isna(farthest) else f", up to {int(farthest)} steps away"
    return (
        f"{count(partners, 'partner')} and {count(beyond, 'party', 'parties')} downstream"
        f"{steps}. An arrow from one party to the next says that the next was sent an "
        "identifier, not that it was sent the platform's."
    )


def _offer(row: Mapping[Any, Any] | None) -> str:
    if row is None:
        return NOTHING
    median = row["median_usd"]
    return f"{NOTHING if pd.isna(median) else money(float(median))} ({int(row['bids']):,})"


def _parties(graph: pd.DataFrame) -> Table:
    rows = sorted(
        graph.to_dict("records"),
        key=lambda row: (
            _order(str(row["standing"])),
            0 if pd.isna(row["hops"]) else int(row["hops"]),
            str(row["domain"]),
        ),
    )
    return Table(
        "Where each party stands",
        (
            Column("domain"),
            Column("its owner"),
            Column("where it stands"),
            Column("reached through"),
            Column("exchange with the platform"),
            Column("sends to", numeric=True),
            Column("receives from", numeric=True),
            Column("accounts", numeric=True),
            Column("bidders"),
        ),
        tuple(
            (
                str(row["domain"]),
                _text(row["organisation"]),
                _place(str(row["standing"]), 0 if pd.isna(row["hops"]) else int(row["hops"])),
                _text(row["via"]),
                _exchange(row),
                *(f"{int(row[name]):,}" for name in ("sends_to", "receives_from", "accounts")),
                _text(row["bidders"]),
            )
            for row in rows[:MOST_ROWS]
        ),
        note=_cut(len(rows), "sync_graph").strip() or None,
    )


def _exchange(row: Mapping[Any, Any]) -> str:
    ways = [
        words
        for name, words in (("to_platform", "sends its own"), ("from_platform", "is sent some"))
        if not pd.isna(row[name]) and bool(row[name])
    ]
    return listed(ways) if ways else NOTHING


def _offers(partner_bids: pd.DataFrame) -> Table:
    rows = [
        (
            str(row["persona"]),
            str(row["phase"]),
            NAMES.get(str(row["standing"]), str(row["standing"])),
            f"{int(row['accounts']):,}",
            f"{int(row['requests']):,}",
            f"{int(row['bids']):,}",
            NOTHING if pd.isna(row["rate"]) else share(float(row["rate"]), 1.0),
            *(
                NOTHING if pd.isna(row[name]) else money(float(row[name]))
                for name in ("median_usd", "mean_usd")
            ),
            _text(row["bidders"]),
        )
        for row in sorted(
            partner_bids.to_dict("records"),
            key=lambda row: (
                str(row["persona"]),
                _phase(str(row["phase"])),
                _order(str(row["standing"])),
                str(row["standing"]),
            ),
        )
    ]
    return Table(
        "Bids by where the bidder's server stands",
        (
            Column("persona"),
            Column("phase"),
            Column("where the server stands"),
            *(
                Column(name, numeric=True)
                for name in ("accounts", "requests", "bids", "bid rate", "median", "mean")
            ),
            Column("bidders"),
        ),
        tuple(rows[:MOST_ROWS]),
        note=_cut(len(rows), "partner_bids").strip() or None,
    )


def _text(value: Any) -> str:
    return NOTHING if pd.isna(value) or value == "" else str(value)


def _cut(rows: int, table: str) -> str:
    if rows <= MOST_ROWS:
        return ""
    return f" The first {MOST_ROWS} of {rows:,} rows; all are in findings/{table}.parquet."
