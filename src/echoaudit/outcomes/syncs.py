"""Cookie syncs: an identifier of one party seen in a request to another.

Observed in the browser only: what parties tell each other between their servers is out of sight,
and identifiers that a browser never stored as a cookie are not looked for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.identifiers import identifiers
from echoaudit.outcomes.identifiers_search import Found, Index
from echoaudit.outcomes.organisations import is_platform
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import PageVisit, Request, described, page_visits, plain

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "syncs"
TABLE = Schema(
    NAME,
    "Identifiers of one party in requests to another: one row per visit, way and identifier.",
    (
        Column("visit", "string", "Step id of the visit."),
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("round", "int", "Pass over all sites, from 1."),
        Column("site", "string", "The site as the study names it."),
        Column("source", "string", "Registrable domain whose identifier it is."),
        Column("target", "string", "Registrable domain that the request went to."),
        Column("identifier", "string", "Beginning of the identifier's SHA-256: same or other."),
        Column(
            "cookie",
            "string",
            "Name of the source's cookie that holds it; `local:NAME` and `session:NAME` are "
            "entries of storage.",
        ),
        Column(
            "encoding",
            "string",
            "`plain`, `url`, `base64`, `base64url`, `hex`, `md5`, `sha1`, `sha256`, `json`, `jwt`.",
        ),
        Column("place", "string", "`url`, `redirect` (URL after a redirect), `header` or `body`."),
        Column("initiator", "string", "Host of the script or document that caused the request."),
        Column("direction", "string", "`to platform`, `from platform` or `between others`."),
        Column("hops", "int", "Redirects before the request, in the first such request."),
        Column("chain", "string", "Sites of these redirects, first to last, joined by `>`."),
        Column("first_time", "float", "When the visit's first such request began.", "s since 1970"),
    ),
)
UNSEARCHED = ("cookie", "host", "user-agent", "accept", "sec-", "connection", "content-", "origin")
"""Beginnings of the names of headers that carry no message; own cookies are no sync."""

MOST_HOPS = 20
"""Redirects that a row names; browsers give up after about as many."""

_WAY = ("source", "target", "identifier", "cookie", "encoding", "place")
"""Columns that tell one way of syncing from another."""


def derive(recording: Recording) -> pd.DataFrame:
    """The syncs of all visits."""
    accounts: dict[str, list[PageVisit]] = defaultdict(list)
    for visit in page_visits(recording):
        accounts[visit.step.account].append(visit)
    for visits in accounts.values():
        visits.sort(key=lambda visit: visit.started)
    known = {account: Index(found) for account, found in identifiers(accounts).items()}
    return TABLE.conform(
        row
        for account, visits in accounts.items()
        for visit in visits
        for row in _rows(visit, known[account])
    )


def _rows(visit: PageVisit, index: Index) -> Iterator[dict[str, Any]]:
    """A visit's syncs; the same way again and again is one row, its first request's."""
    seen: set[tuple[str, ...]] = set()
    about = described(visit)
    for request in sorted(visit.requests, key=lambda request: request.time):
        for place, found in _syncs(request, index):
            row = _row(request, place, found)
            way = tuple(row[name] for name in _WAY)
            if way not in seen:
                seen.add(way)
                yield {**about, **row}


def _syncs(request: Request, index: Index) -> Iterator[tuple[str, Found]]:
    for place, text in _texts(request):
        for found in index.search(text):
            if found.identifier.site != request.site:
                yield place, found


def _texts(request: Request) -> Iterator[tuple[str, str]]:
    yield ("redirect" if request.hops else "url"), request.url
    for name, value in request.headers:
        if not name.lstrip(":").startswith(UNSEARCHED) and not name.startswith(":"):
            yield "header", value
    if request.body:
        yield "body", request.body


def _row(request: Request, place: str, found: Found) -> dict[str, Any]:
    return {
        "source": found.identifier.site,
        "target": request.site,
        "identifier": hashlib.sha256(found.identifier.value.encode()).hexdigest()[:12],
        "cookie": plain(found.identifier.cookie) or "",
        "encoding": found.encoding,
        "place": place,
        "initiator": request.initiator,
        "direction": _direction(found.identifier.site, request.site),
        "hops": request.hops,
        "chain": ">".join(request.chain[-MOST_HOPS:]),
        "first_time": request.time,
    }


def _direction(source: str, target: str) -> str:
    if is_platform(target):
        return "between others" if is_platform(source) else "to platform"
    return "from platform" if is_platform(source) else "between others"
