"""The section on who was contacted."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from echoaudit.outcomes.organisations import NAMELESS, label
from echoaudit.report.parts import Cell, Column, Section, Shade, Table
from echoaudit.report.text import count, listed, size

MOST_ROWS = 400
MOST_ORGANISATIONS = 60
MOST_NAMES = 8
"""Other names of one host that are shown."""
PARTIES = {"platform": 0, "vendor": 1, "third": 2}


def section(
    endpoints: pd.DataFrame, accounts: dict[str, int], skills: Mapping[str, str]
) -> Section:
    """Who received traffic of each persona's Echos.

    ``accounts`` is their number per persona, ``skills`` are names by id.
    """
    contacted = endpoints[endpoints["contacted"].fillna(False).astype(bool)]
    known = contacted.assign(
        organisation=owners(contacted),
        skill=[skills.get(str(skill), str(skill)) or "none (idle)" for skill in contacted["skill"]],
        host=contacted["host"].where(contacted["host"] != "", contacted["addresses"]),
    )
    return Section(
        id="endpoints",
        title="Who the Echos talked to",
        short="Contacts",
        lead=_lead(known, len(endpoints) - len(contacted)),
        tables=(_matrix(known, accounts), _hosts(known)),
        folded=(_flows(known), _disputed(known), _sources(known), _untouched(endpoints)),
    )


def owners(rows: pd.DataFrame) -> list[str]:
    """Who answers for each host, in words."""
    three = (rows[name].astype(str) for name in ("organisation", "hosted_by", "domain"))
    return [label(*one) for one in zip(*three, strict=True)]


def _lead(known: pd.DataFrame, untouched: int) -> str:
    if known.empty:
        return "No contact was captured."
    parts = []
    for persona, own in known.groupby("persona", sort=True):
        third = sorted(set(own.loc[own["party"] == "third", "organisation"]))
        others = f"{listed(third)} as third parties" if third else "no third party"
        organisations = count(own["organisation"].nunique(), "organisation")
        parts.append(f"{persona}’s Echos contacted {organisations}, with {others}")
    only = f" {count(untouched, 'name')} were looked up or tried without an answer." * bool(
        untouched
    )
    return "; ".join(parts) + "." + only


def _matrix(known: pd.DataFrame, accounts: dict[str, int]) -> Table:
    """Organisation by persona: how many accounts contacted it."""
    personas = sorted(accounts)
    rows: list[tuple[Cell, ...]] = []
    groups = known.groupby("organisation", sort=True)
    order = sorted(groups, key=lambda g: (party_rank(g[1]), -g[1]["account"].nunique(), g[0]))
    for organisation, own in order[:MOST_ORGANISATIONS]:
        reached = own.groupby("persona")["account"].nunique()
        cells = tuple(shade(int(reached.get(p, 0)), accounts[p]) for p in personas)
        parties = "/".join(sorted(set(own["party"])))
        roles = listed(sorted(set(own["role"])))
        rows.append((str(organisation), parties, roles, *cells))
    return Table(
        "Organisations by persona: accounts whose Echo contacted them",
        (
            Column("organisation"),
            Column("party"),
            Column("roles"),
            *(Column(persona, centred=True) for persona in personas),
        ),
        tuple(rows),
        note=(
            f"{MOST_ORGANISATIONS} of {count(len(order), 'organisation')}."
            if len(order) > MOST_ORGANISATIONS
            else None
        ),
    )


def party_rank(rows: pd.DataFrame) -> int:
    """Platform first, then vendors, third parties, and what is unknown."""
    return min(PARTIES.get(str(party), len(PARTIES)) for party in rows["party"])


def shade(part: int, whole: int) -> Shade:
    """``k of n``, the fuller the darker."""
    level = 0 if not part else max(1, round(5 * part / whole)) if whole else 1
    return Shade(f"{part} of {whole}", min(level, 5))


HOST_KEYS = ["host", "organisation", "party", "role"]
HOST_COLUMNS = tuple(
    Column(label) for label in ("host", "organisation", "party", "role", "named by")
)
VOLUME_COLUMNS = tuple(Column(label, numeric=True) for label in ("accounts", "sent", "received"))


WHATEVER_CAUSED = (
    "Contacted in a session, whatever the cause; what counts for a skill is judged in "
    "findings/attribution.parquet."
)


ASKED = {"probe": "its certificate", "reverse-dns": "reverse DNS"}
"""Witnesses that the gateway asked itself, and what they are."""


def _asked(known: pd.DataFrame) -> str:
    """What a name is worth that the gateway asked for."""
    used = [f"{by} ({what})" for by, what in ASKED.items() if by in set(known["witness"])]
    if not used:
        return ""
    return (
        f"Named by {' or '.join(used)}: what the server said of itself or its address when the "
        "gateway asked, not what the device asked for."
    )


def _hosts(known: pd.DataFrame) -> Table:
    """Each host once per persona, with the skills in whose sessions it was contacted."""
    rows = []
    for (persona, *key), own in known.groupby(["persona", *HOST_KEYS], sort=True):
        skills = listed(sorted({str(skill) for skill in own["skill"]}), 3)
        rows.append(
            (*_naming([str(part) for part in key], own), str(persona), skills, *_volume(own))
        )
    rows.sort(key=lambda row: (PARTIES.get(row[2], 3), row[0], row[5]))
    return Table(
        "Hosts by persona, with the skills in whose sessions they were contacted",
        (*HOST_COLUMNS, Column("persona"), Column("in sessions of"), *VOLUME_COLUMNS),
        tuple(rows[:MOST_ROWS]),
        note=" ".join(filter(None, (cut(len(rows)), WHATEVER_CAUSED, _asked(known)))),
    )


def _flows(known: pd.DataFrame) -> Table:
    """Session's skill to host to organisation, with the evidence that names the host."""
    rows = []
    for (persona, skill, *key), own in known.groupby(["persona", "skill", *HOST_KEYS], sort=True):
        rows.append(
            (str(skill), str(persona), *_naming([str(part) for part in key], own), *_volume(own))
        )
    rows.sort(key=lambda row: (row[1], row[0], PARTIES.get(row[4], 3), row[2]))
    return Table(
        "Each session’s skill, the hosts contacted in it and their organisations",
        (Column("skill"), Column("persona"), *HOST_COLUMNS, *VOLUME_COLUMNS),
        tuple(rows[:MOST_ROWS]),
        note=cut(len(rows)),
    )


def _untouched(endpoints: pd.DataFrame) -> Table:
    """Hosts that were asked for or tried, but never answered."""
    rows = []
    silent = endpoints[~endpoints["contacted"].fillna(False).astype(bool)]
    for (persona, host, state), own in silent.groupby(["persona", "host", "state"], sort=True):
        rows.append(
            (str(host) or NAMELESS, str(persona), str(state), f"{own['account'].nunique()}")
        )
    return Table(
        "Names that were looked up or tried, but not contacted",
        (Column("host"), Column("persona"), Column("state"), Column("accounts", numeric=True)),
        tuple(rows[:MOST_ROWS]),
        note=cut(len(rows)),
    )


def _disputed(known: pd.DataFrame) -> Table:
    """Hosts that weaker witnesses name otherwise, as servers that several hosts share do."""
    rows = []
    other = known[known["other_names"].fillna("") != ""]
    for (host, witness), own in other.groupby(["host", "witness"], sort=True):
        names = sorted(set(" ".join(own["other_names"].astype(str)).split()))
        shown = (name.partition(":") for name in names)
        words = listed([f"{name} ({by})" for by, _, name in shown], MOST_NAMES)
        rows.append((str(host), str(witness), words, f"{own['account'].nunique()}"))
    return Table(
        "Where witnesses disagree: other names of the same servers",
        (Column("host"), Column("named by"), Column("also"), Column("accounts", numeric=True)),
        tuple(rows[:MOST_ROWS]),
        note=cut(len(rows)),
    )


def _naming(key: list[str], own: pd.DataFrame) -> tuple[str, ...]:
    """Host, organisation, party, role, and what named the host."""
    return (*key, listed(sorted(set(own["witness"].astype(str)))))


def _sources(known: pd.DataFrame) -> Table:
    """What the lists say of each host, for whoever doubts a role."""
    keys = ["host", "organisation", "role", "role_source"]
    stated = known[keys].drop_duplicates().sort_values(keys)
    return Table(
        "Who says so: the list behind each role",
        (Column("host"), Column("organisation"), Column("role"), Column("list, date and rule")),
        tuple(
            (*(str(value) for value in row[:3]), str(row[3]) or "no list knows it")
            for row in stated.head(MOST_ROWS).itertuples(index=False, name=None)
        ),
        note=cut(len(stated)),
    )


def _volume(own: pd.DataFrame) -> tuple[str, str, str]:
    up, down = (float(own[column].fillna(0).sum()) for column in ("bytes_up", "bytes_down"))
    return f"{own['account'].nunique()}", size(up), size(down)


def cut(rows: int, table: str = "endpoints") -> str | None:
    """What is said below a table that is too long to show."""
    if rows <= MOST_ROWS:
        return None
    return f"The first {MOST_ROWS} of {rows:,} rows; all are in findings/{table}.parquet."
