"""How far identifiers travel from the platform: partners, those downstream, those out of sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from echoaudit.outcomes.organisations import directory, is_platform
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

STANDINGS = ("platform", "partner", "downstream", "apart", "unseen")
GRAPH = Schema(
    "sync_graph",
    "Where each domain stands in the exchange of identifiers: one row per domain.",
    (
        Column("domain", "string", "Registrable domain."),
        Column("organisation", "string", "Owner of the name; empty when unknown."),
        Column(
            "standing",
            "string",
            "`platform`; `partner`: exchanges identifiers with it; `downstream`: was sent "
            "identifiers by a partner or by one downstream; `apart`: was sent none by these; "
            "`unseen`: was asked for bids and in no exchange that a browser could see.",
        ),
        Column("hops", "int", "Steps from the platform: partners 1, those they send to 2, ..."),
        Column("via", "string", "Who sent it identifiers, one step nearer to the platform."),
        Column("to_platform", "bool", "Whether it sends the platform its identifiers."),
        Column("from_platform", "bool", "Whether it is sent the platform's identifiers."),
        Column("sends_to", "int", "Domains that are sent its identifiers."),
        Column("receives_from", "int", "Domains whose identifiers it is sent."),
        Column("accounts", "int", "Accounts in whose browser this was seen."),
        Column("bidders", "string", "Bidders whose server it is, comma-separated."),
    ),
)  # fmt: skip


def graph_table(syncs: pd.DataFrame, bids: pd.DataFrame) -> pd.DataFrame:
    """One row per domain that exchanges identifiers or was asked for bids."""
    edges = sorted(
        {(str(s), str(t)) for s, t in zip(syncs["source"], syncs["target"], strict=True)}
    )
    sends, receives = _neighbours(edges), _neighbours((t, s) for s, t in edges)
    servers = _servers(bids)
    accounts = _accounts(syncs)
    steps = _steps({domain for edge in edges for domain in edge}, sends, receives)
    known = directory()
    return GRAPH.conform(
        {
            "domain": domain,
            "organisation": known.attribute(domain).organisation,
            "standing": _standing(domain, steps, domain in accounts),
            "hops": steps[domain][0] if domain in steps else None,
            "via": steps[domain][1] if domain in steps else "",
            "to_platform": any(map(is_platform, sends.get(domain, ()))),
            "from_platform": any(map(is_platform, receives.get(domain, ()))),
            "sends_to": len(sends.get(domain, ())),
            "receives_from": len(receives.get(domain, ())),
            "accounts": len(accounts.get(domain, ())),
            "bidders": ",".join(sorted(servers.get(domain, ()))),
        }
        for domain in sorted({*accounts, *servers})
    )


def _neighbours(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for one, other in edges:
        found[one].add(other)
    return dict(found)


def _servers(bids: pd.DataFrame) -> dict[str, set[str]]:
    known = bids[bids["server"] != ""]
    return _neighbours(
        (str(server), str(bidder))
        for server, bidder in known[["server", "bidder"]].drop_duplicates().itertuples(index=False)
    )


def _accounts(syncs: pd.DataFrame) -> dict[str, set[str]]:
    ends = [zip(syncs[end], syncs["account"], strict=True) for end in ("source", "target")]
    return _neighbours((str(domain), str(account)) for pairs in ends for domain, account in pairs)


def _steps(
    domains: set[str], sends: Mapping[str, set[str]], receives: Mapping[str, set[str]]
) -> dict[str, tuple[int, str]]:
    """Steps from the platform, and who is one step nearer; domains that none lead to are absent."""
    found = {domain: (0, "") for domain in domains if is_platform(domain)}
    beside = {
        other: domain
        for domain in sorted(found)
        for other in sends.get(domain, set()) | receives.get(domain, set())
        if other not in found
    }
    nearest = {other: (1, domain) for other, domain in beside.items()}
    while nearest:
        found |= nearest
        nearest = {
            other: (found[domain][0] + 1, domain)
            for domain in sorted(nearest, reverse=True)
            for other in sends.get(domain, set())
            if other not in found
        }
    return found


def _standing(domain: str, steps: Mapping[str, tuple[int, str]], exchanges: bool) -> str:
    if domain in steps:
        return ("platform", "partner", "downstream")[min(steps[domain][0], 2)]
    if is_platform(domain):
        return "platform"
    return "apart" if exchanges else "unseen"
