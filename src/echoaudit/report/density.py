"""How dense tracking is: measures that do not depend on how long somebody listened."""

from __future__ import annotations

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, share, size

ROLES = ("advertising", "tracking", "functional", "hosting", "unknown")
TRACKERS = ("advertising", "tracking")
HOUR = 3600.0


def section(endpoints: pd.DataFrame, captures: pd.DataFrame) -> Section:
    """Hosts per hour, share of connections and share of bytes of each persona, by role.

    Hours are those between the first and last packet (or question) of each session, added up.
    """
    names = endpoints[endpoints["host"] != ""]
    hours = _hours(captures)
    rows = [
        row
        for persona in sorted(hours)
        for row in _rows(
            persona,
            names[names["persona"] == persona],
            endpoints[endpoints["persona"] == persona],
            hours[persona],
        )
    ]
    return Section(
        id="density",
        title="How dense the tracking was",
        short="Density",
        lead=_lead(names, hours),
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
                    "Hosts: different names looked up or contacted, whether blocked or not. "
                    "Connections and bytes include those whose host is unknown. Roles are what "
                    "echoaudit’s own list says."
                ),
            ),
        )
        if rows
        else (),
    )  # fmt: skip


def _hours(captures: pd.DataFrame) -> dict[str, float]:
    lengths = (captures["last"] - captures["first"]).fillna(0.0).clip(lower=0.0)
    sums = lengths.groupby(captures["persona"]).sum()
    return {str(persona): float(seconds) / HOUR for persona, seconds in sums.items()}


def _lead(names: pd.DataFrame, hours: dict[str, float]) -> str:
    parts = []
    for persona in sorted(hours):
        own = names[(names["persona"] == persona) & names["role"].isin(TRACKERS)]
        parts.append(f"{persona} {_rate(own['host'].nunique(), hours[persona])}")
    if not parts:
        return "Nothing was captured."
    return (
        "Different hosts listed as advertising or tracking per hour of captured time: "
        + "; ".join(parts)
        + ". A short capture makes such a rate high, for most hosts are met at once."
    )


def _rows(
    persona: str, names: pd.DataFrame, own: pd.DataFrame, hours: float
) -> list[tuple[str, ...]]:
    volume = own["bytes_up"].fillna(0) + own["bytes_down"].fillna(0)
    flows, octets = int(own["flows"].sum()), int(volume.sum())
    rows: list[tuple[str, ...]] = []
    for role in ROLES:
        here = own["role"] == role
        hosts = int(names.loc[names["role"] == role, "host"].nunique())
        if not here.any():
            continue
        part, carried = int(own.loc[here, "flows"].sum()), int(volume[here].sum())
        rows.append(
            (persona, role, f"{hosts:,}", _rate(hosts, hours), f"{part:,}", share(part, flows),
             size(carried), share(carried, octets))
        )  # fmt: skip
    return rows


def _rate(hosts: int, hours: float) -> str:
    return f"{hosts / hours:.1f}" if hours > 0 else NOTHING
