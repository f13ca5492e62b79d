"""The section on what left the devices that could be looked into."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from echoaudit.outcomes.organisations import NAMELESS
from echoaudit.report.endpoints import PARTIES
from echoaudit.report.parts import Cell, Column, Section, Shade, Table
from echoaudit.report.text import NOTHING, count, listed

MOST_ROWS = 400
MOST_ORGANISATIONS = 60
VOICE = ("voice recording", "transcript")
TYPES = (
    *VOICE,
    "customer id",
    "skill id",
    "device id",
    "language",
    "time zone",
    "preferences",
    "device events",
    "location",
    "contact data",
)
"""In the order of the published study's table."""
TITLE = "What left the devices"


def section(found: pd.DataFrame, decrypted: pd.DataFrame, skills: Mapping[str, str]) -> Section:
    """Who received what, of the sessions that were decrypted; ``skills`` are names by id."""
    looked_into = decrypted[decrypted["status"] != "sealed"]
    if looked_into.empty:
        return Section(
            id="data",
            title=TITLE,
            short="Data",
            lead=(
                "No device let the gateway decrypt its traffic, so what was sent is unknown; "
                "who received it is above."
            ),
        )
    known = found.assign(
        owner=found.apply(owner, axis=1) if len(found) else [],
        skill=[skills.get(str(s), str(s)) or "none (idle)" for s in found["skill"]],
    )
    return Section(
        id="data",
        title=TITLE,
        short="Data",
        lead=_lead(known, looked_into, decrypted),
        tables=(_voice(known), _matrix(known, looked_into["account"].nunique())),
        folded=(_ways(known), _sessions(decrypted)),
    )


def owner(row: pd.Series[str]) -> str:
    """Who received it: the organisation, else whatever is known of the host."""
    return str(row["organisation"] or row["domain"] or row["address"] or NAMELESS)


def _lead(known: pd.DataFrame, looked_into: pd.DataFrame, decrypted: pd.DataFrame) -> str:
    devices, of = looked_into["account"].nunique(), decrypted["account"].nunique()
    third = known[known["party"] != "platform"]
    receivers = sorted(set(third["owner"]))
    partial = int((looked_into["status"] == "partial").sum())
    kinds = listed(sorted(set(third["data_type"])), 11) if len(third) else ""
    together = " together" if len(receivers) > 1 else ""
    return (
        f"Decrypted: {int(looked_into['exchanges'].sum()):,} exchanges of "
        f"{devices:,} of {count(of, 'device')}; of the others nothing is known here. "
        + (
            f"Besides the platform, {listed(receivers)}{together} received {kinds}."
            if receivers
            else "Nobody but the platform received any of the kinds of data that are looked for."
        )
        + f" {count(partial, 'session')} could be read in part only." * bool(partial)
    )


def _voice(known: pd.DataFrame) -> Table:
    """Who receives recordings of the voice, and who the words."""
    own = known[known["data_type"].isin(VOICE)]
    rows = []
    for (owner, host, party), part in own.groupby(["owner", "host", "party"], sort=True):
        sessions = [part[part["data_type"] == kind]["session"].nunique() for kind in VOICE]
        personas = listed(sorted(set(part["persona"])))
        names = listed(sorted(set(part["skill"])), 3)
        shown = (count(number, "session") if number else NOTHING for number in sessions)
        rows.append((str(owner), str(host) or NAMELESS, str(party), *shown, personas, names))
    rows.sort(key=lambda row: (PARTIES.get(row[2], len(PARTIES)), row[0], row[1]))
    labels = ("organisation", "host", "party", "voice recordings", "transcripts")
    return Table(
        "Who receives voice recordings and who receives transcripts",
        (*(Column(label) for label in labels), Column("personas"), Column("skills")),
        tuple(rows[:MOST_ROWS]),
        note="" if rows else "Neither was found in any decrypted exchange.",
    )


def _matrix(known: pd.DataFrame, whole: int) -> Table:
    """Organisation by kind of data: in how many of the ``whole`` decrypted accounts."""
    groups = list(known.groupby(["owner", "party"], sort=True))
    groups.sort(key=lambda group: (PARTIES.get(str(group[0][1]), len(PARTIES)), group[0]))
    kinds = [kind for kind in TYPES if kind in set(known["data_type"])]
    rows: list[tuple[Cell, ...]] = []
    for (owner, party), own in groups[:MOST_ORGANISATIONS]:
        reached = own.groupby("data_type")["account"].nunique()
        cells = tuple(_shade(int(reached.get(kind, 0)), whole) for kind in kinds)
        rows.append((str(owner), str(party), *cells))
    return Table(
        "Kinds of data by receiver: accounts whose device sent them",
        (
            Column("receiver"),
            Column("party"),
            *(Column(kind, centred=True) for kind in kinds),
        ),
        tuple(rows),
        note=f"{MOST_ORGANISATIONS} of {len(groups):,}."
        if len(groups) > MOST_ORGANISATIONS
        else None,
    )


def _shade(part: int, whole: int) -> Shade:
    level = max(1, round(5 * part / whole)) if part else 0
    return Shade(f"{part} of {whole}" if part else NOTHING, min(level, 5))


def _ways(known: pd.DataFrame) -> Table:
    """Each place where data was found, its value as a token."""
    keys = ["data_type", "host", "place", "form", "field", "encoding", "basis"]
    rows = []
    for key, own in known.groupby(keys, sort=True):
        kind, host, place, form, field, encoding, basis = (str(part) for part in key)
        first = own.sort_values(["first", "session"])["value"].iloc[0]
        where = " ".join(part for part in (place, form) if part)
        names = listed(sorted(set(own["skill"])), 3)
        requests = f"{int(own['requests'].sum()):,}"
        found = (kind, host or NAMELESS, where, field or NOTHING, encoding, basis)
        rows.append((*found, names, requests, str(first)))
    rows.sort(key=lambda row: (TYPES.index(row[0]) if row[0] in TYPES else len(TYPES), row))
    labels = ("data", "host", "found in", "field", "encoding", "told by", "skills")
    return Table(
        "Where each kind of data was found",
        (
            *(Column(label) for label in labels),
            Column("requests", numeric=True),
            Column("first value (token)"),
        ),
        tuple(rows[:MOST_ROWS]),
        note=f"The first {MOST_ROWS} of {len(rows):,} rows; all are in findings/data_types.parquet."
        if len(rows) > MOST_ROWS
        else None,
    )


def _sessions(decrypted: pd.DataFrame) -> Table:
    """How far each session could be looked into."""
    rows = [
        (
            str(row["session"]),
            str(row["status"]),
            f"{int(row['exchanges']):,}",
            str(row["refused_hosts"]) or NOTHING,
            str(row["problem"]) or NOTHING,
        )
        for row in decrypted.sort_values("session").to_dict("records")
    ]
    return Table(
        "How far each session could be looked into",
        (
            Column("session"),
            Column("status"),
            Column("exchanges", numeric=True),
            Column("not decrypted"),
            Column("not read"),
        ),
        tuple(rows[:MOST_ROWS]),
        note=f"The first {MOST_ROWS} of {len(rows):,}." if len(rows) > MOST_ROWS else None,
    )
