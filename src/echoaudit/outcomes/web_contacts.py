"""Whom the visited pages contacted: hosts with their organisations, auctions by their address.

Auctions that run on a server tell their bids to no script. That they took place is seen by the
requests that begin them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from echoaudit.domains import registrable
from echoaudit.outcomes.organisations import directory
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import (
    PageVisit,
    Request,
    described,
    page_visits,
)

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

Kind = Literal["apstag", "google-ads", "prebid-server", ""]

NAME = "web_contacts"
TABLE = Schema(
    NAME,
    "Whom the visited pages contacted: one row per visit, host and kind of request.",
    (
        Column("visit", "string", "Step id of the visit."),
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("round", "int", "Pass over all sites, from 1."),
        Column("site", "string", "The site as the study names it."),
        Column("host", "string", "Host name or address that was asked."),
        Column(
            "kind",
            "string",
            "An auction that no script sees: `apstag` (Amazon's tag asks for bids), `google-ads` "
            "(Google's ad server is asked to fill slots), `prebid-server`; empty for all else.",
        ),
        Column("requests", "int", "Requests, each hop of a redirect chain counted."),
        Column("first_time", "float", "When the first began.", "s since 1970"),
        Column("third_party", "bool", "Whether its domain is another than the page's."),
        Column("domain", "string", "Its registrable domain."),
        Column("organisation", "string", "Whose it is; empty when unknown."),
        Column("role", "string", "As for `endpoints`."),
        Column("role_source", "string", "The list and rule that say so."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The contacts of all visits."""
    return TABLE.conform(row for visit in page_visits(recording) for row in _rows(visit))


def kind_of(url: str) -> Kind:
    """Which auction on a server a request begins, by documented addresses.

    Amazon's tag asks ``/e/dtb/bid`` of ``amazon-adsystem.com``, Google's publisher tag
    ``/gampad/ads`` of ``doubleclick.net``; a Prebid Server, whoever runs it, is asked
    ``/openrtb2/auction``.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    domain, path = registrable(parts.hostname or ""), parts.path.rstrip("/")
    if domain == "amazon-adsystem.com" and path == "/e/dtb/bid":
        return "apstag"
    if domain in ("doubleclick.net", "googlesyndication.com") and path == "/gampad/ads":
        return "google-ads"
    return "prebid-server" if path.endswith("/openrtb2/auction") else ""


def _rows(visit: PageVisit) -> Iterator[dict[str, Any]]:
    about = described(visit)
    own = visit.page
    for (host, kind), requests in _grouped(visit.requests).items():
        known = directory().attribute(host)
        yield {
            **about,
            "host": host,
            "kind": kind,
            "requests": len(requests),
            "first_time": min(request.time for request in requests),
            "third_party": requests[0].site != own,
            "domain": known.domain,
            "organisation": known.organisation,
            "role": known.role,
            "role_source": known.role_source,
        }


def _grouped(requests: Iterable[Request]) -> dict[tuple[str, Kind], list[Request]]:
    found: dict[tuple[str, Kind], list[Request]] = {}
    for request in requests:
        found.setdefault((request.host, kind_of(request.url)), []).append(request)
    return dict(sorted(found.items()))
