"""The section on identifiers that parties exchange."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from echoaudit.report import standing
from echoaudit.report.figures.network import Link, Node, draw, rank
from echoaudit.report.parts import Column, Figure, Section, Table
from echoaudit.report.text import NOTHING, count, listed

MOST_ROWS = 400
MOST_OPEN = 24
"""Rows of a table that is not folded."""


def section(
    syncs: pd.DataFrame, parties: pd.DataFrame, graph: pd.DataFrame, partner_bids: pd.DataFrame
) -> Section:
    """Who sends whose identifier to whom, how far they travel, and what bidders offer.

    ``parties`` says who owns the domains; ``graph`` and ``partner_bids`` are the tables of findings
    ``sync_graph`` and ``partner_bids``.
    """
    title, short = "Who exchanges identifiers", "Identifiers"
    told = (*standing.reach(graph), *standing.offers(partner_bids))
    tables = tuple(table for table in told if len(table.rows) <= MOST_OPEN)
    folded = (
        *(table for table in told if len(table.rows) > MOST_OPEN),
        *standing.details(graph, partner_bids),
    )
    if syncs.empty:
        return Section(
            id="syncs",
            title=title,
            short=short,
            lead="No identifier of one party was seen in a request to another.",
            tables=tables,
            folded=folded,
        )
    owners = {
        str(row["domain"]): str(row["organisation"])
        for row in parties.to_dict("records")
        if row["organisation"]
    }
    platform = {str(d) for d in parties.loc[parties["party"] == "platform", "domain"]}
    links = _links(syncs)
    return Section(
        id="syncs",
        title=title,
        short=short,
        lead=(
            "A cookie sync hands one party's identifier of a browser to another, so that both "
            "know the same person. Only exchanges that pass through the browser can be seen."
        ),
        figures=(_figure(links, rank(links, platform), platform, owners),),
        tables=tables,
        folded=(_table(syncs, owners), *folded),
    )


def _links(syncs: pd.DataFrame) -> list[Link]:
    groups = syncs.groupby(["source", "target"], sort=True)
    return [Link(str(s), str(t), own["account"].nunique()) for (s, t), own in groups]


def _figure(
    links: list[Link], nodes: list[Node], platform: set[str], owners: Mapping[str, str]
) -> Figure:
    title = _title(links, nodes, platform)
    canvas = draw(links, nodes, title)
    return Figure(
        id="sync-graph",
        title=title,
        description=(
            "An arrow leads from the party whose identifier is sent to the party that receives "
            "it. Left: the platform. Middle: parties that exchange identifiers with it. Right: "
            "parties that exchange identifiers with others only."
        ),
        drawing=canvas.markup(),
        table=Table(
            "Who sends identifiers to whom",
            (
                Column("source"),
                Column("its owner"),
                Column("target"),
                Column("its owner"),
                Column("accounts", numeric=True),
            ),
            tuple(
                (
                    link.source,
                    owners.get(link.source, NOTHING),
                    link.target,
                    owners.get(link.target, NOTHING),
                    str(link.accounts),
                )
                for link in links[:MOST_ROWS]
            ),
        ),
        wide=True,
    )


def _title(links: list[Link], nodes: list[Node], platform: set[str]) -> str:
    to_it = {link.source for link in links if link.target in platform} - platform
    from_it = {link.target for link in links if link.source in platform} - platform
    others = sum(node.rank == 2 for node in nodes)
    if not platform & {node.name for node in nodes}:
        parties = count(len(nodes), "party", "parties")
        return f"{parties} exchange identifiers, none of them with the platform"
    sends = count(len(to_it), "party sends its", "parties send their")
    gets = count(len(from_it), "party", "parties") if from_it else "nobody"
    first = f"{sends} identifiers to the platform, which sends its own to {gets}"
    return (
        f"{first}; {count(others, 'more party takes', 'more parties take')} part"
        if others
        else first
    )


def _table(syncs: pd.DataFrame, owners: Mapping[str, str]) -> Table:
    rows = []
    for (source, target), own in syncs.groupby(["source", "target"], sort=True):
        by_persona = own.groupby("persona")["account"].nunique()
        rows.append(
            (
                _with_owner(str(source), owners),
                _with_owner(str(target), owners),
                listed([f"{persona} {n}" for persona, n in sorted(by_persona.items())]),
                f"{own['visit'].nunique():,}",
                *(_values(own[name]) for name in ("encoding", "place")),
                f"{own['identifier'].nunique():,}",
            )
        )
    return Table(
        "Exchanges of identifiers",
        (
            Column("identifier of"),
            Column("sent to"),
            Column("accounts"),
            Column("visits", numeric=True),
            Column("encodings"),
            Column("places"),
            Column("identifiers", numeric=True),
        ),
        tuple(rows[:MOST_ROWS]),
        note=(
            f"The first {MOST_ROWS} of {len(rows):,} pairs; all are in findings/syncs.parquet."
            if len(rows) > MOST_ROWS
            else None
        ),
    )


def _with_owner(domain: str, owners: Mapping[str, str]) -> str:
    return f"{domain} ({owners[domain]})" if domain in owners else domain


def _values(column: pd.Series[str]) -> str:
    return listed(sorted({str(value) for value in column.dropna()}) or [NOTHING])
