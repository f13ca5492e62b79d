"""The section on what the reader's own lists say."""

from __future__ import annotations

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import count

MOST_ROWS = 400
_COLUMNS = ["host", "list", "says", "rule", "types", "role"]


def section(listed: pd.DataFrame) -> Section:
    """Hosts that installed lists know, with the rule; where lists disagree, first."""
    hosts, disputed = listed["host"].nunique(), listed.loc[listed["conflict"], "host"].nunique()
    ordered = listed.sort_values(["conflict", "host", "list"], ascending=[False, True, True])
    rows = tuple(
        tuple(str(value) for value in row)
        for row in ordered[_COLUMNS].head(MOST_ROWS).itertuples(index=False, name=None)
    )
    return Section(
        id="listed",
        title="What installed lists say",
        short="Lists",
        lead=(
            f"{count(hosts, 'host')} known to the lists installed for this report; of "
            f"{disputed:,} the lists disagree. “Listed” is what a list says of a host as a whole, "
            "not what the host does."
        ),
        tables=(
            Table(
                "Listed by whom, by which rule",
                tuple(Column(label) for label in (*_COLUMNS[:-1], "role by echoaudit’s list")),
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
