"""The section on whom the visited pages contacted, auctions on servers among them."""

from __future__ import annotations

import pandas as pd

from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import count, listed

MOST_ROWS = 100
KINDS = {
    "apstag": "Amazon\u2019s tag",
    "google-ads": "Google\u2019s ad server",
    "prebid-server": "a Prebid Server",
}


def section(contacts: pd.DataFrame) -> Section:
    """Third parties by the visits that met them, and by persona the accounts whose visits did."""
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
        folded=(
            Table(
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
            ),
        )
        if rows
        else (),
    )


def _order(row: tuple[int, tuple[str, ...]]) -> tuple[int, str]:
    return -row[0], row[1][0]


def _row(domain: str, own: pd.DataFrame, personas: list[str]) -> tuple[int, tuple[str, ...]]:
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
