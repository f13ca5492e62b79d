"""Giving a browser the cookies that an earlier one had and did not write to the profile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.session import Session

ANSWERING = 15.0
"""Seconds for a question to the browser itself: a busy machine may take many of them, and a
browser that is gone is noticed without waiting."""
Cookie = Mapping[str, Any]
"""As DevTools lists it (``Network.Cookie``)."""
Key = tuple[str, str, str, str]

_COPIED = (
    "name", "value", "path", "secure", "httpOnly", "sameSite", "priority", "sourceScheme",
    "sourcePort", "partitionKey",
)  # fmt: skip
"""What of a listed cookie is said as it is when it is set (``Network.CookieParam``)."""
_COMPARED = ("value", "size", "secure", "httpOnly", "sameSite", "session")


@dataclass(frozen=True)
class Restored:
    """How many cookies were not as they had to be."""

    set: int
    """Missing or different ones, now as they were."""
    removed: int
    """Ones that were not there."""
    failed: int
    """Ones that the browser does not take or give up."""


def listed(session: Session) -> list[Any]:
    """All cookies of the browser, over all sites."""
    try:
        return list(session.devtools.call("Storage.getCookies", timeout=ANSWERING)["cookies"])
    except (CommandFailed, TimeoutError) as error:
        raise BrowserCrashed(f"the browser does not tell its cookies: {error}") from error


def bring(session: Session, wanted: Sequence[Cookie]) -> Restored:
    """Bring the browser's cookies to a state, with all attributes; those that agree are left.

    ``BrowserCrashed`` when the browser is gone or does not answer.
    """
    lacking, surplus = difference(listed(session), wanted, time.time())
    if not lacking and not surplus:
        return Restored(0, 0, 0)
    for change in [*map(_removal, surplus), *map(_setting, filter(_is_told, lacking))]:
        _set(session, change)
    left, kept = difference(listed(session), wanted, time.time())
    return Restored(
        max(0, len(lacking) - len(left)), len(surplus) - len(kept), len(left) + len(kept)
    )


def difference(
    found: Iterable[Cookie], wanted: Iterable[Cookie], now: float
) -> tuple[list[Cookie], list[Cookie]]:
    """Wanted cookies that are missing or different, and those found that are not wanted.

    Wanted ones that have expired by ``now`` (seconds since 1970) count as not wanted.
    """
    there = {_key(cookie): cookie for cookie in found}
    living = {_key(c): c for c in wanted if c["session"] or c["expires"] > now}
    lacking = [
        cookie
        for key, cookie in living.items()
        if key not in there or _state(there[key]) != _state(cookie)
    ]
    return lacking, [cookie for key, cookie in there.items() if key not in living]


def _key(cookie: Cookie) -> Key:
    partition = json.dumps(cookie.get("partitionKey"), sort_keys=True)
    return cookie["name"], cookie["domain"], cookie["path"], partition


def _state(cookie: Cookie) -> tuple[object, ...]:
    # The profile's database rounds times in another way.
    expires = None if cookie["session"] else round(cookie["expires"])
    return expires, *(cookie.get(name) for name in _COMPARED)


def _is_told(cookie: Cookie) -> bool:
    """Whether the value is there: of one that is no UTF-8 the browser tells the size only."""
    told = f"{cookie['name']}{cookie['value']}"
    return len(told.encode("utf-8", "surrogatepass")) == int(cookie["size"])


def _setting(cookie: Cookie) -> dict[str, Any]:
    said = {name: cookie[name] for name in _COPIED if name in cookie}
    if not cookie["session"]:
        said["expires"] = cookie["expires"]
    domain = str(cookie["domain"])
    if domain.startswith("."):
        return said | {"domain": domain}
    # A cookie of one host only: with a domain it would be one of all hosts below it, too. With
    # an address of https it would become a secure one.
    return said | {"url": f"{'https' if cookie['secure'] else 'http'}://{domain}/"}


def _removal(cookie: Cookie) -> dict[str, Any]:
    return _setting(cookie) | {"value": "", "expires": 1}


def _set(session: Session, change: Cookie) -> None:
    """One by one: a single cookie that the browser does not take would keep out all others."""
    try:
        session.devtools.call("Storage.setCookies", {"cookies": [change]}, timeout=ANSWERING)
    except CommandFailed:
        return  # counted: it is not among the cookies afterwards
    except TimeoutError as error:
        raise BrowserCrashed(f"the browser does not take its cookies back: {error}") from error
