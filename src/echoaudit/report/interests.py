"""The section on what the platform says that accounts are interested in."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from echoaudit.inference.items import items
from echoaudit.outcomes.schema import in_order
from echoaudit.report.endpoints import shade
from echoaudit.report.parts import Cell, Column, Section, Table
from echoaudit.report.text import count, listed, moment

MOST_ROWS = 60
LONG_ROWS = 400
_SHOWN = [
    "account", "phase", "requested", "latest", "state", "files", "interests", "advertisers",
]  # fmt: skip


def section(interests: pd.DataFrame, requests: pd.DataFrame) -> Section:
    """Interests by persona, by the platform's own answers to data requests."""
    folded = [_requests(requests), _entries(interests)]
    return Section(
        id="interests",
        title="What the platform says its customers are interested in",
        short="Interests",
        lead=_lead(interests, requests),
        tables=(_matrix(interests, requests),),
        folded=tuple(folded),
    )


def _told(requests: pd.DataFrame, phase: str) -> dict[str, int]:
    """Accounts of each persona to which the platform sent interests, last asked in the phase."""
    told = requests[
        requests["latest"].astype(bool)
        & (requests["phase"] == phase)
        & (requests["state"] == "answered")
    ]
    found = told.groupby("persona")["account"].nunique()
    return {str(persona): int(number) for persona, number in found.items()}


def _lead(interests: pd.DataFrame, requests: pd.DataFrame) -> str:
    told = {phase: _told(requests, phase) for phase in ("before", "after")}
    asked = count(requests["account"].nunique(), "account")
    words = [f"The platform was asked what it knows of {asked}"]
    if not told["after"]:
        return f"{words[0]}; it sent no interests of any after the treatment."
    found = items("interests", {"interests": interests, "data_requests": requests})
    persona_of = dict(zip(requests["account"].astype(str), requests["persona"], strict=True))
    for persona in told["after"]:
        own = [s for account, s in found.compared.items() if persona_of[account] == persona]
        most = max((len(s) for s in own), default=0)
        least = min((len(s) for s in own), default=0)
        reach = f"{least:,} to {most:,}" if least < most else f"{most:,}"
        words.append(f"{reach} an account of {persona} ({count(len(own), 'account')})")
    new = " that the account did not have before" if found.before else ""
    note = "" if found.before else (
        " Nothing is known of interests before the treatment: platforms give them to new accounts, "
        "too."
    )  # fmt: skip
    return f"{words[0]}. Interests{new}: {listed(words[1:], 12)}.{note}"


def _matrix(interests: pd.DataFrame, requests: pd.DataFrame) -> Table:
    """Interest by persona: how many accounts came to have it, those of fewest personas first."""
    found = items("interests", {"interests": interests, "data_requests": requests})
    persona_of = dict(zip(requests["account"].astype(str), map(str, requests["persona"]),
                          strict=True))  # fmt: skip
    asked = dict.fromkeys(sorted(set(persona_of.values())), 0)
    having: dict[str, dict[str, int]] = {}
    for account, own in found.compared.items():
        persona = persona_of[account]
        asked[persona] += 1
        for interest in own:
            row = having.setdefault(interest, {})
            row[persona] = row.get(persona, 0) + 1
    order = sorted(having, key=lambda one: (len(having[one]), -sum(having[one].values()), one))
    rows: list[tuple[Cell, ...]] = [
        (one, *(shade(having[one].get(persona, 0), asked[persona]) for persona in asked))
        for one in order[:MOST_ROWS]
    ]
    notes = [
        "Interests that an account had before the treatment are left out."
        if found.before
        else "After the treatment, whatever an account had before."
    ]
    if len(order) > MOST_ROWS:
        notes.append(f"{MOST_ROWS} of {count(len(order), 'interest')}.")
    return Table(
        "Interests by persona: accounts that the platform says have them",
        (Column("interest"), *(Column(persona, centred=True) for persona in asked)),
        tuple(rows),
        note=" ".join(notes),
    )


def _requests(requests: pd.DataFrame) -> Table:
    return Table(
        "Every data request",
        (
            Column("account"),
            Column("phase"),
            Column("asked"),
            Column("state"),
            *(Column(label, numeric=True) for label in ("files", "interests", "advertisers")),
        ),
        tuple(
            (
                str(row["account"]),
                str(row["phase"]) + ("" if row["latest"] else " (asked again later)"),
                moment(row["requested"]),
                str(row["state"]),
                *(f"{row[name]:,}" for name in ("files", "interests", "advertisers")),
            )
            for row in in_order(requests[_SHOWN]).head(LONG_ROWS).to_dict("records")
        ),
        note="None sent: the answer had no file of interests, which is not the same as none.",
    )


def _entries(interests: pd.DataFrame) -> Table:
    return Table(
        "Everything that the platform listed",
        tuple(Column(name) for name in ("entry", "list", "phase", "accounts", "file")),
        tuple(_rows(interests)),
        note=f"The first {LONG_ROWS}; all are in findings/interests.parquet."
        if len(interests) > LONG_ROWS
        else None,
    )


def _rows(interests: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    keys = ["interest", "list", "phase"]
    for number, (key, own) in enumerate(interests.groupby(keys, sort=True)):
        if number == LONG_ROWS:
            return
        interest, listing, phase = map(str, key)
        accounts = sorted(set(own["account"].astype(str)))
        yield interest, listing, phase, listed(accounts, 6), min(own["file"].astype(str))
