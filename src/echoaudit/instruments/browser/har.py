"""Recorded exchanges as HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/).

Fields with a leading underscore are extensions, which the format allows; ``docs/web.md`` lists
them. Headers and cookies are those on the wire wherever the browser tells them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from echoaudit import __version__
from echoaudit.instruments.browser.devtools import Answer
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.recorder import BODY_LIMIT, Hop

Json = dict[str, Any]
WAIT = 1.0
"""Seconds to wait for a body that was asked for during the visit."""
PROTOCOLS = {"h2": "HTTP/2.0", "h3": "HTTP/3.0", "http/1.1": "HTTP/1.1", "http/1.0": "HTTP/1.0"}
KEPT_INITIATOR = ("type", "url", "lineNumber", "columnNumber", "requestId")


def har(url: str, started: float, browser: str, hops: Iterable[tuple[str, Hop]]) -> Json:
    """One visit's hops as a HAR document with one page."""
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "echoaudit", "version": __version__},
            "browser": {"name": "Chromium", "version": browser},
            "pages": [
                {"startedDateTime": iso(started), "id": "page", "title": url, "pageTimings": {}}
            ],
            "entries": [entry(number, hop) for number, hop in hops],
        }
    }


def entry(number: str, hop: Hop) -> Json:
    """One hop as a HAR entry."""
    timings = _timings(hop)
    response = hop.response or {}
    found: Json = {
        "pageref": "page",
        "startedDateTime": iso(hop.wall),
        "time": sum(value for value in timings.values() if value > 0),
        "request": _request(hop),
        "response": _response(hop),
        "cache": {},
        "timings": timings,
        "serverIPAddress": str(response.get("remoteIPAddress", "")).strip("[]"),
        "connection": str(response.get("connectionId", "")),
        "_requestId": number,
        "_resourceType": hop.kind.lower(),
        "_target": hop.target,
        "_frame": hop.frame,
        "_document": hop.document,
        "_initiator": _initiator(hop.initiator),
        "_redirected": hop.redirected,
        "_fromCache": hop.cache,
        "_error": hop.error,
        "_blockedCookies": list(_blocked(hop)),
    }
    if hop.messages:
        found["_webSocketMessages"] = hop.messages
    return found


def iso(seconds: float) -> str:
    """A time since 1970 as HAR writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def _request(hop: Hop) -> Json:
    headers = hop.request_extra.get("headers") or hop.request.get("headers", {})
    url = str(hop.request["url"]) + str(hop.request.get("urlFragment", ""))
    posted = _posted(hop)
    request: Json = {
        "method": str(hop.request.get("method", "GET")),
        "url": url,
        "httpVersion": _protocol(hop),
        "cookies": [
            {"name": name.strip(), "value": value.strip()}
            for name, _, value in (
                pair.partition("=")
                for pair in _header(headers, "cookie").split(";")
                if pair.strip()
            )
        ],
        "headers": _headers(headers),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(_query(url), keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": len(posted.encode()) if posted is not None else 0,
    }
    if posted is not None:
        request["postData"] = {
            "mimeType": _header(headers, "content-type"),
            "params": [],
            "text": posted[:BODY_LIMIT],
        }
    return request


def _response(hop: Hop) -> Json:
    response = hop.response or {}
    headers = hop.response_extra.get("headers") or response.get("headers", {})
    status = hop.response_extra.get("statusCode") or response.get("status", 0)
    return {
        "status": int(status),
        "statusText": str(response.get("statusText", "")),
        "httpVersion": _protocol(hop),
        "cookies": [
            cookie
            for name, value in headers.items()
            if name.lower() == "set-cookie"
            for line in str(value).split("\n")
            for cookie in set_cookie(line)
        ],
        "headers": _headers(headers),
        "content": _content(hop),
        "redirectURL": _header(headers, "location"),
        "headersSize": -1,
        "bodySize": hop.received,
    }


def set_cookie(line: str) -> Iterator[Json]:
    """A Set-Cookie header as a HAR cookie; nothing when it has no name."""
    pair, *attributes = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals or not name.strip():
        return
    cookie: Json = {"name": name.strip(), "value": value.strip()}
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        match key.strip().lower():
            case "path" | "domain" | "expires" as known:
                cookie[known] = text.strip()
            case "max-age":
                cookie["_maxAge"] = text.strip()
            case "samesite":
                cookie["sameSite"] = text.strip()
            case "httponly":
                cookie["httpOnly"] = True
            case "secure":
                cookie["secure"] = True
            case "partitioned":
                cookie["_partitioned"] = True
    yield cookie


def _content(hop: Hop) -> Json:
    response = hop.response or {}
    content: Json = {"size": hop.length, "mimeType": str(response.get("mimeType", ""))}
    text = _body(hop)
    if text is not None:
        content["text"] = text
    return content


def _body(hop: Hop) -> str | None:
    answer = _answer(hop.body)
    if answer is None:
        return None
    text = str(answer.get("body", ""))
    if answer.get("base64Encoded"):
        text = _decoded(text)
    # A small compressed body may be huge when unpacked.
    return text if len(text) <= BODY_LIMIT else None


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _posted(hop: Hop) -> str | None:
    if "postData" in hop.request:
        return str(hop.request["postData"])
    answer = _answer(hop.post_data)
    return str(answer["postData"]) if answer and "postData" in answer else None


def _answer(future: Future[Answer] | None) -> Answer | None:
    """What the browser answered; nothing when the tab had gone before it could."""
    if future is None:
        return None
    try:
        return future.result(WAIT)
    except (CommandFailed, BrowserCrashed, FutureTimeout):
        return None


def _headers(headers: Mapping[str, Any]) -> list[Json]:
    """DevTools joins repeated headers by line feeds; HAR lists them one by one."""
    return [
        {"name": name, "value": line}
        for name, value in headers.items()
        for line in str(value).split("\n")
    ]


def _header(headers: Mapping[str, Any], wanted: str) -> str:
    return next((str(value) for name, value in headers.items() if name.lower() == wanted), "")


def _protocol(hop: Hop) -> str:
    name = str((hop.response or {}).get("protocol", ""))
    return PROTOCOLS.get(name, name)


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _initiator(initiator: Mapping[str, Any]) -> Json:
    found = {key: initiator[key] for key in KEPT_INITIATOR if key in initiator}
    scripts = list(dict.fromkeys(_scripts(initiator.get("stack"))))
    return found | ({"scripts": scripts[:10]} if scripts else {})


def _scripts(stack: Mapping[str, Any] | None) -> Iterator[str]:
    """The scripts on the call stack, innermost first, asynchronous callers included."""
    depth = 0
    while stack and depth < 10:
        yield from (str(call["url"]) for call in stack.get("callFrames", ()) if call.get("url"))
        stack, depth = stack.get("parent"), depth + 1


def _blocked(hop: Hop) -> Iterator[Json]:
    """Cookies that the browser did not send or did not store, and its reasons."""
    for cookie in hop.request_extra.get("associatedCookies", ()):
        if cookie.get("blockedReasons"):
            yield {
                "direction": "request",
                "name": cookie["cookie"]["name"],
                "domain": cookie["cookie"]["domain"],
                "reasons": cookie["blockedReasons"],
            }
    for cookie in hop.response_extra.get("blockedCookies", ()):
        yield {
            "direction": "response",
            "name": str(cookie.get("cookieLine", "")).partition("=")[0].strip(),
            "reasons": cookie.get("blockedReasons", []),
        }


def _timings(hop: Hop) -> dict[str, float]:
    """HAR's phases in milliseconds; -1 where a phase does not apply."""
    timing = (hop.response or {}).get("timing")
    end = hop.ended if hop.ended is not None else hop.started
    if not timing:
        return _phases(send=0, wait=max(0.0, (end - hop.started) * 1000), receive=0)
    base = float(timing["requestTime"])

    def span(first: str, last: str) -> float:
        return float(timing[last] - timing[first]) if timing[first] >= 0 else -1.0

    starts = [timing[key] for key in ("dnsStart", "connectStart", "sendStart") if timing[key] >= 0]
    return _phases(
        blocked=max(0.0, (base - hop.started) * 1000 + min(starts, default=0.0)),
        dns=span("dnsStart", "dnsEnd"),
        connect=span("connectStart", "connectEnd"),
        ssl=span("sslStart", "sslEnd"),
        send=max(0.0, span("sendStart", "sendEnd")),
        wait=max(0.0, float(timing["receiveHeadersEnd"] - timing["sendEnd"])),
        receive=max(0.0, (end - base) * 1000 - float(timing["receiveHeadersEnd"])),
    )


def _phases(**known: float) -> dict[str, float]:
    names = ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")
    return {name: round(known.get(name, -1.0), 3) for name in names}
