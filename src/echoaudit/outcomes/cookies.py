"""Cookies that visits brought into an account's browser, and who set each.

A cookie whose value an answer's Set-Cookie header had was set by that answer. A browser tells
nobody which script has set a cookie, so that is found by elimination: no answer of the visit had
the value, scripts may set such a cookie, and a document of the visit was one whose scripts can.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from echoaudit.outcomes.organisations import directory
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import (
    COOKIES,
    Cookie,
    PageVisit,
    Request,
    described,
    page_visits,
    plain,
)

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

_Key = tuple[str, str, str]
"""Domain, path and name of a cookie."""

NAME = "cookies"
TABLE = Schema(
    NAME,
    "Cookies that visits brought or changed, with who set them: one row per visit and cookie.",
    (
        Column("visit", "string", "Step id of the visit."),
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("round", "int", "Pass over all sites, from 1."),
        Column("site", "string", "The site as the study names it."),
        Column("host", "string", "Domain or host that the cookie is sent to."),
        Column("path", "string", "Path that it is sent to."),
        Column("name", "string", "Its name."),
        Column("value", "string", "Beginning of the value's SHA-256: same or other."),
        Column("change", "string", "`new`, or `changed`: it was there before with another value."),
        Column("third_party", "bool", "Whether its domain is another than the page's."),
        Column("domain", "string", "Its registrable domain."),
        Column("organisation", "string", "Whose that is; empty when unknown."),
        Column(
            "lifetime", "float", "How long it lives on after the visit; missing when it ends with "
            "the browser.", "s",
        ),
        Column("http_only", "bool", "Whether scripts can neither read nor set it."),
        Column(
            "setter",
            "string",
            "`response`: an answer with a Set-Cookie header; `script`: a script in a document of "
            "the visit; `unknown`.",
        ),
        Column(
            "setter_url",
            "string",
            "Address of the request whose answer set it, or of the document whose script did, "
            "without what follows `?`; of several documents that could be it, what their addresses "
            "have in common (scheme and host); else empty.",
        ),
        Column(
            "initiator",
            "string",
            "Host of the script or document that caused the request whose answer set it.",
        ),
    ),
)  # fmt: skip
UNTOLD = "shared_worker"
"""Whose requests Chromium tells without the cookies that their answers set."""
LONGEST = 200
"""Characters of a setter's address."""


def derive(recording: Recording) -> pd.DataFrame:
    """The cookies of all visits."""
    return TABLE.conform(row for visit in page_visits(recording) for row in _rows(visit))


def _rows(visit: PageVisit) -> Iterator[dict[str, Any]]:
    about, setters = described(visit), _Setters(visit.requests)
    had: dict[_Key, set[str]] = defaultdict(set)
    for cookie in visit.before:
        had[_key(cookie)].add(cookie.value)
    # Partitioned cookies may be alike but for the page that they are kept apart for.
    for (key, value), cookie in {(_key(one), one.value): one for one in _kept(visit)}.items():
        if value in had[key]:
            continue
        known = directory().attribute(cookie.domain)
        yield {
            **about,
            "host": plain(cookie.domain) or "",
            "path": plain(cookie.path) or "",
            "name": plain(cookie.name) or "",
            "value": hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12],
            "change": "changed" if had[key] else "new",
            "third_party": cookie.site != visit.page,
            "domain": known.domain,
            "organisation": known.organisation,
            "lifetime": None if cookie.expires is None else round(cookie.expires - visit.ended, 3),
            "http_only": cookie.http_only,
            **setters.of(cookie),
        }


def _key(cookie: Cookie) -> _Key:
    return cookie.domain, cookie.path, cookie.name


def _kept(visit: PageVisit) -> Iterator[Cookie]:
    """The browser's cookies at the end; where nobody read them, those that answers set."""
    if visit.step.has(COOKIES):
        yield from visit.after
        return
    last = {
        _key(cookie): cookie
        for request in sorted(visit.requests, key=lambda request: request.time)
        for cookie in request.stored
    }
    yield from (c for c in last.values() if c.expires is None or c.expires > visit.ended)


class _Setters:
    """What answers set in a visit, and the documents whose scripts could have."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._told: dict[tuple[str, str, bytes], Request] = {}
        for request in sorted(requests, key=lambda request: request.time):
            for cookie in request.stored:
                self._told.setdefault(_sent(cookie), request)
        self._untold = {one.host for one in requests if one.target == UNTOLD}
        self._documents = sorted({(one.host, one.url) for one in requests if one.document})

    def of(self, cookie: Cookie) -> dict[str, str]:
        """The columns that say who set a cookie."""
        told = self._told.get(_sent(cookie))
        if told is not None:
            return {
                "setter": "response",
                "setter_url": _address(told.url),
                "initiator": plain(told.initiator) or "",
            }
        places = {_address(url) for host, url in self._documents if _may_set(host, cookie)}
        untold = any(_may_set(host, cookie) for host in self._untold)
        if cookie.http_only or untold or not places:
            return {"setter": "unknown", "setter_url": "", "initiator": ""}
        return {"setter": "script", "setter_url": _common(places), "initiator": ""}


def _sent(cookie: Cookie) -> tuple[str, str, bytes]:
    """What tells a cookie on the wire; browsers and wire differ in how they read what is no ASCII,
    so that is left out."""
    return cookie.domain, cookie.name, cookie.value.encode("ascii", "ignore")


def _may_set(host: str, cookie: Cookie) -> bool:
    """Whether a script of a document on ``host`` may set it."""
    return host == cookie.domain or host.endswith(f".{cookie.domain}")


def _address(url: str) -> str:
    """An address without its query and fragment, which may hold identifiers."""
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return plain(bare, LONGEST) or ""


def _common(addresses: set[str]) -> str:
    """The address of all, or what they have in common."""
    if len(addresses) == 1:
        return next(iter(addresses))
    origins = {urlunsplit((*urlsplit(address)[:2], "/", "", "")) for address in addresses}
    return origins.pop() if len(origins) == 1 else ""
