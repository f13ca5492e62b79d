"""The section on what the reader's own lists say."""

from __future__ import annotations

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import count

MOST_ROWS = 400
_COLUMNS = ["host", "list", "says", "rule", "types", "organisation", "category", "conflict"]
_DISPUTES = {
    "organisation": "whose it is",
    "purpose": "what it is for",
    "listing": "whether to list it",
}
"""What lists disagree on, worst first."""


def section(listed: pd.DataFrame) -> Section:
    """Hosts that installed lists know, with rule and owner; where lists disagree, first."""
    ordered = _ordered(listed)
    rows = tuple(
        tuple(str(value) for value in row)
        for row in ordered[_COLUMNS].head(MOST_ROWS).itertuples(index=False, name=None)
    )
    return Section(
        id="listed",
        title="What installed lists say",
        short="Lists",
        lead=_lead(listed),
        tables=(
            Table(
                "Listed or owned by whom, by which rule",
                tuple(Column(label) for label in (*_COLUMNS[:-1], "lists disagree on")),
                rows,
                note=(
                    f"The first {MOST_ROWS} of {len(ordered):,} rows; all are in "
                    "findings/listed.parquet."
                    if len(ordered) > MOST_ROWS
                    else None
                ),
            ),
        ),
    )


def _ordered(listed: pd.DataFrame) -> pd.DataFrame:
    """Hosts with the worst dispute first; the rows of a host stay together."""
    kinds = list(_DISPUTES)
    worst = listed["conflict"].map(
        lambda said: next((n for n, kind in enumerate(kinds) if kind in said), len(kinds))
    )
    return listed.assign(worst=worst).sort_values(["worst", "host", "list"])


def _lead(listed: pd.DataFrame) -> str:
    hosts = listed.drop_duplicates("host")
    disputed = [
        f"of {n:,} on {what}"
        for kind, what in _DISPUTES.items()
        if (n := int(hosts["conflict"].str.contains(kind).sum()))
    ]
    disagree = f"The lists disagree {', '.join(disputed)}. " if disputed else ""
    return (
        f"{count(len(hosts), 'host')} known to the lists installed for this report, beside what "
        f"echoaudit’s own list says. {disagree}“Listed” is what a list says of a host as a whole, "
        "not what the host does; an owner of shared hosting is not the party responsible."
    )
