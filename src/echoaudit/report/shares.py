"""The section on what skills cause: the study's endpoint table, and the rule behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from echoaudit.inference.background import ALPHA, IDLE_FACTOR
from echoaudit.report.endpoints import cut, owners, party_rank, shade
from echoaudit.report.figures import flow
from echoaudit.report.figures.flow import Flow, Purpose
from echoaudit.report.parts import Cell, Column, Figure, Key, Section, Table
from echoaudit.report.text import NOTHING, count, listed, p_value, share

Measure = Literal["contacts", "flows", "bytes"]
MEASURES: tuple[Measure, ...] = ("contacts", "flows", "bytes")
TOTAL = "all"
MOST_ROWS = 400
MOST_ORGANISATIONS = 60
PARTIES = ("platform", "vendor", "third", "unknown")
PURPOSES = ("functional", "tracking", "unknown")
WORDS = {"platform": "platform", "vendor": "vendor", "third": "third party", "unknown": "unknown"}
PURPOSE_OF_ROLE: Mapping[str, Purpose] = {
    "functional": "functional",
    "hosting": "functional",
    "advertising": "tracking",
    "tracking": "tracking",
}
FATES = {"skill": "count for a skill", "background": "are background", "uncertain": "are uncertain"}
SHARE_LABELS = ("of contacts", "of connections", "of bytes")
COUNTED = (
    "Counted as in the study: a contact is a distinct persona, skill and host name. Functional: "
    "listed as functional or hosting; tracking: as advertising or tracking; unknown: on no list, "
    "which the study counts as functional. Connections and bytes include servers without a name."
)
RULE = (
    "A contact counts for a skill when the host answered a connection in the skill’s session and "
    "either no account’s idle capture has a connection to it, or connections came significantly "
    "faster than while idle (exact conditional test of two Poisson rates, one-sided, at "
    f"{ALPHA:g} after Holm over the hosts of the session). Otherwise it is the Echo’s own "
    "background. Absence from idle counts only when all idle captures together are at least "
    f"{IDLE_FACTOR:g} times as long as the session; where they are shorter, and where nothing "
    "names the server, it stays uncertain."
)


def section(
    attribution: pd.DataFrame,
    shares: pd.DataFrame,
    reach: pd.DataFrame,
    accounts: Mapping[str, int],
    skills: Mapping[str, str],
) -> Section:
    """What counts for skills, by party and organisation.

    ``accounts`` is their number per persona, ``skills`` are names by id.
    """
    return Section(
        id="shares",
        title="What counts for the skills",
        short="Skills’ contacts",
        lead=_lead(attribution, reach),
        figures=tuple(filter(None, [_flow(attribution, skills)])),
        tables=(
            _parties(shares, attributed=True),
            _parties(shares, attributed=False),
            _reach(reach),
            _matrix(attribution, accounts),
        )
        if len(attribution)
        else (),
        folded=(_organisations(shares), _verdicts(attribution, skills)) if len(attribution) else (),
    )


@dataclass(frozen=True)
class Row:
    """One row of the study's table; ``share`` is in per cent of the whole table."""

    party: str
    purpose: str
    organisation: str
    """``all`` for a party and purpose as a whole."""
    values: Mapping[str, int]
    """By persona."""
    total: int
    share: float | None


def pivot(shares: pd.DataFrame, measure: Measure, *, attributed: bool = False) -> list[Row]:
    """The study's table: each party and purpose as a whole, then by organisation."""
    column = f"attributed_{measure}" if attributed else measure
    whole = int(shares[column].sum())
    personas = sorted(set(shares["persona"].astype(str)))
    sums: dict[tuple[str, str], dict[str, Counter[str]]] = {
        (party, purpose): {} for party in PARTIES for purpose in PURPOSES
    }
    names = ["party", "purpose", "organisation", "persona", column]
    for party, purpose, organisation, persona, value in shares[names].itertuples(index=False):
        known = sums[party, purpose].setdefault(str(organisation), Counter())
        known[str(persona)] += int(value)
    rows = []
    for (party, purpose), by_organisation in sums.items():
        everybody: Counter[str] = sum(by_organisation.values(), Counter())
        # What the study has is shown when it is nothing, too.
        if everybody or "unknown" not in (party, purpose):
            rows.append(_row((party, purpose, TOTAL), everybody, personas, whole))
        for organisation, its in sorted(by_organisation.items()):
            if its.total():
                rows.append(_row((party, purpose, organisation), its, personas, whole))
    return rows


def _row(key: tuple[str, str, str], sums: Counter[str], personas: list[str], whole: int) -> Row:
    values = {persona: sums[persona] for persona in personas}
    total = sums.total()
    return Row(*key, values, total, round(100 * total / whole, 2) if whole else None)


def _lead(attribution: pd.DataFrame, reach: pd.DataFrame) -> str:
    if attribution.empty:
        return (
            "No session of a skill has contacts, so nothing can be told from the Echo’s own talk."
        )
    own = reach[reach["party"] != "unknown"].groupby("party")
    skills = int(reach.loc[reach["party"] == "platform", "of"].sum())
    led = {str(party): int(rows["attributed_skills"].sum()) for party, rows in own}
    verdicts = attribution["verdict"].value_counts()
    fates = [f"{int(verdicts.get(verdict, 0)):,} {words}" for verdict, words in FATES.items()]
    return (
        f"Of {count(skills, 'skill')}, contacts with the platform count for "
        f"{led.get('platform', 0):,}, with their own vendor for {led.get('vendor', 0):,} and with "
        f"third parties for {led.get('third', 0):,}. Of {len(attribution):,} contacts in single "
        f"sessions {listed(fates)}."
    )


def _flow(attribution: pd.DataFrame, skills: Mapping[str, str]) -> Figure | None:
    """From skill to host to organisation, without the Echo's own background."""
    own = attribution[attribution["verdict"] != "background"]
    if own.empty:
        return None
    own = own.assign(
        organisation=owners(own),
        skill=[skills.get(str(skill), str(skill)) for skill in own["skill"]],
        host=own["host"].where(own["host"] != "", own["address"]),
        tracks=[PURPOSE_OF_ROLE.get(str(role)) == "tracking" for role in own["role"]],
        certain=own["verdict"] == "skill",
    )
    flows, rows = [], []
    for key, group in own.groupby(["skill", "host", "organisation", "party", "role", "verdict"]):
        skill, host, organisation, party, role, verdict = map(str, key)
        purpose = PURPOSE_OF_ROLE.get(role, "unknown")
        accounts = int(group["account"].nunique())
        flows.append(Flow(skill, host, organisation, purpose, verdict == "skill", accounts))
        fate = "counts for the skill" if verdict == "skill" else "uncertain"
        rows.append((skill, host, organisation, party, role, fate, str(accounts)))
    labels = ("skill", "host", "organisation", "party", "role", "verdict")
    title = _flow_title(own)
    return Figure(
        id="flow",
        title=title,
        description=(
            "Bands lead from skills to the hosts contacted in their sessions, and on to the hosts’ "
            "organisations; a band is as wide as the number of accounts it was seen in. What the "
            "Echo also does when idle is left out. Outlines: idle was too short, or the host has "
            "no name, so it is uncertain whether the skill is the cause."
        ),
        drawing=flow.draw(flows, title).markup(),
        table=Table(
            "Skills, hosts and organisations",
            (*(Column(label) for label in labels), Column("accounts", numeric=True)),
            tuple(rows[:MOST_ROWS]),
            note=cut(len(rows), "attribution"),
        ),
        keys=(
            Key("functional or hosting", "p1", "band"),
            Key("advertising or tracking", "p2", "band"),
            Key("on no list", "pc", "band"),
            Key("uncertain", "pc", "outline"),
        ),
        wide=True,
    )


def _flow_title(own: pd.DataFrame) -> str:
    certain = own[own["certain"]]
    if certain.empty:
        return (
            f"{count(own['host'].nunique(), 'host')} may be due to skills; for none is it certain"
        )
    third = certain.loc[certain["party"] == "third", "organisation"].nunique()
    tracking = certain.loc[certain["tracks"], "host"].nunique()
    what = count(certain["skill"].nunique(), "skill leads", "skills lead")
    whom = count(certain["organisation"].nunique(), "organisation")
    return (
        f"{what} to {count(certain['host'].nunique(), 'host')} of {whom}, {third} of them third "
        f"parties; {tracking} of the hosts advertise or track"
    )


def _parties(shares: pd.DataFrame, *, attributed: bool) -> Table:
    """Rows as in the study: party by purpose; columns are personas."""
    tables = {measure: pivot(shares, measure, attributed=attributed) for measure in MEASURES}
    personas = list(tables["contacts"][0].values)
    wholes = {m: sum(row.total for row in _wholes(rows)) for m, rows in tables.items()}
    totals = {
        (row.party, row.purpose, measure): row.total
        for measure, rows in tables.items()
        for row in _wholes(rows)
    }
    keys = dict.fromkeys((party, purpose) for party, purpose, _ in totals)
    counts = {(row.party, row.purpose): row.values for row in _wholes(tables["contacts"])}
    rows = tuple(
        (
            f"{WORDS[party]}, {purpose}",
            f"{totals.get((party, purpose, 'contacts'), 0):,}",
            *(share(totals.get((party, purpose, m), 0), wholes[m]) for m in MEASURES),
            *(f"{counts.get((party, purpose), {}).get(p, 0):,}" for p in personas),
        )
        for party, purpose in sorted(keys, key=_order)
    )
    what = "that count for a skill" if attributed else "in sessions of skills, whatever caused them"
    names = (TOTAL, *SHARE_LABELS, *personas)
    return Table(
        f"Contacts {what}",
        (Column("party and purpose"), *(Column(name, numeric=True) for name in names)),
        rows,
        note=RULE if attributed else COUNTED,
    )


def _wholes(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.organisation == TOTAL]


def _order(key: tuple[str, str]) -> tuple[int, int]:
    return PARTIES.index(key[0]), PURPOSES.index(key[1])


def _reach(reach: pd.DataFrame) -> Table:
    """Skills per persona that contacted each party: by the rule, and in their sessions at all."""
    rows: list[tuple[Cell, ...]] = []
    for persona, own in reach.groupby("persona", sort=True):
        numbers = own.set_index("party")[["attributed_skills", "skills", "of"]].to_dict("index")
        cells = (
            shade(numbers[party][name], numbers[party]["of"])
            for name in ("attributed_skills", "skills")
            for party in PARTIES
        )
        rows.append((str(persona), *cells))
    labels = [*WORDS.values(), *(f"{words}, in session" for words in WORDS.values())]
    return Table(
        "Skills by whom they contacted",
        (Column("persona"), *(Column(label, centred=True) for label in labels)),
        tuple(rows),
        note="In session: skills in whose session it was contacted at all, whatever the cause.",
    )


def _matrix(attribution: pd.DataFrame, accounts: Mapping[str, int]) -> Table:
    """Organisation by persona: in how many accounts a contact counted for a skill."""
    counted = attribution[attribution["verdict"] == "skill"]
    known = counted.assign(organisation=owners(counted))
    personas = sorted(set(attribution["persona"].astype(str)))
    groups = known.groupby("organisation", sort=True)
    order = sorted(groups, key=lambda g: (party_rank(g[1]), -g[1]["account"].nunique(), g[0]))
    rows: list[tuple[Cell, ...]] = []
    for organisation, own in order[:MOST_ORGANISATIONS]:
        reached = own.groupby("persona")["account"].nunique()
        cells = (shade(int(reached.get(p, 0)), accounts.get(p, 0)) for p in personas)
        parties = "/".join(sorted(set(own["party"])))
        rows.append((str(organisation), parties, listed(sorted(set(own["role"]))), *cells))
    return Table(
        "Organisations by persona: accounts in which a contact counted for a skill",
        (
            *(Column(label) for label in ("organisation", "party", "roles")),
            *(Column(persona, centred=True) for persona in personas),
        ),
        tuple(rows),
        note=f"{MOST_ORGANISATIONS} of {count(len(order), 'organisation')}."
        if len(order) > MOST_ORGANISATIONS
        else None,
    )


def _organisations(shares: pd.DataFrame) -> Table:
    """The study's table with its organisations."""
    rows = [row for row in pivot(shares, "contacts") if row.organisation != TOTAL]
    counted = {
        (row.party, row.purpose, row.organisation): row.total
        for row in pivot(shares, "contacts", attributed=True)
    }
    personas = list(rows[0].values) if rows else []
    return Table(
        "Contacts by organisation",
        (
            *(Column(label) for label in ("organisation", "party", "purpose")),
            *(Column(name, numeric=True) for name in (*personas, TOTAL, "count for a skill")),
        ),
        tuple(
            (
                row.organisation,
                row.party,
                row.purpose,
                *(f"{value:,}" for value in row.values.values()),
                f"{row.total:,}",
                f"{counted.get((row.party, row.purpose, row.organisation), 0):,}",
            )
            for row in rows[:MOST_ROWS]
        ),
        note=cut(len(rows), "shares"),
    )


def _verdicts(attribution: pd.DataFrame, skills: Mapping[str, str]) -> Table:
    """Each contact with the numbers that decided."""
    order = ["persona", "skill", "account", "verdict", "host", "address"]
    rows = tuple(
        (
            str(row["host"] or row["address"]),
            str(row["verdict"]),
            str(row["reason"]),
            skills.get(row["skill"], str(row["skill"])),
            str(row["account"]),
            f"{row['flows']:,} in {row['seconds']:.0f} s",
            f"{row['idle_flows']:,} in {row['idle_seconds']:.0f} s",
            NOTHING if pd.isna(row["p_holm"]) else p_value(float(row["p_holm"])),
        )
        for row in attribution.sort_values(order).head(MOST_ROWS).to_dict("records")
    )
    labels = ("host", "verdict", "reason", "skill", "account")
    numbers = ("connections", "while idle", "corrected p")
    return Table(
        "Each contact in a session, and whether it counts",
        (*(Column(label) for label in labels), *(Column(n, numeric=True) for n in numbers)),
        rows,
        note=cut(len(attribution), "attribution"),
    )
