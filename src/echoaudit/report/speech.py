"""The section on what was said and what the Echos answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, count, listed, share

MOST_ROWS = 300
TALK = ("converse", "answer")
"""Purposes of sentences that are for a skill."""


def section(utterances: pd.DataFrame, enabling: pd.DataFrame, skills: Mapping[str, str]) -> Section:
    """Sentences by skill, and each of them; ``skills`` are names by id."""
    asked = utterances[utterances["purpose"] != "stop"]
    if asked.empty:
        return Section(
            id="speech", title="What was said", short="Speech", lead="No sentence was said."
        )
    named = asked.assign(
        name=asked["skill"].map(lambda s: skills.get(str(s), s)).fillna("no skill"),
        delivered=asked["delivered"].fillna(False).astype(bool),
        who=[
            _who(str(by), str(answerer), skills)
            for by, answerer in zip(asked["answered_by"], asked["answerer"], strict=True)
        ],
    )
    keys = ["account", "persona", "name", "sentence"]
    sentences = named.groupby(keys, as_index=False).agg(
        session=("session", "last"),
        turn=("turn", "last"),
        purpose=("purpose", "last"),
        text=("text", "first"),
        delivered=("delivered", "max"),
        attempts=("attempt", "size"),
        reply=("reply", "last"),
        who=("who", "last"),
        by=("answered_by", "last"),
        basis=("basis", "last"),
        confidence=("confidence", "last"),
    )
    again = int((sentences["attempts"] > 1).sum())
    heard = int(sentences["delivered"].sum())
    return Section(
        id="speech",
        title="What was said",
        short="Speech",
        lead=(
            f"{count(len(sentences), 'sentence')} spoken aloud, {share(heard, len(sentences))} "
            f"delivered, {again:,} said more than once. " + _answerers(sentences)
        ),
        tables=(_skills(sentences),),
        folded=(_transcript(sentences), *_store(enabling, skills)),
    )


def _who(by: str, answerer: str, skills: Mapping[str, str]) -> str:
    """Who answered, in words."""
    other = skills.get(answerer, answerer)
    return f"another skill: {other}" if by == "other skill" else by or NOTHING


def _answerers(sentences: pd.DataFrame) -> str:
    """Who answered what was said to skills."""
    talk = sentences[sentences["purpose"].isin(TALK)]
    counts = talk["by"].value_counts()
    labels = {
        "skill": "the skill meant",
        "other skill": "another skill",
        "platform": "the platform",
        "nobody": "nobody",
        "unknown": "somebody unknown",
    }
    parts = [f"{label} ({counts[by]:,})" for by, label in labels.items() if counts.get(by, 0)]
    return f"What was said to skills was answered by {listed(parts, 5)}." if parts else ""


def _skills(sentences: pd.DataFrame) -> Table:
    rows = [
        (
            str(name),
            str(persona),
            f"{own['account'].nunique()}",
            f"{int(own['delivered'].sum())} / {len(own)}",
            f"{int((own['by'] == 'other skill').sum()) or NOTHING}",
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
            Column("delivered", numeric=True),
            Column("answered by another", numeric=True),
            Column("an answer, as transcribed"),
        ),
        tuple(rows),
    )


def _example(own: pd.DataFrame) -> str:
    """The longest reply, the first in order where several are as long."""
    replies = sorted({str(r) for r in own.loc[own["delivered"], "reply"].dropna() if str(r)})
    return max(replies, key=len) if replies else NOTHING


def _transcript(sentences: pd.DataFrame) -> Table:
    ordered = sentences.sort_values(["account", "session", "turn"])
    rows = tuple(
        (
            str(row["account"]),
            str(row["name"]),
            str(row["text"]),
            "yes" if row["delivered"] else "no",
            str(row["attempts"]),
            str(row["who"]),
            " ".join(str(row[key]) for key in ("basis", "confidence") if row[key]) or NOTHING,
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
            Column("delivered"),
            Column("attempts", numeric=True),
            Column("who answered"),
            Column("by what evidence"),
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


def _store(enabling: pd.DataFrame, skills: Mapping[str, str]) -> tuple[Table, ...]:
    """What was done in the store, when anything was."""
    if enabling.empty:
        return ()
    rows = tuple(
        (
            str(row["account"]),
            skills.get(str(row["skill"]), str(row["skill"])),
            str(row["action"]),
            str(row["attempt"]),
            str(row["state"]),
            _reply(row["reason"]),
        )
        for row in enabling.head(MOST_ROWS).to_dict("records")
    )
    heads = ("account", "skill", "action", "attempt", "what came of it", "why")
    columns = tuple(Column(head, numeric=head == "attempt") for head in heads)
    return (Table("Skills in the store", columns, rows, note=_cut(enabling)),)


def _cut(enabling: pd.DataFrame) -> str | None:
    return (
        f"The first {MOST_ROWS} of {len(enabling):,}; all are in findings/enabling.parquet."
        if len(enabling) > MOST_ROWS
        else None
    )


def _reply(value: Any) -> str:
    return NOTHING if pd.isna(value) or not str(value) else str(value)
