"""The section on what was said and what the Echos answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, count, share

MOST_ROWS = 300


def section(utterances: pd.DataFrame, skills: Mapping[str, str]) -> Section:
    """Sentences by skill, and each of them; ``skills`` are names by id."""
    asked = utterances[utterances["purpose"] != "stop"]
    if asked.empty:
        return Section(
            id="speech", title="What was said", short="Speech", lead="No sentence was said."
        )
    named = asked.assign(
        name=asked["skill"].map(lambda s: skills.get(str(s), s)).fillna("no skill"),
        delivered=asked["delivered"].fillna(False).astype(bool),
    )
    keys = ["account", "persona", "name", "session", "purpose", "text"]
    sentences = named.groupby(keys, as_index=False).agg(
        delivered=("delivered", "max"), attempts=("attempt", "max"), reply=("reply", "last")
    )
    again = int((sentences["attempts"] > 1).sum())
    heard = int(sentences["delivered"].sum())
    return Section(
        id="speech",
        title="What was said",
        short="Speech",
        lead=(
            f"{count(len(sentences), 'sentence')} spoken aloud, {share(heard, len(sentences))} "
            f"answered aloud, {again:,} said more than once."
        ),
        tables=(_skills(sentences),),
        folded=(_transcript(sentences),),
    )


def _skills(sentences: pd.DataFrame) -> Table:
    rows = [
        (
            str(name),
            str(persona),
            f"{own['account'].nunique()}",
            f"{int(own['delivered'].sum())} / {len(own)}",
            _example(own),
        )
        for (persona, name), own in sentences.groupby(["persona", "name"], sort=True)
    ]
    return Table(
        "Skills and their answers",
        (
            Column("skill"),
            Column("persona"),
            Column("accounts", numeric=True),
            Column("answered", numeric=True),
            Column("an answer, as transcribed"),
        ),
        tuple(rows),
    )


def _example(own: pd.DataFrame) -> str:
    """The longest reply, the first in order where several are as long."""
    replies = sorted({str(r) for r in own.loc[own["delivered"], "reply"].dropna() if str(r)})
    return max(replies, key=len) if replies else NOTHING


def _transcript(sentences: pd.DataFrame) -> Table:
    ordered = sentences.sort_values(["account", "session", "purpose", "text"])
    rows = tuple(
        (
            str(row["account"]),
            str(row["name"]),
            str(row["text"]),
            "yes" if row["delivered"] else "no",
            str(row["attempts"]),
            _reply(row["reply"]),
        )
        for row in ordered.head(MOST_ROWS).to_dict("records")
    )
    return Table(
        "Every sentence",
        (
            Column("account"),
            Column("skill"),
            Column("said"),
            Column("answered"),
            Column("attempts", numeric=True),
            Column("reply, as transcribed"),
        ),
        rows,
        note=(
            f"The first {MOST_ROWS} of {len(ordered):,} sentences; all are in "
            "findings/utterances.parquet."
            if len(ordered) > MOST_ROWS
            else None
        ),
    )


def _reply(value: Any) -> str:
    return NOTHING if pd.isna(value) or not str(value) else str(value)
