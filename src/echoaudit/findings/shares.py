"""Who receives which share of what skills cause: the study's endpoint table, tidy.

A contact is a distinct (persona, skill, host), as in the study: how often and in how many accounts
it happened does not matter. It is attributed when the attribution rule gives it to the skill in at
least one account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.organisations import label
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

_PURPOSES = {
    "advertising": "tracking",
    "tracking": "tracking",
    "functional": "functional",
    "hosting": "functional",
}
SHARES = Schema(
    "shares",
    "Contacts, connections and bytes of each persona's skills by organisation and purpose.",
    (
        Column("persona", "string", "Persona whose skills they are."),
        Column("party", "string", "`platform`, `vendor`, `third` or `unknown`."),
        Column("purpose", "string", "`functional`, `tracking` or `unknown`."),
        Column("organisation", "string", "Owner of the names, or what is known instead."),
        Column("contacts", "int", "Distinct (skill, host)."),
        Column("flows", "int", "Connections, also to servers without a name."),
        Column("bytes", "int", "Their bytes, both ways.", "bytes"),
        Column("skills", "int", "Skills in whose sessions there was a connection."),
        Column("accounts", "int", "Accounts in whose sessions there was one."),
        Column("attributed_contacts", "int", "Contacts that count for the skill."),
        Column("attributed_flows", "int", "Connections that count for the skill."),
        Column("attributed_bytes", "int", "Bytes that count for the skill.", "bytes"),
        Column("attributed_skills", "int", "Skills for which one counts."),
        Column("attributed_accounts", "int", "Accounts in which one counts."),
    ),
)
REACH = Schema(
    "reach",
    "How many skills of each persona contacted the platform, their vendor or third parties.",
    (
        Column("persona", "string", "Persona whose skills they are."),
        Column("party", "string", "`platform`, `vendor`, `third` or `unknown`."),
        Column("skills", "int", "Skills in whose sessions there was such a contact."),
        Column("attributed_skills", "int", "Skills for which one counts."),
        Column("of", "int", "Skills of the persona with a captured session."),
    ),
)
PARTIES = ("platform", "vendor", "third", "unknown")


def shares_table(attribution: pd.DataFrame) -> pd.DataFrame:
    """One row per persona, party, purpose and organisation."""
    keys = ["persona", "party", "purpose", "organisation"]
    rows = attribution.assign(
        purpose=[_PURPOSES.get(str(role), "unknown") for role in attribution["role"]],
        organisation=[
            label(*map(str, three))
            for three in zip(
                *(attribution[name] for name in ("organisation", "hosted_by", "domain")),
                strict=True,
            )
        ],
    )
    return SHARES.conform(
        [
            {**dict(zip(keys, key, strict=True)), **_measures(own)}
            for key, own in rows.groupby(keys, sort=True)
        ]
    )


def _measures(own: pd.DataFrame) -> dict[str, int]:
    found = dict(_counts(own))
    counted = _counts(own[own["verdict"] == "skill"])
    return found | {f"attributed_{name}": number for name, number in counted}


def _counts(own: pd.DataFrame) -> Iterator[tuple[str, int]]:
    named = own[own["host"] != ""]
    yield "contacts", len(named[["skill", "host"]].drop_duplicates())
    yield "flows", int(own["flows"].sum())
    yield "bytes", int(own["bytes"].sum())
    yield "skills", int(own["skill"].nunique())
    yield "accounts", int(own["account"].nunique())


def reach_table(
    attribution: pd.DataFrame,
    captures: pd.DataFrame,
    steps: pd.DataFrame,
    excluded: pd.DataFrame,
) -> pd.DataFrame:
    """One row per persona with sessions and party, also where it was never contacted."""
    seen = set(captures.loc[captures["status"] != "missing", "session"])
    seen -= set(excluded["session"])
    asked = steps[steps["step"].isin(seen) & (steps["kind"] == "session") & steps["skill"].notna()]
    rows: list[dict[str, Any]] = []
    for persona, own in asked.groupby("persona", sort=True):
        contacts = attribution[attribution["persona"] == persona]
        for party in PARTIES:
            there = contacts[contacts["party"] == party]
            counted = there[there["verdict"] == "skill"]
            rows.append(
                {
                    "persona": persona,
                    "party": party,
                    "skills": there["skill"].nunique(),
                    "attributed_skills": counted["skill"].nunique(),
                    "of": own["skill"].nunique(),
                }
            )
    return REACH.conform(rows)
