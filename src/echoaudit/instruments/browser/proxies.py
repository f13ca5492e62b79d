"""The proxy of an account's browser: who it is told to be, and a probe that goes through it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.session import Session, open_tab
from echoaudit.recording import read_json
from echoaudit.study.models import BrowserSettings

PROBE = "http://proxy-probe.invalid/"
"""Exists nowhere: whatever comes back was said by the proxy."""
PATIENCE = 20.0
SAID = 100
"""Characters kept of what the page at ``browser.proxy_probe`` says."""
ASKED = ("net::ERR_SOCKS_CONNECTION_FAILED", "net::ERR_SOCKS_CONNECTION_HOST_UNREACHABLE")
"""A SOCKS proxy was asked for the name and has no such host."""
STATUS = "performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0"
TEXT = f"document.documentElement.innerText.trim().slice(0, {SAID})"


@dataclass(frozen=True)
class Credentials:
    """What a proxy wants to know of an account; never shown or recorded."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(…)"


def credentials(settings: BrowserSettings, account: str) -> Credentials | None:
    """The account's in ``browser.proxy_secrets``; None when it has none there.

    Raises:
        BadInput: the file cannot be read.
        Unavailable: the account's proxy is one to which the browser gives no password.
    """
    if settings.proxy is None or settings.proxy_secrets is None:
        return None
    secrets = read_json(settings.proxy_secrets)
    secret = secrets.get(account) if isinstance(secrets, dict) else None
    if not isinstance(secret, dict) or not {"username", "password"} <= secret.keys():
        return None
    if settings.proxy.startswith("socks"):
        raise Unavailable(
            f"Chromium gives no password to a SOCKS proxy; {settings.proxy_secrets} has one for "
            f"account {account}",
            fix="name an HTTP proxy, or a SOCKS proxy of this machine that needs none (ssh -D)",
        )
    return Credentials(str(secret["username"]), str(secret["password"]))


def prove(session: Session, secret: Credentials | None) -> str | None:
    """Load a page through the proxy; what it said, when the settings name one.

    The proxy's question for a password is answered here, and the browser remembers it.

    Raises:
        Unavailable: the proxy does not answer, or refuses.
        BrowserCrashed: the browser does not answer.
    """
    settings = session.settings
    if settings.proxy is None:
        return None
    session.targets.answer_proxy = _answers(secret)
    try:
        tab = open_tab(session)
        session.devtools.call("Fetch.enable", {"handleAuthRequests": True}, tab.session)
        url = settings.proxy_probe or PROBE
        answer = session.devtools.call("Page.navigate", {"url": url}, tab.session, PATIENCE)
        error = str(answer.get("errorText", ""))
        status, text = _read(session, tab.session)
        session.devtools.call("Target.closeTarget", {"targetId": tab.id})
    except CommandFailed as failed:
        raise BrowserCrashed(f"the browser does not answer the proxy's test: {failed}") from failed
    except TimeoutError as late:
        raise _unavailable(session, f"no answer within {PATIENCE:g} s") from late
    finally:
        session.targets.answer_proxy = None
    if status == 407 or error.startswith("net::ERR_PROXY_AUTH"):
        raise _unavailable(session, "it wants another user name or password")
    if settings.proxy_probe is None:
        if error and error not in ASKED:
            raise _unavailable(session, error)
        return None
    if error or status >= 400:
        raise _unavailable(session, f"{settings.proxy_probe}: {error or f'HTTP {status}'}")
    return text


def _answers(secret: Credentials | None) -> Callable[[], Mapping[str, str]]:
    """Answers to a proxy that asks who is there: the secret once, then no more."""
    cancel = {"response": "CancelAuth"}
    left = []
    if secret is not None:
        known = {"username": secret.username, "password": secret.password}
        left.append({"response": "ProvideCredentials", **known})
    return lambda: left.pop() if left else cancel


def _read(session: Session, tab: str) -> tuple[int, str]:
    """Status and text of the page, once it is there."""
    end = time.monotonic() + 2.0
    while True:
        expression = f"[{STATUS}, {TEXT}, document.readyState]"
        found = session.devtools.call(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True}, tab
        )
        status, text, state = found.get("result", {}).get("value") or (0, "", "loading")
        if state == "complete" or time.monotonic() > end:
            return int(status), " ".join(str(text).split())
        time.sleep(0.02)


def _unavailable(session: Session, reason: str) -> Unavailable:
    fix = "check browser.proxy or browser.proxies, and that the proxy runs"
    return Unavailable(f"the proxy {session.settings.proxy} cannot be used: {reason}", fix=fix)
