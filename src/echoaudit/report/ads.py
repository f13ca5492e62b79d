"""The section on ads that filled the slots of visited pages, with a gallery."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from echoaudit.report.parts import Card, Column, Section, Table
from echoaudit.report.text import NOTHING, clean, count, listed

MOST_ROWS = 300
ALT = 160
"""Characters of an ad's words that stand for its picture."""


def gallery_order(creatives: pd.DataFrame) -> list[str]:
    """Creatives in the order in which a reader wants to see them: a persona's own ones first."""
    return [str(name) for name in _ordered(creatives)["creative"]]


def section(
    creatives: pd.DataFrame, channels: pd.DataFrame, pictures: Mapping[str, bytes]
) -> Section:
    """Ads by persona and channel, and each creative with who saw it.

    ``pictures`` are JPEGs by creative.
    """
    ordered = _ordered(creatives)
    rows = ordered.to_dict("records")
    return Section(
        id="ads",
        title="Ads on the pages",
        short="Ads",
        lead=_lead(creatives, channels),
        cards=tuple(_card(row, pictures) for row in rows if row["creative"] in pictures),
        cards_title="Ads as they were shown, a persona\u2019s own ones first",
        tables=(_channels(channels),),
        folded=(_creatives(rows),),
    )


def _ordered(creatives: pd.DataFrame) -> pd.DataFrame:
    own = creatives["exclusive"].fillna(False).astype(bool)
    keyed = creatives.assign(own=own, whose=creatives["party"] != "")
    by = ["own", "whose", "accounts", "impressions", "creative"]
    return keyed.sort_values(by, ascending=[False, False, False, False, True])


def _lead(creatives: pd.DataFrame, channels: pd.DataFrame) -> str:
    number = int(channels["ads"].sum())
    known = sorted(set(creatives["advertiser"].astype(str)) - {""})
    told = (
        f"{count(number, 'ad')} filled slots: {count(len(creatives), 'creative')} of "
        f"{count(len(known), 'known advertiser')}"
    )
    unknown = int((creatives["advertiser"] == "").sum())
    if unknown:
        told += f" ({count(unknown, 'creative')} of unknown ones)"
    own = creatives[creatives["exclusive"].fillna(False).astype(bool)]
    personas = listed(sorted(set(own["exclusive_to"].astype(str))))
    return (
        f"{told}. {count(len(own), 'creative')} reached accounts of one persona only, more often "
        f"than chance deals out ({personas})."
        if len(own)
        else f"{told}. No creative is shown to belong to one persona only."
    )


def _card(row: Mapping[Any, Any], pictures: Mapping[str, bytes]) -> Card:
    encoded = base64.b64encode(pictures[str(row["creative"])]).decode("ascii")
    advertiser = str(row["advertiser"]) or "unknown advertiser"
    words = clean(row["text"], ALT) if row["text"] else "no words"
    marks = {"platform": "the platform\u2019s own", "vendor": "of an installed skill\u2019s vendor"}
    facts = [
        f"seen by {row['personas']}" if row["personas"] else "seen before the treatment only",
        marks.get(str(row["party"]), ""),
        f"fits {row['interests']}" if row["interests"] else "",
    ]
    return Card(
        title=advertiser,
        image=Markup(f"data:image/jpeg;base64,{encoded}"),
        alt=f"Ad of {advertiser}: {words}",
        facts=tuple(fact for fact in facts if fact),
        mark=f"only {row['exclusive_to']}" if _is_own(row) else "",
    )


def _is_own(row: Mapping[Any, Any]) -> bool:
    return not pd.isna(row["exclusive"]) and bool(row["exclusive"])


def _channels(channels: pd.DataFrame) -> Table:
    numbers = {
        "accounts": "accounts",
        "slots": "slots",
        "ads": "ads",
        "creatives": "creatives",
        "advertisers": "advertisers",
        "platform_ads": "the platform\u2019s own",
        "vendor_ads": "of skills\u2019 vendors",
        "fitting_ads": "fit the interest",
        "exclusive": "its own creatives",
    }
    rows = tuple(
        (
            str(row["persona"]),
            str(row["phase"]),
            str(row["channel"]),
            *(NOTHING if pd.isna(row[name]) else f"{int(row[name]):,}" for name in numbers),
        )
        for row in channels.sort_values(["persona", "phase", "channel"]).to_dict("records")
    )
    return Table(
        "Ads by persona, phase and channel",
        (
            Column("persona"),
            Column("phase"),
            Column("channel"),
            *(Column(label, numeric=True) for label in numbers.values()),
        ),
        rows,
        note=(
            "Its own creatives: at least two accounts of the persona were shown it after the "
            "treatment and nobody else, where permuting the accounts\u2019 labels makes that "
            "unlikely (5 %, corrected for all creatives)."
        ),
    )


def _creatives(rows: list[dict[Any, Any]]) -> Table:
    cut = len(rows) > MOST_ROWS
    return Table(
        "Creatives",
        (
            Column("creative"),
            Column("advertiser"),
            Column("impressions", numeric=True),
            Column("accounts that saw it"),
            Column("sites", numeric=True),
            Column("fits"),
            Column("its own"),
            Column("p, corrected", numeric=True),
            Column("leads to"),
            Column("words"),
        ),
        tuple(_creative(row) for row in rows[:MOST_ROWS]),
        note=f"The first {MOST_ROWS} of {len(rows):,}; all are in findings/ad_creatives.parquet."
        if cut
        else None,
    )


def _creative(row: Mapping[Any, Any]) -> tuple[str, ...]:
    return (
        str(row["creative"]),
        str(row["advertiser"]) or NOTHING,
        f"{row['impressions']:,}",
        str(row["personas"]) or NOTHING,
        f"{row['sites']:,}",
        str(row["interests"]) or NOTHING,
        str(row["exclusive_to"]) if _is_own(row) else NOTHING,
        NOTHING if pd.isna(row["p_adjusted"]) else f"{row['p_adjusted']:.3f}",
        str(row["landing"]) or NOTHING,
        str(row["text"]) or NOTHING,
    )
