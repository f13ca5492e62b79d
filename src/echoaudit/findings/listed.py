"""What the user's lists say of the hosts in the evidence, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from echoaudit.domains import is_address, registrable
from echoaudit.lists import Installed, Match, Store, matcher
from echoaudit.outcomes.organisations import directory
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

LISTED = Schema(
    "listed",
    "What each installed list says of each host that any of them knows.",
    (
        Column("host", "string", "Host name, or a domain that exchanges identifiers."),
        Column("domain", "string", "Its registrable domain."),
        Column("list", "string", "The installed list."),
        Column("says", "string", "`listed`, `allowed` or `not listed`."),
        Column("rule", "string", "The list's rule; empty when it does not know the host."),
        Column("types", "string", "Types of requests that the rule covers."),
        Column("role", "string", "Role by the list that comes with echoaudit."),
        Column(
            "conflict",
            "bool",
            "Whether lists disagree: one allows what another lists, not all know the host, or it "
            "is functional by echoaudit's own list.",
        ),
    ),
)


def listed_table(
    tables: Mapping[str, pd.DataFrame], lists: Sequence[Installed], store: Store
) -> pd.DataFrame:
    """One row per known host and list.

    Raises:
        Unavailable: a list, or what reads it, is not installed.
    """
    matchers = [(one.name, matcher(one.format, store.text(one))) for one in lists]
    rows: list[dict[str, Any]] = []
    for host in sorted(_hosts(tables)):
        found = [(name, known.find(host)) for name, known in matchers]
        if any(match is not None for _, match in found):
            rows.extend(_rows(host, found))
    return LISTED.conform(rows)


def _hosts(tables: Mapping[str, pd.DataFrame]) -> set[str]:
    syncs, endpoints = tables["syncs"], tables["endpoints"]
    names = {*endpoints["host"].dropna(), *syncs["source"].dropna(), *syncs["target"].dropna()}
    return {str(name) for name in names if name and not is_address(name)}


def _rows(host: str, found: Sequence[tuple[str, Match | None]]) -> Iterator[dict[str, Any]]:
    role = directory().attribute(host).role
    says = {match.says if match else "not listed" for _, match in found}
    conflict = len(says) > 1 or (role == "functional" and "listed" in says)
    for name, match in found:
        yield {
            "host": host,
            "domain": registrable(host),
            "list": name,
            "says": match.says if match else "not listed",
            "rule": match.rule[:300] if match else "",
            "types": " ".join(match.types) if match else "",
            "role": role,
            "conflict": conflict,
        }
