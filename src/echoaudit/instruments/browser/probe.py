"""Proof that third-party cookies are allowed, or blocked, as configured.

Two origins that exist only inside the browser are answered by ourselves (DevTools ``Fetch``): a
page, and in it a frame of the other site that sets a cookie and reads it back. No name is looked
up and nothing leaves the browser, so the proof costs a study nothing.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.session import Session, open_tab

PAGE = "https://page.cookie-probe-a.invalid/"
DOMAIN = "frame.cookie-probe-b.invalid"
FRAME = f"https://{DOMAIN}/"
COOKIE = "echoaudit_probe"
SCRIPT = (
    f"document.cookie='{COOKIE}=1; SameSite=None; Secure; Path=/';"
    f"document.title=document.cookie.includes('{COOKIE}=1') ? 'allow' : 'block';"
)
# Its own icon: one that is still being asked for when the tab closes would be looked up after all.
ICON = "<link rel=icon href='data:,'>"
BODIES = {PAGE: f"{ICON}<iframe src='{FRAME}'></iframe>", FRAME: f"<script>{SCRIPT}</script>"}
PATIENCE = 15.0


def prove_cookie_setting(session: Session) -> None:
    """Try a third-party cookie; ``Unavailable`` when the browser does not do as configured.

    ``BrowserCrashed`` when the test itself fails, as on a machine that is too busy.
    """
    wanted = session.settings.third_party_cookies
    found = _try(session)
    if found is None:
        raise BrowserCrashed("the frame of the cookie test did not load")
    if found != wanted:
        raise Unavailable(
            f"the browser was told to {wanted} third-party cookies but does {found} them",
            fix="look for a browser policy (chrome://policy) or take another profile folder",
        )


def _try(session: Session) -> str | None:
    """What the browser does with a third-party cookie; nothing when that cannot be seen."""
    devtools, targets = session.devtools, session.targets
    targets.fulfil = {url: base64.b64encode(body.encode()).decode() for url, body in BODIES.items()}
    try:
        tab = open_tab(session)
        devtools.call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, tab.session)
        devtools.call("Page.navigate", {"url": PAGE}, tab.session, PATIENCE)
        found = _wait(lambda: _verdict(session))
        _forget(session)
        devtools.call("Target.closeTarget", {"targetId": tab.id})
    except (CommandFailed, TimeoutError) as error:
        raise BrowserCrashed(f"the browser does not answer the cookie test: {error}") from error
    finally:
        targets.fulfil = {}
    return found


def _wait(look: Callable[[], str | None]) -> str | None:
    """The first thing that ``look`` finds, within ``PATIENCE`` seconds."""
    end = time.monotonic() + PATIENCE
    while (found := look()) is None and time.monotonic() < end:
        time.sleep(0.02)
    return found


def _verdict(session: Session) -> str | None:
    """The title that the frame of the other site gave itself."""
    for document in session.targets.documents():
        if document.kind != "iframe":
            continue
        question = {"expression": f"location.href === {FRAME!r} ? document.title : ''"}
        answer = session.devtools.call("Runtime.evaluate", question, document.session, PATIENCE)
        title = answer["result"].get("value")
        if title in ("allow", "block"):
            return str(title)
    return None


def _forget(session: Session) -> None:
    """Take the probe's cookie out of the profile again."""
    gone = {"name": COOKIE, "domain": DOMAIN, "path": "/", "value": "", "expires": 1}
    session.devtools.call("Storage.setCookies", {"cookies": [gone]})
