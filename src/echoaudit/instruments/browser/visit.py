"""One page visit: load it, let its auctions end, keep what happened."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from echoaudit.instruments.browser import (
    bids,
    chromium,
    consent,
    cookies,
    har,
    standing,
    turned_away,
)
from echoaudit.instruments.browser.consent import Banner, Consent
from echoaudit.instruments.browser.course import TICK, Course
from echoaudit.instruments.browser.devtools import Answer
from echoaudit.instruments.browser.evidence import put_json
from echoaudit.instruments.browser.inspector import PATIENCE
from echoaudit.instruments.browser.looking import Seen, ask_prebid, keep_pictures, look
from echoaudit.instruments.browser.recorder import Hop, Recorder
from echoaudit.instruments.browser.session import Session, open_tab
from echoaudit.instruments.browser.targets import Record

State = Literal[
    "complete", "timeout", "challenge", "paywall", "empty", "blocked", "robots", "failed"
]

IDLE = 0.3
"""Seconds without network activity after which a page counts as settled."""
CALM = 0.1
"""Seconds after which the page is looked at, while waiting for ``IDLE``."""


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
    prebid: Mapping[str, str] = field(default_factory=dict)
    """Version of each Prebid.js instance by its global name."""
    ad_tags: tuple[str, ...] = ()
    """Ad tags besides Prebid.js that the page had: googletag, apstag, adsbygoogle."""
    consent: Consent | None = None
    """What became of the page's consent banner."""


@dataclass(frozen=True)
class _Ending:
    """What is known when the page has been seen and before it is closed."""

    state: State
    reason: str | None
    ended: float
    before: list[Any]
    after: list[Any]
    seen: Seen


def visit(session: Session, url: str, folder: Path) -> Visit:
    """Visit ``url`` and write its evidence (``docs/recording-format.md``) into ``folder``.

    A site that fails, blocks or never ends is a result with that state. Raises
    ``BrowserCrashed`` when the browser itself is gone or hung; nothing is written then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = cookies.listed(session)
    course = _open(session, url)
    try:
        ending = _watch(course, folder, before)
        _begin_closing(course)
        return _keep(course, folder, ending)
    finally:
        _begin_closing(course)
        _end_closing(course)


def leave_out(session: Session, url: str, folder: Path, refusal: tuple[State, str]) -> Visit:
    """The visit that does not take place: its files are there, and nothing is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    now, held = time.time(), cookies.listed(session)
    put_json(folder / "page.har", har.har(url, now, session.chromium.version, []))
    put_json(folder / "cookies.json", {"before": held, "after": held})
    for name in ("bids", "ads", "storage", "console"):
        put_json(folder / f"{name}.json", [])
    return Visit(*refusal, started=now, ended=now, browser=_browser(session))


def _browser(session: Session) -> dict[str, Any]:
    known = dict(chromium.describe(session.settings, session.chromium))
    return known | {"proxy_said": session.proxy_said}


def _watch(course: Course, folder: Path, before: list[Any]) -> _Ending:
    """The visit from its first request until all has been seen."""
    state, reason = _load(course)
    if state == "complete":
        _answer_banner(course)
        _settle(course)
    seen = _look_when_silent(course)
    state, reason = _judge(course, state, reason, seen)
    keep_pictures(course, seen, folder)
    return _Ending(state, reason, time.time(), before, cookies.listed(course.session), seen)


def _look_when_silent(course: Course) -> Seen:
    """Look at the page while waiting for silence; again, when it was not silent meanwhile."""
    active = course.record.active
    seen = look(course)
    course.wait(lambda: course.is_silent(IDLE), course.until - time.monotonic())
    return seen if course.record.active == active else look(course)


def _keep(course: Course, folder: Path, ending: _Ending) -> Visit:
    """Write the evidence; the tab is closed meanwhile."""
    session, seen = course.session, ending.seen
    hops = course.record.recorder.hops()
    if course.record.recorder.dropped:
        course.notes.append(f"{course.record.recorder.dropped} requests beyond the budget not kept")
    found = _bids(course, seen.answers)
    put_json(
        folder / "page.har", har.har(course.url, course.started, session.chromium.version, hops)
    )
    put_json(folder / "bids.json", found)
    put_json(folder / "cookies.json", {"before": ending.before, "after": ending.after})
    put_json(folder / "ads.json", [ad.record for ad in seen.ads])
    put_json(folder / "storage.json", seen.storage)
    put_json(folder / "console.json", course.record.console)
    return Visit(
        state=ending.state,
        reason=ending.reason,
        started=course.started,
        ended=ending.ended,
        browser=_browser(session),
        requests=len(hops),
        bids=len(found),
        notes=(*seen.notes, *course.notes),
        prebid=dict(sorted(course.record.harvest.versions.items())),
        ad_tags=seen.ad_tags,
        consent=_consent(course, seen),
    )


def _consent(course: Course, seen: Seen) -> Consent:
    banner = course.record.banner
    return banner.outcome() if banner is not None else seen.consent or standing.UNSEEN


# --- opening and loading ----------------------------------------------------------------------


def _open(session: Session, url: str) -> Course:
    """A new tab with its record; recording is on before the first request."""
    tab = open_tab(session)
    policy = session.settings.consent
    banner = None if policy == "ignore" else Banner(policy)
    record = Record(Recorder(session.devtools.post), session=tab.session, banner=banner)
    session.targets.record = record
    return Course(session, record, url, tab.id, time.time())


def _load(course: Course) -> tuple[State, str | None]:
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


def _answer_banner(course: Course) -> None:
    """Wait until a consent banner has been answered, or none is to be expected."""
    banner, settle = course.record.banner, course.session.settings.settle
    if banner is None:
        return
    late = time.monotonic() + settle

    def is_over() -> bool:
        return banner.is_over(course.is_silent(consent.CALM), time.monotonic() >= late)

    course.wait(is_over, consent.LIMIT)
    if banner.popup is not None:
        # What the page does upon the answer may begin a moment later.
        course.wait(lambda: course.is_silent(consent.CALM), settle)


def _settle(course: Course) -> None:
    """Wait until auctions and requests have ended; start an auction where Prebid waits idle."""
    settle = course.session.settings.settle
    course.until = time.monotonic() + settle
    _find_prebid(course)
    course.wait(lambda: course.is_silent(CALM), settle)
    harvest = course.record.harvest
    if not harvest.instances or harvest.started or _was_rejected(course):
        return
    # Pages may start their auction by a timer of their own: give it half the time.
    half = course.until - settle / 2 - time.monotonic()
    course.wait(lambda: bool(harvest.started), max(0.0, half))
    if not harvest.started:
        _force(course)
        course.wait(lambda: bool(harvest.started), 1.0)
    course.record.active = time.monotonic()
    course.until = course.record.active + settle
    course.wait(lambda: course.is_silent(CALM), settle)


def _was_rejected(course: Course) -> bool:
    """Whether a banner was told no: then no auction is started that the page does not hold."""
    banner = course.record.banner
    return banner is not None and banner.answer == "reject" and banner.outcome().state == "done"


def _find_prebid(course: Course) -> None:
    """Look for instances that announced themselves to nobody."""
    name = course.session.binding
    for document in course.session.targets.documents():
        course.session.devtools.post(
            "Runtime.evaluate", {"expression": f"window[{name!r}]?.search()"}, document.session
        )


def _force(course: Course) -> None:
    for session, context in sorted(course.record.contexts):
        ask_prebid(course, session, context, "force()", course.notes)


# --- ending -----------------------------------------------------------------------------------


def _judge(
    course: Course, state: State, reason: str | None, seen: Seen
) -> tuple[State, str | None]:
    """The visit's state, from how loading went, what the server said and what the page shows."""
    broken = "the page crashed" if course.record.crashed else course.over_budget
    if broken:
        return "failed", broken
    if reason is not None and "net::ERR_EMPTY_RESPONSE" in reason:
        return "empty", reason
    page = _main_hop(course)
    status = int((page.response or {}).get("status", 0)) if page else 0
    if page is not None and (page.ended is not None or status >= 400):
        away = turned_away.judge(status, _headers(page), _addresses(course), page.length)
        if away is not None and (state == "complete" or away[0] != "empty"):
            return away
    if status >= 400:
        return "failed", f"HTTP {status}"
    if state == "complete" and seen.paid and not course.record.harvest.started and not seen.ads:
        return "paywall", "the page says that it is not free to read, and held no auction"
    return state, reason


def _headers(page: Hop) -> dict[str, str]:
    told = (page.response or {}).get("headers", {})
    return {str(name).lower(): str(value) for name, value in told.items()}


def _addresses(course: Course) -> list[str]:
    exchanges = list(course.record.recorder.exchanges.values())
    return [str(hop.request["url"]) for exchange in exchanges for hop in exchange.hops]


def _main_hop(course: Course) -> Hop | None:
    """The answer that the page came with: the last, for a challenge that is met leads on."""
    exchanges = list(course.record.recorder.exchanges.values())
    found = [
        hop
        for exchange in exchanges
        for hop in exchange.hops[-1:]
        if hop.kind == "Document" and hop.frame == course.tab and hop.response is not None
    ]
    return max(found, key=lambda hop: hop.started, default=None)


def _bids(course: Course, answers: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    harvest = course.record.harvest
    found = bids.records(harvest.reports, harvest.forced)
    missed = bids.unseen(found, answers, time.time())
    if missed:
        course.notes.append(f"{len(missed)} bids were not told by events but by getBidResponses()")
        found = bids.records([*harvest.reports, *missed], harvest.forced)
    return found


def _begin_closing(course: Course) -> None:
    """End the record; close the tab, its pop-ups, and workers that would outlive them."""
    devtools, targets = course.session.devtools, course.session.targets
    targets.record = None
    pages = [page for page in targets.pages() if page.id == course.tab or page.opened_by_page]
    for target in [*pages, *targets.lasting_workers()]:
        devtools.post("Target.closeTarget", {"targetId": target.id})


def _end_closing(course: Course) -> None:
    """Wait until the tab has gone; a page that hangs on marks the browser as hung."""
    end = time.monotonic() + PATIENCE
    while _is_there(course) and time.monotonic() < end:
        time.sleep(TICK)
    course.session.stuck = _is_there(course)


def _is_there(course: Course) -> bool:
    return course.session.alive and course.session.targets.session_of(course.tab) is not None
