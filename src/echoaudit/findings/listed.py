"""What the user's lists say of the hosts in the evidence, side by side with our own list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoaudit.domains import is_address, registrable
from echoaudit.findings.agreement import organisations_differ, purposes_differ
from echoaudit.lists import OWN, Installed, Match, Store, matcher
from echoaudit.outcomes.organisations import Attribution, directory
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

LISTED = Schema(
    "listed",
    "What each installed list and echoaudit's own say of each host that an installed one knows.",
    (
        Column("host", "string", "Host name, or a domain that exchanges identifiers."),
        Column("domain", "string", "Its registrable domain."),
        Column("list", "string", "The installed list; `echoaudit` is the one that comes with it."),
        Column("says", "string", "`listed`, `allowed`, `named` (whose it is) or `not listed`."),
        Column("rule", "string", "The list's rule; empty when it does not know the host."),
        Column("types", "string", "Types of requests that the rule covers."),
        Column("organisation", "string", "Whose the host is by this list; empty: it does not say."),
        Column("category", "string", "What it is for, in the list's own words."),
        Column(
            "conflict",
            "string",
            "On what lists disagree of the host: `organisation`, `purpose`, `listing`; or empty.",
        ),
    ),
)
OF_HOSTS = ("endpoints", "syncs")
"""Tables whose hosts are looked up."""
_MOST = 300
"""Characters of a cell."""


def listed_table(
    tables: Mapping[str, pd.DataFrame], lists: Sequence[Installed], store: Store
) -> pd.DataFrame:
    """One row per known host and list.

    Raises:
        Unavailable: a list, or what reads it, is not installed.
    """
    matchers = [(one, matcher(one.format, store.text(one))) for one in lists]
    rows: list[dict[str, Any]] = []
    for host in sorted(_hosts(tables)):
        found = [(one, known.find(host)) for one, known in matchers]
        if any(match is not None for _, match in found):
            rows.extend(_rows(host, found))
    return LISTED.conform(rows)


def _hosts(tables: Mapping[str, pd.DataFrame]) -> set[str]:
    syncs, endpoints = tables["syncs"], tables["endpoints"]
    names = {*endpoints["host"].dropna(), *syncs["source"].dropna(), *syncs["target"].dropna()}
    return {str(name) for name in names if name and not is_address(name)}


def _rows(host: str, found: Sequence[tuple[Installed, Match | None]]) -> Iterator[dict[str, Any]]:
    ours = directory().attribute(host)
    conflict = " ".join(_conflicts(ours, found))
    said = [(one.name, match) for one, match in found]
    for name, match in [*said, (OWN, _own(ours))]:
        yield {
            "host": host,
            "domain": registrable(host),
            "list": name,
            "says": match.says if match else "not listed",
            "rule": match.rule[:_MOST] if match else "",
            "types": " ".join(match.types) if match else "",
            "organisation": "; ".join(match.organisations)[:_MOST] if match else "",
            "category": "; ".join(match.categories)[:_MOST] if match else "",
            "conflict": conflict,
        }


def _own(ours: Attribution) -> Match | None:
    """Our own list's claim in the others' form; on shared hosting it names nobody."""
    if not ours.role_source:
        return None
    hosted = f"; hosted by {ours.hosted_by}" if ours.hosted_by else ""
    names = (ours.organisation,) if ours.organisation else ()
    roles = (ours.role,) if ours.role != "unknown" else ()
    return Match("named", ours.role_source + hosted, (), names, categories=roles)


def _conflicts(ours: Attribution, found: Sequence[tuple[Installed, Match | None]]) -> Iterator[str]:
    matches = [match for _, match in found if match is not None]
    stated = [{*match.organisations, *match.services} for match in matches]
    if organisations_differ([*stated, {ours.organisation, ours.parent} - {""}]):
        yield "organisation"
    categories = [category for match in matches for category in match.categories]
    if purposes_differ([*categories, *(match.says for match in matches), ours.role]):
        yield "purpose"
    blockers = [match for one, match in found if one.format != "owners"]
    if len({match.says if match else "not listed" for match in blockers}) > 1:
        yield "listing"
