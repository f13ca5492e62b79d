"""Who owns the domains that exchange identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.outcomes.organisations import directory, party
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

PARTIES = Schema(
    "parties",
    "Owners of the domains that exchange identifiers.",
    (
        Column("domain", "string", "Registrable domain."),
        Column("organisation", "string", "Owner of the name; empty when unknown."),
        Column("parent", "string", "Company that controls the owner; empty when unknown."),
        Column("party", "string", "`platform`, `third` or `unknown`."),
        Column("role", "string", "What the lists say the domain is for."),
        Column("role_source", "string", "The list and rule that say so; empty when none does."),
    ),
)


def parties_table(syncs: pd.DataFrame) -> pd.DataFrame:
    """One row per domain among the sources and targets of syncs."""
    known = directory()
    rows = []
    for domain in sorted({*syncs["source"].dropna(), *syncs["target"].dropna()}):
        found = known.attribute(domain)
        rows.append(
            {
                "domain": domain,
                "organisation": found.organisation,
                "parent": found.parent,
                "party": party(found, None),
                "role": found.role,
                "role_source": found.role_source,
            }
        )
    return PARTIES.conform(rows)
