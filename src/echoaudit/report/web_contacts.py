"""The section on whom the visited pages contacted, auctions on servers among them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import count, listed

_Row = tuple[int, tuple[str, ...]]
"""What a row is sorted by, most first, and its cells."""
MOST_ROWS = 100
LASTING = 28 * 86_400.0
"""Seconds: what lives shorter is taken for a session of some kind."""
SETTERS = {"response": "set by answers", "script": "by scripts", "unknown": "by whom unknown"}
KINDS = {
    "apstag": "Amazon\u2019s tag",
    "google-ads": "Google\u2019s ad server",
    "prebid-server": "a Prebid Server",
}


def section(contacts: pd.DataFrame, cookies: pd.DataFrame) -> Section:
    """Third parties by the visits that met them, and by persona the accounts whose visits did;
    whose cookies these visits brought, and who set them.
    """
    third = contacts[contacts["third_party"].fillna(False).astype(bool)]
    personas = sorted(set(contacts["persona"].astype(str)))
    domains = third.assign(organisation=third["organisation"].fillna("")).groupby(
        "domain", sort=True
    )
    rows = sorted((_row(str(name), own, personas) for name, own in domains), key=_order)
    return Section(
        id="web-contacts",
        title="Whom the pages contacted",
        short="Pages\u2019 contacts",
        lead=_lead(contacts, third),
        folded=(*_third_parties(rows, personas), *_cookies(cookies)),
    )


def _third_parties(rows: list[_Row], personas: list[str]) -> Iterator[Table]:
    if not rows:
        return
    yield Table(
        "Third parties on the visited pages, with accounts by persona",
        (
            Column("domain"),
            Column("organisation"),
            Column("role"),
            Column("auctions"),
            *(Column(name, numeric=True) for name in ("visits", "requests", *personas)),
        ),
        tuple(cells for _, cells in rows[:MOST_ROWS]),
        note="Roles are what echoaudit\u2019s own list says. Each visit\u2019s rows are in "
        "findings/web_contacts.parquet.",
    )


def _cookies(cookies: pd.DataFrame) -> Iterator[Table]:
    """Whose cookies the visits brought, by who set them; those of most accounts first."""
    if cookies.empty:
        return
    rows = sorted(
        (_cookie_row(str(name), own) for name, own in cookies.groupby("domain", sort=True)),
        key=_order,
    )
    yield Table(
        "Cookies that the visits brought, by who set them",
        (
            Column("domain"),
            Column("organisation"),
            *(
                Column(name, numeric=True)
                for name in (*("accounts", "cookies"), *SETTERS.values(), "four weeks or longer")
            ),
        ),
        tuple(cells for _, cells in rows[:MOST_ROWS]),
        note="A cookie counts once for each visit that brought it or another value of it. A script "
        "is named where no answer had the value and a document of the visit may set it. The last "
        "column counts cookies that live so long. Each visit\u2019s rows are in "
        "findings/cookies.parquet.",
    )


def _cookie_row(domain: str, own: pd.DataFrame) -> _Row:
    accounts = own["account"].nunique()
    setters = own["setter"].value_counts()
    return accounts, (
        domain,
        str(own.iloc[0]["organisation"]) or "unknown",
        f"{accounts:,}",
        f"{len(own):,}",
        *(f"{int(setters.get(name, 0)):,}" for name in SETTERS),
        f"{int((own['lifetime'] >= LASTING).sum()):,}",
    )


def _order(row: _Row) -> tuple[int, str]:
    return -row[0], row[1][0]


def _row(domain: str, own: pd.DataFrame, personas: list[str]) -> _Row:
    visits = own["visit"].nunique()
    kinds = sorted(set(own["kind"].astype(str)) - {""})
    accounts = own.groupby("persona")["account"].nunique()
    first = own.iloc[0]
    return visits, (
        domain,
        str(first["organisation"]) or "unknown",
        str(first["role"]),
        listed([KINDS.get(kind, kind) for kind in kinds]) if kinds else "",
        f"{visits:,}",
        f"{int(own['requests'].sum()):,}",
        *(f"{int(accounts.get(persona, 0)):,}" for persona in personas),
    )


def _lead(contacts: pd.DataFrame, third: pd.DataFrame) -> str:
    visits = contacts["visit"].nunique()
    parties = third["domain"].nunique()
    third_parties = count(parties, "third party", "third parties")
    told = f"On {count(visits, 'visit')} the pages asked {third_parties}."
    seen = [
        f"{KINDS[str(kind)]} on {count(own['visit'].nunique(), 'visit')}"
        for kind, own in contacts[contacts["kind"] != ""].groupby("kind")
    ]
    if not seen:
        return f"{told} No auction that runs on a server was begun."
    return f"{told} Auctions whose bids no script sees were begun with {listed(seen)}."
