"""One page visit: load it, let its auctions end, keep what happened."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from echoaudit.instruments.browser import ads, bids, chromium, har, storage
from echoaudit.instruments.browser.devtools import Answer
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.inspector import Inspector, Unseen
from echoaudit.instruments.browser.recorder import Hop, Recorder
from echoaudit.instruments.browser.session import Session, open_tab
from echoaudit.instruments.browser.targets import Record
from echoaudit.recording import write_json

State = Literal["complete", "timeout", "blocked", "failed"]

IDLE = 0.3
"""Seconds without network activity after which a page counts as settled."""
TICK = 0.02
PATIENCE = 3.0
"""Seconds a page gets to answer one question of ours."""
RECEIVED_LIMIT = 64 * 1024**2
"""Bytes on the wire per visit."""
DECODED_LIMIT = 128 * 1024**2
"""Bytes per visit after decompression."""
LOOKING = 8.0
"""Seconds for reading ads and storage, all together."""
SCREENSHOT_HEIGHT = 4000
WINDOW_FRAME = 150
"""Pixels of the window's height that the browser's own bars may take."""
BLOCKED_STATUS = frozenset({401, 403, 405, 407, 418, 429, 451, 503})
"""HTTP answers by which sites turn a browser away."""


@dataclass(frozen=True)
class Visit:
    """How a visit went; its evidence is in files."""

    state: State
    reason: str | None
    started: float
    """Seconds since 1970."""
    ended: float
    browser: Mapping[str, Any]
    requests: int = 0
    bids: int = 0
    notes: tuple[str, ...] = ()
    """What could not be read though the visit went on, such as a screenshot."""
    ad_tags: tuple[str, ...] = ()
    """Ad tags besides Prebid.js that the page had: googletag, apstag, adsbygoogle."""


@dataclass(frozen=True)
class _Seen:
    """What the page was looked at for."""

    ads: list[dict[str, Any]] = field(default_factory=list)
    storage: list[dict[str, Any]] = field(default_factory=list)
    ad_tags: tuple[str, ...] = ()


@dataclass
class _Course:
    """A visit under way."""

    session: Session
    record: Record
    url: str
    tab: str
    started: float
    navigation: Future[Answer] | None = None
    notes: list[str] = field(default_factory=list)
    over_budget: str | None = None

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Ask the visited tab."""
        return self.session.devtools.call(method, params, self.record.session, PATIENCE)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether ``condition`` came true; ends early when the page dies or is too big."""
        end = time.monotonic() + seconds
        while not condition():
            if not self.session.alive:
                raise BrowserCrashed(f"the browser went away during the visit to {self.url[:200]}")
            if time.monotonic() >= end or self._must_stop():
                return False
            time.sleep(TICK)
        return True

    def _must_stop(self) -> bool:
        recorder = self.record.recorder
        if recorder.received > RECEIVED_LIMIT:
            self.over_budget = f"more than {RECEIVED_LIMIT // 1024**2} MiB received"
        elif recorder.decoded > DECODED_LIMIT:
            self.over_budget = f"more than {DECODED_LIMIT // 1024**2} MiB after decompression"
        return self.record.crashed or self.over_budget is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: no request, and silence for a while."""
        quiet = time.monotonic() - self.record.active >= IDLE
        return quiet and not self.record.recorder.open and not self.record.harvest.running


def visit(session: Session, url: str, folder: Path) -> Visit:
    """Visit ``url`` and write its evidence (``docs/recording-format.md``) into ``folder``.

    A site that fails, blocks or never ends is a result with that state. Raises
    ``BrowserCrashed`` when the browser itself is gone or hung; nothing is written then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _cookies(session)
    course = _open(session, url)
    try:
        state, reason = _load(course)
        if state == "complete":
            _settle(course)
        state, reason = _judge(course, state, reason)
        answers = list(_prebid_answers(course))
        seen = _look(course, folder)
        after = _cookies(session)
        ended = time.time()
    finally:
        _close_tabs(course)
        session.targets.record = None
    hops = course.record.recorder.hops()
    if course.record.recorder.dropped:
        course.notes.append(f"{course.record.recorder.dropped} requests beyond the budget not kept")
    found = _bids(course, answers)
    write_json(folder / "page.har", har.har(url, course.started, session.chromium.version, hops))
    write_json(folder / "bids.json", found)
    write_json(folder / "cookies.json", {"before": before, "after": after})
    write_json(folder / "ads.json", seen.ads)
    write_json(folder / "storage.json", seen.storage)
    write_json(folder / "console.json", course.record.console)
    return Visit(
        state=state,
        reason=reason,
        started=course.started,
        ended=ended,
        browser=chromium.describe(session.settings, session.chromium),
        requests=len(hops),
        bids=len(found),
        notes=tuple(course.notes),
        ad_tags=seen.ad_tags,
    )


# --- opening and loading ----------------------------------------------------------------------


def _open(session: Session, url: str) -> _Course:
    """A new tab with its record; recording is on before the first request."""
    tab = open_tab(session)
    record = Record(Recorder(session.devtools.post), session=tab.session)
    session.targets.record = record
    return _Course(session, record, url, tab.id, time.time())


def _load(course: _Course) -> tuple[State, str | None]:
    """Navigate and wait for the load event."""
    devtools, record = course.session.devtools, course.record
    navigation = devtools.post("Page.navigate", {"url": course.url}, record.session)
    course.navigation = navigation

    def refused() -> bool:
        return navigation.done() and (
            navigation.exception() is not None or "errorText" in navigation.result()
        )

    timeout = course.session.settings.page_timeout
    loaded = course.wait(lambda: record.loaded or refused(), timeout)
    if refused():
        return "failed", _refusal(navigation)
    if loaded:
        return "complete", None
    devtools.post("Page.stopLoading", None, record.session)
    return "timeout", f"no load event within {timeout:g} s"


def _refusal(navigation: Future[Answer]) -> str:
    if navigation.exception() is not None:
        return f"the browser refuses the address: {navigation.exception()}"
    return explain(str(navigation.result()["errorText"]), navigation.result())


def explain(error: str, answer: Mapping[str, Any] | None = None) -> str:
    """A network error of Chromium's in words, its own name kept."""
    if error == "net::ERR_ABORTED":
        download = bool(answer and answer.get("isDownload"))
        return "a download instead of a page" if download else f"no page was sent ({error})"
    words = {
        "net::ERR_NAME_NOT_RESOLVED": "DNS failure",
        "net::ERR_CONNECTION_REFUSED": "connection refused",
        "net::ERR_CONNECTION_TIMED_OUT": "connection timed out",
        "net::ERR_TOO_MANY_REDIRECTS": "endless redirect",
        "net::ERR_EMPTY_RESPONSE": "empty response",
    }
    if error.startswith(("net::ERR_CERT_", "net::ERR_SSL_")):
        return f"TLS failure ({error})"
    return f"{words[error]} ({error})" if error in words else error


# --- settling ---------------------------------------------------------------------------------


def _settle(course: _Course) -> None:
    """Wait until auctions and requests have ended; start an auction where Prebid waits idle."""
    settle = course.session.settings.settle
    end = time.monotonic() + settle
    _find_prebid(course)
    course.wait(lambda: course.is_idle, settle)
    harvest = course.record.harvest
    if not harvest.instances or harvest.started:
        return
    # Pages may start their auction by a timer of their own: give it half the time.
    course.wait(lambda: bool(harvest.started), max(0.0, end - settle / 2 - time.monotonic()))
    if not harvest.started:
        _force(course)
        course.wait(lambda: bool(harvest.started), 1.0)
    course.record.active = time.monotonic()
    course.wait(lambda: course.is_idle, settle)


def _find_prebid(course: _Course) -> None:
    """Look for instances that announced themselves to nobody."""
    name = course.session.binding
    for document in course.session.targets.documents():
        course.session.devtools.post(
            "Runtime.evaluate", {"expression": f"window[{name!r}]?.search()"}, document.session
        )


def _force(course: _Course) -> None:
    for session, context in sorted(course.record.contexts):
        _evaluate(course, session, context, "force()")


def _prebid_answers(course: _Course) -> Iterator[Mapping[str, Any]]:
    """What ``getBidResponses()`` of each instance knows."""
    for session, context in sorted(course.record.contexts):
        text = _evaluate(course, session, context, "responses()")
        if isinstance(text, str):
            found = json.loads(text)
            yield from (answer for answer in found if isinstance(answer, dict))


def _evaluate(course: _Course, session: str, context: int, call: str) -> Any:
    expression = f"window[{course.session.binding!r}].{call}"
    params = {"expression": expression, "contextId": context, "returnByValue": True}
    try:
        answer = course.session.devtools.call("Runtime.evaluate", params, session, PATIENCE)
    except (CommandFailed, TimeoutError) as error:
        course.notes.append(f"a frame with Prebid did not answer: {error}"[:200])
        return None
    return answer.get("result", {}).get("value")


# --- ending -----------------------------------------------------------------------------------


def _judge(course: _Course, state: State, reason: str | None) -> tuple[State, str | None]:
    """The visit's state, from how loading went and what the server said."""
    if course.record.crashed:
        return "failed", "the page crashed"
    if course.over_budget:
        return "failed", course.over_budget
    page = _main_hop(course)
    status = int((page.response or {}).get("status", 0)) if page else 0
    if status >= 400:
        return ("blocked" if status in BLOCKED_STATUS else "failed"), f"HTTP {status}"
    if state == "complete" and page is not None and page.ended is not None and not page.length:
        return "failed", "empty response"
    return state, reason


def _main_hop(course: _Course) -> Hop | None:
    """The last hop of the navigation itself."""
    if course.navigation is None or not course.navigation.done():
        return None
    if course.navigation.exception() is not None:
        return None
    exchange = course.record.recorder.exchanges.get(str(course.navigation.result().get("loaderId")))
    return exchange.hops[-1] if exchange and exchange.hops else None


def _cookies(session: Session) -> list[Any]:
    try:
        return list(session.devtools.call("Storage.getCookies", timeout=PATIENCE)["cookies"])
    except (CommandFailed, TimeoutError) as error:
        raise BrowserCrashed(f"the browser does not tell its cookies: {error}") from error


def _look(course: _Course, folder: Path) -> _Seen:
    """Pictures, ads and storage of the page as it stands now."""
    session, record = course.session, course.record
    tab = session.targets.find(course.tab)
    if tab is None or record.crashed:
        return _Seen()
    inspector = Inspector(session.devtools, session.targets, LOOKING)
    picture = _screenshot(course)
    if picture is not None:
        (folder / "page.png").write_bytes(picture)
    contexts = sorted(record.contexts & record.frames.keys())
    places = [ads.Place(key[0], record.frames[key], key[1]) for key in contexts]
    fold = session.settings.window[1] - WINDOW_FRAME
    found = ads.read(inspector, session.binding, tab, places, course.notes)
    try:
        ads.take_pictures(inspector, found, folder, picture, partial(_capture, course), fold)
    except Unseen as error:
        course.notes.append(f"not every ad has a picture: {error}"[:200])
    kept = storage.read(inspector, urlsplit(course.url).hostname or "")
    return _Seen([ad.record for ad in found], kept, ads.tags(inspector, session.binding, tab))


def _screenshot(course: _Course) -> bytes | None:
    """The page from its top, at most ``SCREENSHOT_HEIGHT`` pixels of it."""
    try:
        course.call("Page.bringToFront")  # pages behind a pop-up are not drawn
        size = course.call("Page.getLayoutMetrics")["cssContentSize"]
        width, height = course.session.settings.window
        return _capture(
            course,
            {
                "x": 0,
                "y": 0,
                "width": max(1, min(size["width"], width)),
                "height": max(1, min(size["height"], max(height, SCREENSHOT_HEIGHT))),
            },
        )
    except (*Unseen, KeyError) as error:
        course.notes.append(f"no screenshot: {error}"[:200])
        return None


def _capture(course: _Course, rect: Mapping[str, float]) -> bytes:
    """A picture (PNG) of a rectangle of the page."""
    params = {
        "format": "png",
        "clip": {**rect, "scale": 1},
        "captureBeyondViewport": True,
        "optimizeForSpeed": True,
    }
    return base64.b64decode(course.call("Page.captureScreenshot", params)["data"])


def _bids(course: _Course, answers: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    harvest = course.record.harvest
    found = bids.records(harvest.reports, harvest.forced)
    missed = bids.unseen(found, answers, time.time())
    if missed:
        course.notes.append(f"{len(missed)} bids were not told by events but by getBidResponses()")
        found = bids.records([*harvest.reports, *missed], harvest.forced)
    return found


def _close_tabs(course: _Course) -> None:
    """Close the tab and its pop-ups; a page that hangs on marks the browser as hung."""
    devtools, targets = course.session.devtools, course.session.targets
    if not devtools.is_open:
        return
    for page in targets.pages():
        if page.id == course.tab or page.opened_by_page:
            devtools.post("Target.closeTarget", {"targetId": page.id})
    end = time.monotonic() + PATIENCE
    while targets.session_of(course.tab) is not None and time.monotonic() < end:
        time.sleep(TICK)
    course.session.stuck = targets.session_of(course.tab) is not None
