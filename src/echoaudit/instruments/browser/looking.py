"""Looking at a page: its ads and storage, what its Prebid knows, its picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from echoaudit.instruments.browser import ads, standing, storage
from echoaudit.instruments.browser.consent import Consent
from echoaudit.instruments.browser.course import Course
from echoaudit.instruments.browser.devtools import Answer
from echoaudit.instruments.browser.errors import CommandFailed
from echoaudit.instruments.browser.evidence import put
from echoaudit.instruments.browser.inspector import PATIENCE, Inspector, Unseen
from echoaudit.instruments.browser.session import package_text

LOOKING = 8.0
"""Seconds for reading ads and storage, all together."""
SCREENSHOT_HEIGHT = 4000
WINDOW_FRAME = 150
"""Pixels of the window's height that the browser's own bars may take."""


@dataclass(frozen=True)
class Seen:
    """What the page was looked at for."""

    ads: list[ads.Ad] = field(default_factory=list)
    storage: list[dict[str, Any]] = field(default_factory=list)
    ad_tags: tuple[str, ...] = ()
    paid: bool = False
    """Whether the page says of itself that it is not free to read."""
    consent: Consent | None = None
    """Whether a consent banner stands, where none is answered."""
    picture: bytes | None = None
    """The page from its top, PNG."""
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    """What ``getBidResponses()`` of each Prebid instance knows."""
    notes: list[str] = field(default_factory=list)
    """What could not be seen."""


def look(course: Course) -> Seen:
    """Ads, bids, storage and picture of the page as it stands now; changes nothing in it."""
    session, record = course.session, course.record
    tab = session.targets.find(course.tab)
    if tab is None or record.crashed:
        return Seen()
    notes: list[str] = []
    course.looks += 1
    inspector = _inspector(course)
    shot = _screenshot(course, notes)
    banner = _banner(course, inspector)
    contexts = sorted(record.contexts & record.frames.keys())
    places = [ads.Place(key[0], record.frames[key], key[1]) for key in contexts]
    answers = list(_prebid_answers(course, notes))
    found = ads.read(inspector, session.binding, tab, places, course.looks, notes)
    stored = storage.read(inspector, urlsplit(course.url).hostname or "")
    if banner is not None:
        banner.begin()  # the documents look while the page is being drawn
    return Seen(
        answers=answers,
        ads=found,
        storage=stored,
        ad_tags=ads.tags(inspector, session.binding, tab, notes),
        paid=_is_paid(inspector, course.tab),
        picture=_picture(shot, notes),
        consent=None if banner is None else banner.end(),
        notes=notes,
    )


def _is_paid(inspector: Inspector, frame: str) -> bool:
    try:
        document = inspector.document(frame)
        return inspector.evaluate(document, "echoaudit.isPaid()") is True
    except Unseen:
        return False  # what hinders is in the notes already: nothing else could be read either


def _banner(course: Course, inspector: Inspector) -> standing.Look | None:
    if course.record.banner is not None:
        return None  # it is being answered, and told of by whom answers it
    return standing.Look(inspector, course.tab, package_text("standing.js"))


def keep_pictures(course: Course, seen: Seen, folder: Path) -> None:
    """Write page.png and the ads' pictures; may scroll the page."""
    if seen.picture is not None:
        put(folder / "page.png", seen.picture)
    fold = course.session.settings.window[1] - WINDOW_FRAME
    camera = partial(_capture, course)
    try:
        ads.take_pictures(_inspector(course), seen.ads, folder, seen.picture, camera, fold)
    except Unseen as error:
        seen.notes.append(f"not every ad has a picture: {error}"[:200])


def _inspector(course: Course) -> Inspector:
    return Inspector(course.session.devtools, course.session.targets, course.record.worlds, LOOKING)


def _screenshot(course: Course, notes: list[str]) -> Future[Answer] | None:
    """Let the page be drawn from its top, at most ``SCREENSHOT_HEIGHT`` pixels of it."""
    try:
        course.call("Page.bringToFront")  # pages behind a pop-up are not drawn
        size = course.call("Page.getLayoutMetrics")["cssContentSize"]
    except (*Unseen, KeyError) as error:
        notes.append(f"no screenshot: {error}"[:200])
        return None
    width, height = course.session.settings.window
    rect = {
        "x": 0,
        "y": 0,
        "width": max(1, min(size["width"], width)),
        "height": max(1, min(size["height"], max(height, SCREENSHOT_HEIGHT))),
    }
    return _shoot(course, rect)


def _shoot(course: Course, rect: Mapping[str, float]) -> Future[Answer]:
    params = {
        "format": "png",
        "clip": {**rect, "scale": 1},
        "captureBeyondViewport": True,
        "optimizeForSpeed": True,
    }
    return course.session.devtools.post("Page.captureScreenshot", params, course.record.session)


def _picture(shot: Future[Answer] | None, notes: list[str]) -> bytes | None:
    """What was drawn, as PNG; nothing when it could not be."""
    if shot is None:
        return None
    try:
        return base64.b64decode(shot.result(PATIENCE)["data"])
    except (CommandFailed, FutureTimeout) as error:
        reason = str(error) or f"not drawn within {PATIENCE:g} s"
        notes.append(f"no screenshot: {reason}"[:200])
        return None


def _capture(course: Course, rect: Mapping[str, float]) -> bytes:
    """A picture (PNG) of a rectangle of the page; one of ``Unseen`` when there is none."""
    return base64.b64decode(_shoot(course, rect).result(PATIENCE)["data"])


def _prebid_answers(course: Course, notes: list[str]) -> Iterator[Mapping[str, Any]]:
    """What ``getBidResponses()`` of each instance knows; the page may say anything."""
    for session, context in sorted(course.record.contexts):
        text = ask_prebid(course, session, context, "responses()", notes)
        try:
            found = json.loads(text) if isinstance(text, str) else []
        except (ValueError, RecursionError):
            continue
        if isinstance(found, list):
            yield from (answer for answer in found if isinstance(answer, dict))


def ask_prebid(course: Course, session: str, context: int, call: str, notes: list[str]) -> Any:
    """Call the harvest script in a context where it found Prebid; None without an answer."""
    expression = f"window[{course.session.binding!r}].{call}"
    params = {"expression": expression, "contextId": context, "returnByValue": True}
    try:
        answer = course.session.devtools.call("Runtime.evaluate", params, session, PATIENCE)
    except (CommandFailed, TimeoutError) as error:
        notes.append(f"a frame with Prebid did not answer: {error}"[:200])
        return None
    return answer.get("result", {}).get("value")
