"""The section on identifiers that parties exchange."""

from __future__ import annotations

import pandas as pd

from echoaudit.report.figures.network import Link, Node, draw, rank
from echoaudit.report.parts import Column, Figure, Section, Table
from echoaudit.report.text import count, listed

MOST_ROWS = 400


def section(syncs: pd.DataFrame, platform: set[str]) -> Section:
    """Who sends whose identifier to whom; ``platform`` are the platform's own domains."""
    if syncs.empty:
        lead = "No identifier of one party was seen in a request to another."
        return Section(
            id="syncs", title="Who exchanges identifiers", short="Identifiers", lead=lead
        )
    links = _links(syncs)
    nodes = rank(links, platform)
    return Section(
        id="syncs",
        title="Who exchanges identifiers",
        short="Identifiers",
        lead=(
            "A cookie sync hands one party's identifier of a browser to another, so that both "
            "know the same person. Only exchanges that pass through the browser can be seen."
        ),
        figures=(_figure(links, nodes, platform),),
        folded=(_table(syncs),),
    )


def _links(syncs: pd.DataFrame) -> list[Link]:
    groups = syncs.groupby(["source", "target"], sort=True)["account"].nunique()
    return [Link(str(s), str(t), int(n)) for (s, t), n in groups.items()]


def _figure(links: list[Link], nodes: list[Node], platform: set[str]) -> Figure:
    title = _title(links, nodes, platform)
    canvas = draw(links, nodes, title)
    return Figure(
        id="sync-graph",
        title=title,
        description=(
            "An arrow leads from the party whose identifier is sent to the party that receives "
            "it. Left: the platform. Middle: parties that exchange identifiers with it. Right: "
            "parties that get identifiers from others only."
        ),
        drawing=canvas.markup(),
        table=Table(
            "Who sends identifiers to whom",
            (Column("source"), Column("target"), Column("accounts", numeric=True)),
            tuple((link.source, link.target, str(link.accounts)) for link in links[:MOST_ROWS]),
        ),
        wide=True,
    )


def _title(links: list[Link], nodes: list[Node], platform: set[str]) -> str:
    to_it = {link.source for link in links if link.target in platform} - platform
    from_it = {link.target for link in links if link.source in platform} - platform
    onward = [node for node in nodes if node.rank == 2]
    if not platform & {node.name for node in nodes}:
        return (
            f"{count(len(nodes), 'party', 'parties')} exchange identifiers, none with the platform"
        )
    parts = [f"{count(len(to_it), 'party sends', 'parties send')} identifiers to the platform"]
    parts.append(f"the platform sends its own to {len(from_it) or 'none'}")
    if onward:
        parts.append(f"identifiers reach {len(onward)} more")
    return listed(parts)


def _table(syncs: pd.DataFrame) -> Table:
    rows = []
    for (source, target), own in syncs.groupby(["source", "target"], sort=True):
        by_persona = own.groupby("persona")["account"].nunique()
        rows.append(
            (
                str(source),
                str(target),
                listed([f"{persona} {n}" for persona, n in sorted(by_persona.items())]),
                f"{own['visit'].nunique():,}",
                listed(sorted(set(own["encoding"].dropna().astype(str)))),
                listed(sorted(set(own["place"].dropna().astype(str)))),
                listed(sorted(set(own["identifier"].dropna().astype(str))), 2),
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
            Column("identifiers (as tokens)"),
        ),
        tuple(rows[:MOST_ROWS]),
        note=(
            f"The first {MOST_ROWS} of {len(rows):,} pairs; all are in findings/syncs.parquet."
            if len(rows) > MOST_ROWS
            else None
        ),
    )
