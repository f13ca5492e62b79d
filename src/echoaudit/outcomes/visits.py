"""Page visits as outcomes read them: requests out of the HAR file, cookies of the profile.

Both come from web pages by way of a browser: whatever does not have the expected shape is left
out, and never more than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from echoaudit.domains import registrable
from echoaudit.errors import BadInput

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

HAR, COOKIES, VISIT, STORAGE = "page.har", "cookies.json", "visit.json", "storage.json"
LONGEST = 4096
"""Characters of a page's address."""
DOCUMENTS = ("document", "main_frame", "sub_frame")
"""Kinds of requests that ask for a document, in the words of DevTools and of Firefox."""
MAX_TIME = 253_402_300_799.0
"""The last second of the year 9999; some cookies claim to live longer."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as the browser keeps it or a server sets it."""

    site: str
    """Registrable domain."""
    name: str
    value: str
    expires: float | None
    """Seconds since 1970; ``None`` ends with the browser."""
    fresh: bool = False
    """Whether each visit begins without it, as without what session storage holds."""
    domain: str = ""
    """The domain that it is sent to, without a leading dot; empty in storage."""
    path: str = ""
    http_only: bool = False
    """Whether scripts can neither read nor set it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a page; each hop of a redirect chain is one."""

    time: float
    url: str
    host: str
    site: str
    headers: tuple[tuple[str, str], ...]
    body: str
    chain: tuple[str, ...]
    """Sites of the requests that were redirected to it, first to last."""
    initiator: str
    """Host of the script or document that caused it."""
    stored: tuple[Cookie, ...]
    """Cookies that its answer set and the browser accepted."""
    document: bool = False
    """Whether its answer became a document: a page or what a frame holds."""
    target: str = ""
    """What asked, as ``page`` or ``shared_worker``; empty where nobody tells."""

    @property
    def hops(self) -> int:
        """Redirects before it."""
        return len(self.chain)


@dataclass(frozen=True)
class PageVisit:
    """One visit with its evidence read."""

    step: StepEvidence
    about: Mapping[str, Any]
    """visit.json."""
    requests: tuple[Request, ...]
    before: tuple[Cookie, ...]
    after: tuple[Cookie, ...]
    stored: tuple[Cookie, ...] = ()
    """What origins kept in local storage at the end, as cookies that never expire (their names
    begin with ``local:``), and in session storage (``session:``), which each visit begins without,
    in a tab of its own."""

    @property
    def started(self) -> float:
        """Seconds since 1970."""
        return number(self.about.get("started")) or 0.0

    @property
    def ended(self) -> float:
        """Seconds since 1970."""
        return number(self.about.get("ended")) or self.started

    @property
    def page(self) -> str:
        """The page's own registrable domain; where nothing names it, that of the first request."""
        host = host_of(plain(self.about.get("url"), LONGEST) or "")
        return registrable(host) if host else next((one.site for one in self.requests), "")


def page_visits(recording: Recording) -> Iterator[PageVisit]:
    """All visits in the recording's order; those without files have no requests or cookies."""
    for step in recording.steps("visit"):
        cookies = _object(step, COOKIES)
        yield PageVisit(
            step,
            _object(step, VISIT),
            requests_of(step),
            tuple(_jar(cookies.get("before"))),
            tuple(_jar(cookies.get("after"))),
            tuple(_kept(step.json(STORAGE) if step.has(STORAGE) else [])),
        )


def requests_of(step: StepEvidence) -> tuple[Request, ...]:
    """The requests of a visit, in the order of its HAR file; none without one."""
    return tuple(_requests(_object(step, HAR)))


def _object(step: StepEvidence, name: str) -> Mapping[str, Any]:
    found = step.json(name) if step.has(name) else {}
    if not isinstance(found, dict):
        raise BadInput("not a JSON object", file=step.path(name))
    return found


def described(visit: PageVisit) -> dict[str, Any]:
    """The columns that say which visit a row is from."""
    return describe_step(visit.step, visit.about)


def describe_step(step: StepEvidence, about: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that say which visit a row is from, of a step and its visit.json."""
    round_ = about.get("round")
    return {
        "visit": step.id,
        "account": step.account,
        "persona": step.persona,
        "phase": plain(about.get("phase")) or "",
        "round": round_ if isinstance(round_, int) and not isinstance(round_, bool) else None,
        "site": plain(about.get("site")) or "",
    }


def plain(value: Any, limit: int = 200) -> str | None:
    """Text of the world's as one short printable line; ``None`` for anything but text."""
    if not isinstance(value, str):
        return None
    return "".join(char if char.isprintable() else " " for char in value[:limit]).strip()


def number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) < 1e300 else None


def host_of(url: str) -> str:
    """Host name of an address; empty when it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


# --- HAR --------------------------------------------------------------------------------------


def _requests(har: Mapping[str, Any]) -> Iterator[Request]:
    chains = _Chains()
    for entry in _list(_dict(har.get("log")).get("entries")):
        request = _request(_dict(entry), chains)
        if request is not None:
            yield request


class _Chains:
    """Which requests redirects led to: by the request's id, else by the address they named.

    Only some tools write down an id that a whole chain has.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[str, ...]] = {}
        self._by_address: dict[str, tuple[str, ...]] = {}

    def before(self, entry: Mapping[str, Any], url: str, site: str) -> tuple[str, ...]:
        """The sites before a request; it is noted for those that follow."""
        key = entry.get("_requestId")
        if key is not None:
            found = self._by_id.get(str(key), ())
            self._by_id[str(key)] = (*found, site)
            return found
        found = self._by_address.pop(url, ())
        target = _text(_dict(entry.get("response")).get("redirectURL"))
        if target:
            self._by_address[_joined(url, target)] = (*found, site)
        return found


def _joined(base: str, target: str) -> str:
    try:
        return urljoin(base, target)
    except ValueError:
        return ""


def _request(entry: Mapping[str, Any], chains: _Chains) -> Request | None:
    request, response = _dict(entry.get("request")), _dict(entry.get("response"))
    url, time = request.get("url"), _time(entry.get("startedDateTime"))
    host = host_of(url) if isinstance(url, str) else ""
    if not host or time is None or not isinstance(url, str):
        return None
    site = registrable(host)
    return Request(
        time=time,
        url=url,
        host=host,
        site=site,
        headers=tuple(_pairs(request.get("headers"))),
        body=_text(_dict(request.get("postData")).get("text")),
        chain=chains.before(entry, url, site),
        initiator=_initiator(entry),
        stored=tuple(_stored(entry, response, host, time)),
        document=_is_document(entry, response),
        target=_text(entry.get("_target")),
    )


def _is_document(entry: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    """Whether a page or frame came of a request: no redirect, and nothing that failed."""
    asked = _text(entry.get("_resourceType")).lower() in DOCUMENTS
    return asked and not response.get("redirectURL") and not entry.get("_error")


def _initiator(entry: Mapping[str, Any]) -> str:
    cause = _dict(entry.get("_initiator"))
    frames = map(_dict, _list(_dict(cause.get("stack")).get("callFrames")))
    scripts = [*_list(cause.get("scripts")), *(frame.get("url") for frame in frames)]
    places = [*scripts[:1], cause.get("url"), entry.get("_document")]
    return next((host for place in places if (host := host_of(_text(place)))), "")


def _stored(
    entry: Mapping[str, Any], response: Mapping[str, Any], host: str, time: float
) -> Iterator[Cookie]:
    refused = {
        _text(_dict(cookie).get("name"))
        for cookie in _list(entry.get("_blockedCookies"))
        if _dict(cookie).get("direction") == "response"
    }
    for found in _cookies(response):
        name, value = _text(found.get("name")), _text(found.get("value"))
        if name and name not in refused:
            domain = _text(found.get("domain")).lstrip(".").lower() or host
            yield Cookie(
                registrable(domain),
                name,
                value,
                _expiry(found, time),
                domain=domain,
                path=_text(found.get("path")),
                http_only=found.get("httpOnly") is True,
            )


def _cookies(response: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Cookies as a tool lists them; what it leaves out, as some do a Max-Age, from the headers."""
    sent = _set_cookies(response)
    listed = [_dict(cookie) for cookie in _list(response.get("cookies"))]
    if not listed:
        return [*sent]
    known = {(cookie["name"], cookie["value"]): cookie for cookie in sent}
    return [
        {
            **known.get((_text(cookie.get("name")), _text(cookie.get("value"))), {}),
            **{key: value for key, value in cookie.items() if value not in ("", None)},
        }
        for cookie in listed
    ]


def _set_cookies(response: Mapping[str, Any]) -> list[dict[str, str]]:
    """Cookies out of the headers."""
    lines = [line for name, value in _pairs(response.get("headers")) if name == "set-cookie"
             for line in value.split("\n")]  # fmt: skip
    return [cookie for line in lines if (cookie := _set_cookie(line))]


def _set_cookie(line: str) -> dict[str, str]:
    pair, *more = line.split(";")
    name, equals, value = pair.partition("=")
    said = {key.strip().lower(): text.strip() for key, _, text in (a.partition("=") for a in more)}
    known = {"domain": "domain", "expires": "expires", "max-age": "_maxAge"}
    found = {ours: said[theirs] for theirs, ours in known.items() if theirs in said}
    return {"name": name.strip(), "value": value.strip(), **found} if equals else {}


def _expiry(cookie: Mapping[str, Any], time: float) -> float | None:
    age = _text(cookie.get("_maxAge")).strip()
    if age.lstrip("-").isdecimal() and len(age) < 15:
        return min(time + int(age), MAX_TIME)
    text = _text(cookie.get("expires"))
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return _time(text)


def _jar(cookies: Any) -> Iterator[Cookie]:
    for found in map(_dict, _list(cookies)):
        name, domain = _text(found.get("name")), _text(found.get("domain")).lstrip(".")
        if name and domain:
            expires = number(found.get("expires"))
            lasting = expires is not None and expires > 0 and found.get("session") is not True
            kept = min(expires, MAX_TIME) if lasting and expires is not None else None
            yield Cookie(
                registrable(domain),
                name,
                _text(found.get("value")),
                kept,
                domain=domain.lower(),
                path=_text(found.get("path")),
                http_only=found.get("httpOnly") is True,
            )


def _kept(stores: Any) -> Iterator[Cookie]:
    for found in map(_dict, _list(stores)):
        host, kind = host_of(_text(found.get("origin"))), found.get("kind")
        if not host or kind not in ("local", "session"):
            continue
        fresh = kind == "session"
        for name, value in _dict(found.get("items")).items():
            if isinstance(value, str):
                expires = None if fresh else MAX_TIME
                yield Cookie(registrable(host), f"{kind}:{name}", value, expires, fresh)


def _pairs(headers: Any) -> Iterator[tuple[str, str]]:
    for header in map(_dict, _list(headers)):
        yield _text(header.get("name")).lower(), _text(header.get("value"))


def _time(value: Any) -> float | None:
    """A moment; none without a time zone, for this machine's own would make findings differ."""
    try:
        moment = datetime.fromisoformat(_text(value))
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
