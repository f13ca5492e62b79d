"""The section on ads that streaming services played."""

from __future__ import annotations

from typing import Any

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, count, listed

MOST_ROWS = 300


def section(counts: pd.DataFrame, creatives: pd.DataFrame, ads: pd.DataFrame) -> Section:
    """Ads by persona and service, and each creative with who heard it."""
    return Section(
        id="audio-ads",
        title="Ads that were heard",
        short="Audio ads",
        lead=_lead(counts, creatives, ads),
        tables=(_counts(counts), _creatives(creatives)) if len(ads) else (_counts(counts),),
        folded=(_plays(ads),) if len(ads) else (),
    )


def _lead(counts: pd.DataFrame, creatives: pd.DataFrame, ads: pd.DataFrame) -> str:
    hours, planned = float(counts["hours"].sum()), counts["hours_planned"]
    whole = f" of {planned.sum():.1f} planned" if planned.notna().all() else ""
    heard = f"In {hours:.1f}{whole} hours of streams {count(len(ads), 'ad')} were heard"
    if ads.empty:
        return f"{heard}."
    own = creatives[creatives["exclusive"].fillna(False).astype(bool)]
    personas = sorted(set(own["exclusive_to"].astype(str)))
    told = (
        f"{count(len(own), 'creative')} reached accounts of one persona only, more often than "
        f"chance deals out ({listed(personas)})"
        if len(own)
        else "no creative is shown to belong to one persona only"
    )
    return f"{heard}, {count(len(creatives), 'different creative')}; {told}."


def _counts(counts: pd.DataFrame) -> Table:
    rows = [
        (
            str(row["persona"]),
            str(row["service"]),
            f"{row['accounts']} / {row['accounts_planned']}",
            f"{row['hours']:.1f}",
            NOTHING if pd.isna(row["hours_planned"]) else f"{row['hours_planned']:.1f}",
            f"{row['parts_silent']:,}",
            f"{row['ads']:,}",
            NOTHING if pd.isna(row["ads_per_hour"]) else f"{row['ads_per_hour']:.1f}",
            f"{row['creatives']:,}",
            f"{row['exclusive']:,}",
        )
        for row in counts.to_dict("records")
    ]
    labels = (
        "accounts",
        "hours",
        "planned",
        "silent parts",
        "ads",
        "ads an hour",
        "creatives",
        "its own",
    )
    return Table(
        "Ads by persona and service",
        (Column("persona"), Column("service"), *(Column(label, numeric=True) for label in labels)),
        tuple(rows),
        note=(
            "Its own: creatives that at least two accounts of the persona heard and nobody else, "
            "where permuting the accounts\u2019 labels makes that unlikely (5 %, corrected for all "
            "creatives)."
        ),
    )


def _creatives(creatives: pd.DataFrame) -> Table:
    ordered = creatives.sort_values(
        ["exclusive", "plays", "creative"], ascending=[False, False, True]
    )
    return Table(
        "Creatives",
        (
            Column("creative"),
            Column("brand"),
            Column("sure"),
            Column("plays", numeric=True),
            Column("accounts that heard it"),
            Column("fits the interest"),
            Column("its own"),
            Column("p, corrected", numeric=True),
            Column("words, as transcribed"),
        ),
        tuple(_creative(row) for row in ordered.head(MOST_ROWS).to_dict("records")),
        note=_more(len(creatives), "creatives", "creatives"),
    )


def _creative(row: Any) -> tuple[str, ...]:
    own = f"{row['exclusive_to']}" if row["exclusive"] else NOTHING
    return (
        str(row["creative"]),
        str(row["brand"]) or NOTHING,
        str(row["confidence"]),
        f"{row['plays']:,}",
        str(row["personas"]),
        str(row["interests"]) or NOTHING,
        own,
        NOTHING if pd.isna(row["p_adjusted"]) else f"{row['p_adjusted']:.3f}",
        str(row["text"]),
    )


def _plays(ads: pd.DataFrame) -> Table:
    rows = tuple(
        (str(row["segment"]), str(row["creative"]), f"{row['seconds']:.1f}", str(row["basis"]))
        for row in ads.head(MOST_ROWS).to_dict("records")
    )
    return Table(
        "Every ad",
        (
            Column("segment"),
            Column("creative"),
            Column("seconds", numeric=True),
            Column("what speaks for an ad"),
        ),
        rows,
        note=_more(len(ads), "ads", "audio_ads"),
    )


def _more(rows: int, what: str, name: str) -> str | None:
    if rows <= MOST_ROWS:
        return None
    return f"The first {MOST_ROWS} of {rows:,} {what}; all are in findings/{name}.parquet."
