"""The ads on a loaded page: each filled slot's place, frames, markup, words, links and picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from echoaudit.domains import registrable
from echoaudit.instruments.browser.errors import CommandFailed
from echoaudit.instruments.browser.evidence import put
from echoaudit.instruments.browser.inspector import Inspector, Unseen
from echoaudit.instruments.browser.targets import Document, Target

Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A document in which ads may be."""

    session: str
    frame: str
    context: int | None = None
    """Number of its own script context; None in the main document of a tab."""


SLOTS_LIMIT = 30
FRAMES_LIMIT = 10
DEPTH_LIMIT = 5
HTML_LIMIT = 64 * 1024
"""Characters of markup kept of a slot."""
MARKUP_LIMIT = 1024**2
"""Characters of markup that the hash is of."""
TEXT_LIMIT = 4096
LIST_LIMIT = 50
NAME_LIMIT = 500
TAGS = ("googletag", "apstag", "adsbygoogle")
SIDE_LIMIT = 4000
"""Pixels of a picture's sides."""
LEAST = (30.0, 20.0)
"""Width and height in CSS pixels below which nothing is called an ad."""
OF_GOOGLE = ("path", "advertiser", "campaign", "line_item", "creative")
ELEMENT = "function() { return echoaudit.content(this); }"
DOCUMENT = "echoaudit.content(document)"


@dataclass(frozen=True)
class Ad:
    """One filled slot: its record and where it is looked at again for its picture."""

    record: Json
    session: str
    node: int
    """``backendNodeId`` of the slot's element."""
    documents: tuple[Document, ...]
    """Those in its frames."""


@dataclass
class _Content:
    """What is in a slot, frame by frame."""

    documents: list[Document] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    alts: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    media: int = 0

    def add(self, found: Mapping[str, Any]) -> None:
        self.html.append(found["html"])
        self.text += [found["text"].strip()] if found["text"].strip() else []
        self.alts += [alt for alt in found["alts"] if alt not in self.alts]
        self.links += [link for link in found["links"] if link not in self.links]
        self.media += found["media"]

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.links or self.media)

    def to_json(self) -> Json:
        html = "".join(f"{part}\n" for part in self.html)[:MARKUP_LIMIT]
        return {
            "frames": self.frames,
            "html": html[:HTML_LIMIT],
            "html_sha256": hashlib.sha256(html.encode("utf-8", "replace")).hexdigest(),
            "text": "\n".join(self.text)[:TEXT_LIMIT],
            "alts": self.alts[:LIST_LIMIT],
            "links": self.links[:LIST_LIMIT],
        }


def read(
    inspector: Inspector,
    binding: str,
    tab: Target,
    places: list[Place],
    turn: int,
    notes: list[str],
) -> list[Ad]:
    """The filled slots of a page, without pictures.

    Args:
        inspector: asks the page.
        binding: name of the harvest script's object.
        tab: the visited tab.
        places: where Prebid was found; the tab's own document is always looked at.
        turn: number of this look at the page; a document that two places lead to is read once.
        notes: what could not be read is added here, one line each.
    """
    ads: list[Ad] = []
    for place in [Place(tab.session, tab.id), *places]:
        try:
            told = _slots(inspector, binding, place, turn)
        except Unseen as error:
            notes.append(f"a document's ads could not be read: {error}"[:200])
            continue
        for slot in told:
            if len(ads) >= SLOTS_LIMIT:
                notes.append(f"more than {SLOTS_LIMIT} ad slots")
                return ads
            try:
                found = _ad(inspector, binding, place, slot, len(ads))
            except Unseen as error:
                notes.append(f"an ad could not be read: {error}"[:200])
                continue
            if found is not None:
                ads.append(found)
    return ads


def tags(inspector: Inspector, binding: str, tab: Target, notes: list[str]) -> tuple[str, ...]:
    """Ad tags that the page has besides Prebid.js, of ``TAGS``; what hinders is added to notes."""
    params = {"expression": f"window[{binding!r}].tags()", "returnByValue": True}
    try:
        answer = inspector.call("Runtime.evaluate", params, tab.session)["result"]
    except Unseen as error:
        notes.append(f"ad tags could not be read: {error}"[:200])
        return ()
    told = str(answer.get("value"))
    return tuple(tag for tag in TAGS if f'"{tag}"' in told)


def _slots(inspector: Inspector, binding: str, place: Place, turn: int) -> list[Mapping[str, Any]]:
    """Slots as the harvest script tells them, from among the page's own scripts: not trusted."""
    where = {} if place.context is None else {"contextId": place.context}
    params = {"expression": f"window[{binding!r}].slots({turn})", "returnByValue": True, **where}
    text = inspector.call("Runtime.evaluate", params, place.session)["result"].get("value")
    try:
        told = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return []
    return [slot for slot in told if isinstance(slot, dict) and _is_foreign(slot)]


def _is_foreign(slot: Mapping[str, Any]) -> bool:
    """Whether a frame that is no known slot is at least another site's."""
    if slot.get("kind") != "frame":
        return True
    return registrable(_host(slot.get("source"))) != registrable(_host(slot.get("page")))


def _host(url: Any) -> str:
    try:
        return urlsplit(str(url)).hostname or ""
    except ValueError:
        return ""


def _ad(
    inspector: Inspector, binding: str, place: Place, slot: Mapping[str, Any], index: int
) -> Ad | None:
    """One slot; nothing when it is empty or too small to see."""
    number = slot.get("number")
    expression = f"window[{binding!r}].element({number if isinstance(number, int) else 0})"
    node = inspector.node(expression, place.session, place.context)
    number = int(node["backendNodeId"])
    rect = _rect(inspector, number, place.session)
    if rect is None or rect["width"] < LEAST[0] or rect["height"] < LEAST[1]:
        return None
    content = _Content()
    if node["nodeName"] in ("IFRAME", "FRAME"):
        _add_frame(inspector, content, str(node["frameId"]), 1)
    else:
        document = inspector.document(place.frame)
        found = inspector.apply(document, ELEMENT, number)
        content.add(found)
        _add_frames(inspector, content, document, found["frames"], 1)
    if content.is_empty:
        return None
    told = {"index": index, **_told(slot), "rect": rect, **content.to_json(), "image": None}
    return Ad(told, place.session, number, tuple(content.documents))


def _told(slot: Mapping[str, Any]) -> Json:
    gpt = slot.get("gpt")
    return {
        "kind": _text(slot.get("kind")),
        "slot": _text(slot.get("slot")),
        "instance": _text(slot.get("instance")),
        "ad": _text(slot.get("ad")),
        "gpt": {key: _text(gpt.get(key)) for key in OF_GOOGLE} if isinstance(gpt, dict) else None,
        "page": _text(slot.get("page")),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:NAME_LIMIT]


def _rect(inspector: Inspector, node: int, session: str) -> Json | None:
    """Where an element is on the page; nothing when it is not drawn.

    A frame of another site knows its own corner only, so the places of the frames that hold it
    are added.
    """
    box = _box(inspector, node, session, "border")
    if box is None:
        return None
    x, y, width, height = box
    holder = inspector.holder(session)
    while holder is not None:
        parent, frame = holder
        owner = inspector.call("DOM.getFrameOwner", {"frameId": frame}, parent)
        outer = _box(inspector, int(owner["backendNodeId"]), parent, "content")
        if outer is None:
            return None
        x, y = x + outer[0], y + outer[1]
        session, holder = parent, inspector.holder(parent)
    view = inspector.call("Page.getLayoutMetrics", {}, session)["cssVisualViewport"]
    x, y = x + view["pageX"], y + view["pageY"]
    names = ("x", "y", "width", "height")
    return dict(zip(names, (round(v, 1) for v in (x, y, width, height)), strict=True))


def _box(
    inspector: Inspector, node: int, session: str, kind: str
) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of an element's box; nothing for one that is not drawn."""
    try:
        model = inspector.call("DOM.getBoxModel", {"backendNodeId": node}, session)["model"]
    except CommandFailed:
        return None
    xs, ys = model[kind][0::2], model[kind][1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _add_frames(
    inspector: Inspector, content: _Content, document: Document, count: int, depth: int
) -> None:
    for number in range(count):
        node = inspector.node(f"echoaudit.frame({number})", document.session, document.world)
        if "frameId" in node:
            _add_frame(inspector, content, str(node["frameId"]), depth)


def _add_frame(inspector: Inspector, content: _Content, frame: str, depth: int) -> None:
    if depth > DEPTH_LIMIT or len(content.frames) >= FRAMES_LIMIT:
        return
    document = inspector.document(frame)
    found = inspector.evaluate(document, DOCUMENT)
    content.documents.append(document)
    content.frames.append(found["url"])
    content.add(found)
    _add_frames(inspector, content, document, found["frames"], depth + 1)


# --- pictures ---------------------------------------------------------------------------------


class Camera(Protocol):
    """Takes a picture (PNG) of a rectangle of the page."""

    def __call__(self, rect: Mapping[str, float]) -> bytes:
        """The picture; one of ``Unseen`` when it can't be taken."""
        ...


def take_pictures(
    inspector: Inspector, ads: list[Ad], folder: Path, page: bytes | None, take: Camera, fold: int
) -> None:
    """Write ``ads/NN.png`` of each ad into ``folder`` and name them in the records.

    Args:
        inspector: asks the page.
        ads: their records' ``image`` is filled in.
        folder: the visit's.
        page: the page's own picture, out of which ads above the fold are cut; None without one.
        take: for the others, which are scrolled into view: the browser draws no frames out of it.
        fold: height of the window in pixels.

    Pictures are decoded and encoded anew. Raises one of ``Unseen`` when the page does not answer.
    """
    from PIL import Image

    whole = Image.open(BytesIO(page), formats=["PNG"]) if page else None
    for ad in ads:
        edges = _edges(ad.record["rect"])
        if edges is None:
            continue
        if whole is not None and edges[2] <= whole.width and edges[3] <= min(fold, whole.height):
            drawn = whole.crop(edges)
        else:
            rect = _scrolled_to(inspector, ad)
            if rect is None:
                continue
            drawn = Image.open(BytesIO(take(rect)), formats=["PNG"])
        ad.record["image"] = f"ads/{ad.record['index']:02}.png"
        encoded = BytesIO()
        drawn.convert("RGB").save(encoded, format="PNG")
        put(folder / ad.record["image"], encoded.getvalue())


def _scrolled_to(inspector: Inspector, ad: Ad) -> Json | None:
    """Where the ad is once it is in view and its frames have been drawn."""
    inspector.call("DOM.scrollIntoViewIfNeeded", {"backendNodeId": ad.node}, ad.session)
    for document in ad.documents:
        inspector.evaluate(document, "echoaudit.drawn()")
    rect = _rect(inspector, ad.node, ad.session)
    edges = _edges(rect) if rect else None
    if edges is None:
        return None
    left, top, right, bottom = edges
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _edges(rect: Mapping[str, float]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom in whole pixels, what is left of or above the page cut off."""
    left, top = max(0, round(rect["x"])), max(0, round(rect["y"]))
    right = min(round(rect["x"] + rect["width"]), left + SIDE_LIMIT)
    bottom = min(round(rect["y"] + rect["height"]), top + SIDE_LIMIT)
    return (left, top, right, bottom) if right > left and bottom > top else None
