"""Whether a site's robots.txt allows a page to be visited, by RFC 9309."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from echoaudit.errors import Unavailable
from echoaudit.recording import read_json

if TYPE_CHECKING:
    from echoaudit.instruments.browser.visit import State, Visit

AGENT = "echoaudit"
"""The name by which robots.txt may address this tool."""
VALID = 86_400.0
"""Seconds for which an answer is remembered (section 2.4)."""

Refusal = tuple["State", str]
"""The state of the visit that does not take place, and why."""


@dataclass(frozen=True)
class _Told:
    """What asking for robots.txt came to."""

    asked: float
    """Monotonic."""
    text: str = ""
    refusal: Refusal | None = None
    """Why nothing of the site may be visited."""


class Robots:
    """What sites' robots.txt say, asked for by a browser's visit and remembered for a day."""

    def __init__(self, visit: Callable[[str, Path], Visit]) -> None:
        """``visit`` visits an address without asking; its files are not kept."""
        self._visit = visit
        self._told: dict[str, _Told] = {}

    def refusal(self, url: str) -> Refusal | None:
        """Why ``url`` must not or cannot be visited; None when it may.

        Raises:
            BrowserCrashed: the browser goes away.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return None
        origin = f"{parts.scheme}://{parts.netloc}"
        told = self._told.get(origin)
        if told is None or time.monotonic() - told.asked > VALID:
            told = self._told[origin] = self._ask(f"{origin}/robots.txt")
        if told.refusal is None and not allows(told.text, url):
            return "robots", "robots.txt does not allow the page"
        return told.refusal

    def _ask(self, address: str) -> _Told:
        """No robots.txt (any 4xx) allows everything, one that cannot be given (5xx) nothing."""
        with TemporaryDirectory(prefix="echoaudit-robots-", ignore_cleanup_errors=True) as work:
            visit = self._visit(address, Path(work))
            documents = [
                entry
                for entry in read_json(Path(work) / "page.har")["log"]["entries"]
                if entry["_resourceType"] == "document"
            ]
        asked = time.monotonic()
        status = int(documents[-1]["response"]["status"]) if documents else 0
        if status == 0:
            return _Told(asked, refusal=(visit.state, visit.reason or "no answer"))
        if status >= 500:
            return _Told(asked, refusal=("robots", f"robots.txt: HTTP {status}"))
        text = documents[-1]["response"]["content"].get("text", "") if status == 200 else ""
        return _Told(asked, text)


def allows(robots: str, url: str) -> bool:
    """Whether a robots.txt lets this tool visit a page of its site."""
    try:
        from protego import Protego
    except ImportError as error:
        raise Unavailable(
            "robots.txt cannot be read without the package protego",
            fix="pip install 'echoaudit[web]'",
        ) from error
    return bool(Protego.parse(robots).can_fetch(url, AGENT))
