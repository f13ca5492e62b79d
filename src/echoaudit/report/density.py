"""How dense tracking is: hosts per hour, and shares of connections and bytes, by role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, share, size

ROLES = ("advertising", "tracking", "functional", "hosting", "unknown")
TRACKERS = ("advertising", "tracking")
HOUR = 3600.0
Hours = dict[tuple[str, str], float]
"""Captured hours of each persona's accounts."""


def section(endpoints: pd.DataFrame, captures: pd.DataFrame) -> Section:
    """Hosts per hour, share of connections and share of bytes of each persona, by role.

    A persona's hosts an hour are the mean of its accounts', so that more accounts do not make it
    look cleaner. Hours are those between the first and last packet (or question) of each session,
    added up over an account's sessions.
    """
    names = endpoints[endpoints["host"] != ""]
    hours = _hours(captures)
    personas = sorted({persona for persona, _ in hours})
    rows = [
        row
        for persona in personas
        for row in _rows(
            persona,
            names[names["persona"] == persona],
            endpoints[endpoints["persona"] == persona],
            hours,
        )
    ]
    return Section(
        id="density",
        title="How dense the tracking was",
        short="Density",
        lead=_lead(names, personas, hours),
        tables=(
            Table(
                "Names, connections and bytes by role",
                (
                    Column("persona"),
                    Column("role"),
                    *(
                        Column(label, numeric=True)
                        for label in (
                            "hosts", "hosts an hour", "connections", "share", "bytes",
                            "share of bytes",
                        )
                    ),
                ),
                tuple(rows),
                note=(
                    "Hosts: different names looked up or contacted, whether blocked or not, by any "
                    "of the persona’s accounts; an hour: of each account by itself, then the mean. "
                    "Connections and bytes include those whose host is unknown. Roles are what "
                    "echoaudit’s own list says."
                ),
            ),
        )
        if rows
        else (),
    )  # fmt: skip


def _hours(captures: pd.DataFrame) -> Hours:
    lengths = (captures["last"] - captures["first"]).fillna(0.0).clip(lower=0.0)
    hours: Hours = defaultdict(float)
    for persona, account, seconds in zip(
        captures["persona"], captures["account"], lengths, strict=True
    ):
        hours[str(persona), str(account)] += float(seconds) / HOUR
    return hours


def _lead(names: pd.DataFrame, personas: Sequence[str], hours: Hours) -> str:
    trackers = names[names["role"].isin(TRACKERS)]
    parts = [f"{persona} {_rate(trackers, persona, hours)}" for persona in personas]
    if not parts:
        return "Nothing was captured."
    return (
        "Different hosts listed as advertising or tracking per account and hour of captured time: "
        + "; ".join(parts)
        + ". A short capture makes such a rate high, for most hosts are met at once."
    )


def _rows(
    persona: str, names: pd.DataFrame, own: pd.DataFrame, hours: Hours
) -> list[tuple[str, ...]]:
    volume = own["bytes_up"].fillna(0) + own["bytes_down"].fillna(0)
    flows, octets = int(own["flows"].sum()), int(volume.sum())
    rows: list[tuple[str, ...]] = []
    for role in ROLES:
        here = own["role"] == role
        mine = names[names["role"] == role]
        hosts = int(mine["host"].nunique())
        if not here.any():
            continue
        part, carried = int(own.loc[here, "flows"].sum()), int(volume[here].sum())
        rows.append(
            (persona, role, f"{hosts:,}", _rate(mine, persona, hours), f"{part:,}",
             share(part, flows), size(carried), share(carried, octets))
        )  # fmt: skip
    return rows


def _rate(names: pd.DataFrame, persona: str, hours: Hours) -> str:
    """Different hosts an hour of each of a persona's accounts, then the mean over accounts."""
    met = names.groupby("account")["host"].nunique()
    rates = [
        met.get(account, 0) / long
        for (who, account), long in hours.items()
        if who == persona and long > 0
    ]
    return f"{sum(rates) / len(rates):.1f}" if rates else NOTHING
