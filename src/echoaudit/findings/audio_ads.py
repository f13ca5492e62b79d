"""Ads in recorded streams: each of them, each creative, and what each persona heard where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from echoaudit.findings.labels import Label, labelled
from echoaudit.findings.people import shares, treated
from echoaudit.outcomes.schema import Column, Schema

ADS = Schema(
    "audio_ads",
    "Audio ads: one row per segment of a stream that is called an ad.",
    (
        Column("segment", "string", "The segment (table `audio_segments`)."),
        Column("account", "string", "Account whose device played it."),
        Column("persona", "string", "Persona of the account."),
        Column("service", "string", "Streaming service."),
        Column("creative", "string", "The creative: the segments' common sound."),
        Column("at", "float", "Where it begins in the step's recording.", "s of sound"),
        Column("seconds", "float", "Its length.", "s of sound"),
        Column("time", "float", "About when it was heard.", "s since 1970"),
        Column("brand", "string", "The brand it names; empty when none is recognised."),
        Column("basis", "string", "What speaks for an ad; `label` when a person said so."),
        Column("confidence", "string", "`high`, `medium`, `low`, or `label`."),
        Column("text", "string", "Transcript of this play."),
    ),
)
CREATIVES = Schema(
    "creatives",
    "Audio creatives: who heard each, and whether it is one persona's own.",
    (
        Column("creative", "string", "The creative."),
        Column("brand", "string", "Its brand; empty when none is recognised."),
        Column("confidence", "string", "That it is an ad: `high`, `medium`, `low`, or `label`."),
        Column("plays", "int", "How often it was heard."),
        Column("accounts", "int", "Accounts that heard it."),
        Column("personas", "string", "Accounts of each persona that heard it: `fashion 2 of 3`."),
        Column("services", "string", "Where it was heard."),
        Column("interests", "string", "Interests of the study that its words fit."),
        Column(
            "exclusive_to", "string", "The only persona that heard it, in two accounts at least."
        ),
        Column(
            "p", "float", "Chance that so many accounts fall into one treated persona; 1 if not."
        ),
        Column("p_adjusted", "float", "Corrected for all ads (Benjamini and Hochberg)."),
        Column("exclusive", "bool", "Whether it is called the persona's own."),
        Column("text", "string", "Its longest transcript."),
    ),
)
COUNTS = Schema(
    "ad_counts",
    "Audio ads by persona and service, with how long was listened and was meant to be.",
    (
        Column("persona", "string", "The persona."),
        Column("service", "string", "Streaming service."),
        Column("accounts", "int", "Accounts that heard it."),
        Column("accounts_planned", "int", "Accounts that were meant to."),
        Column("parts_silent", "int", "Parts that never played, or that did not happen."),
        Column("hours_planned", "float", "Hours meant to be heard; empty when not told.", "h"),
        Column("hours", "float", "Hours of sound recorded.", "h"),
        Column("ads", "int", "Ads heard."),
        Column("ads_per_hour", "float", "Ads per hour of sound."),
        Column("creatives", "int", "Different creatives among them."),
        Column("exclusive", "int", "Creatives called this persona's own."),
    ),
)


def ads_table(segments: pd.DataFrame, labels: Mapping[str, Label]) -> pd.DataFrame:
    """The segments that are ads by the rules, or by a person's labels."""
    judged = labelled(segments, labels)
    ads = judged[judged["is_ad"].fillna(False).astype(bool)]
    return ADS.conform(ads.rename(columns={"sound": "creative"})[ADS.names])


def creatives_table(
    ads: pd.DataFrame, segments: pd.DataFrame, study: Mapping[str, Any]
) -> pd.DataFrame:
    """One row per creative."""
    from echoaudit.findings.interests import fitting, interests_of
    from echoaudit.inference.exclusivity import exclusive

    persona_of = _listeners(segments)
    known = [p for p in treated(study) if p in set(persona_of.values())]
    heard = {str(c): frozenset(map(str, own["account"])) for c, own in ads.groupby("creative")}
    judged = {one.ad: one for one in exclusive(heard, persona_of, known)}
    interests = interests_of(study)
    rows = []
    for creative, own in ads.groupby("creative", sort=True):
        one = judged[str(creative)]
        texts = sorted({str(text) for text in own["text"].dropna()}, key=lambda t: (-len(t), t))
        rows.append(
            {
                "creative": creative,
                "brand": _most(own["brand"]),
                "confidence": _most(own["confidence"]),
                "plays": len(own),
                "accounts": one.accounts,
                "personas": ", ".join(shares(own, persona_of)),
                "services": " ".join(sorted(set(own["service"]))),
                "interests": "; ".join(fitting(" ".join(texts), interests)),
                "exclusive_to": one.persona,
                "p": one.p,
                "p_adjusted": one.adjusted,
                "exclusive": one.claimed,
                "text": texts[0] if texts else "",
            }
        )
    return CREATIVES.conform(rows)


def counts_table(
    ads: pd.DataFrame, creatives: pd.DataFrame, segments: pd.DataFrame, steps: pd.DataFrame
) -> pd.DataFrame:
    """One row per persona and service that was, or was meant to be, listened to."""
    own = creatives[creatives["exclusive"].fillna(False).astype(bool)]
    planned = steps[steps["kind"] == "stream"]
    keys = ["persona", "service"]
    pairs = {tuple(map(str, pair)) for table in (planned, segments) for pair in _pairs(table, keys)}
    rows = []
    for persona, service in sorted(pairs):
        heard, here, meant = (
            table[(table["persona"] == persona) & (table["service"] == service)]
            for table in (segments, ads, planned)
        )
        mine = own[own["exclusive_to"] == persona]["creative"]
        hours = _hours(heard) if len(heard) else 0.0
        told = len(meant) and meant["seconds_planned"].notna().all()
        rows.append(
            {
                "persona": persona,
                "service": service,
                "accounts": heard["account"].nunique(),
                "accounts_planned": pd.concat([heard["account"], meant["account"]]).nunique(),
                "parts_silent": int((meant["state"] != "complete").sum()),
                "hours_planned": round(meant["seconds_planned"].sum() / 3600, 3) if told else None,
                "hours": round(hours, 3),
                "ads": len(here),
                "ads_per_hour": round(len(here) / hours, 2) if hours else None,
                "creatives": here["creative"].nunique(),
                "exclusive": here[here["creative"].isin(mine)]["creative"].nunique(),
            }
        )
    return COUNTS.conform(rows)


def _pairs(table: pd.DataFrame, keys: list[str]) -> Iterator[tuple[Any, ...]]:
    return table[keys].dropna().drop_duplicates().itertuples(index=False, name=None)


def _hours(segments: pd.DataFrame) -> float:
    """Hours from the beginning of each step's recording to the end of its last segment."""
    ends = segments["at"] + segments["seconds"]
    steps = segments["segment"].str.partition("@")[0]
    return float(ends.groupby(steps).max().sum()) / 3600


def _listeners(segments: pd.DataFrame) -> dict[str, str]:
    pairs = segments[["account", "persona"]].drop_duplicates()
    return dict(zip(pairs["account"], pairs["persona"], strict=True))


def _most(values: pd.Series[str]) -> str:
    counts = values.fillna("").value_counts()
    return str(min(counts.index, key=lambda v: (-counts[v], str(v)))) if len(counts) else ""
