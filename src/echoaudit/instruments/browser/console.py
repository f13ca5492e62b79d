"""Errors and warnings that pages and the browser tell the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from echoaudit.instruments.browser.devtools import Event

EVENTS = frozenset({"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"})
LIMIT = 200
TEXT_LIMIT = 1000
URL_LIMIT = 2048
TOLD = {"error": "error", "warning": "warning", "assert": "error"}
"""Calls of ``console`` that are kept, and their level."""


def keep(kept: list[dict[str, Any]], event: Event, target: str) -> None:
    """Add an event of ``EVENTS`` to what is kept, unless it is mere talk or there is enough."""
    if len(kept) >= LIMIT:
        return
    entry: dict[str, Any] | None
    match event.method:
        case "Runtime.exceptionThrown":
            entry = _exception(event.params)
        case "Runtime.consoleAPICalled":
            entry = _call(event.params)
        case _:
            entry = _log(event.params.get("entry", {}))
    if entry is not None:
        kept.append(entry | {"target": target})


def _exception(params: Mapping[str, Any]) -> dict[str, Any]:
    details = params.get("exceptionDetails", {})
    thrown = details.get("exception", {})
    text = thrown.get("description") or thrown.get("value") or details.get("text", "")
    frame = _innermost(details)
    url = details.get("url") or frame.get("url")
    return _entry(params.get("timestamp"), "exception", "error", text, url, frame or details)


def _call(params: Mapping[str, Any]) -> dict[str, Any] | None:
    level = TOLD.get(str(params.get("type")))
    if level is None:
        return None
    words = (
        one.get("value", one.get("description", one.get("type", "")))
        for one in params.get("args", ())
    )
    frame = _innermost(params)
    text = " ".join(str(word) for word in words)
    return _entry(params.get("timestamp"), "console", level, text, frame.get("url"), frame)


def _log(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    level = str(entry.get("level"))
    if level not in TOLD:
        return None
    text, url = entry.get("text", ""), entry.get("url")
    return _entry(entry.get("timestamp"), "browser", level, text, url, entry)


def _innermost(details: Mapping[str, Any]) -> Mapping[str, Any]:
    frames = details.get("stackTrace", {}).get("callFrames", ())
    return frames[0] if frames else {}


def _entry(
    milliseconds: Any, kind: str, level: str, text: Any, url: Any, place: Mapping[str, Any]
) -> dict[str, Any]:
    line = place.get("lineNumber")
    return {
        "time": float(milliseconds or 0.0) / 1000,
        "kind": kind,
        "level": level,
        "text": str(text)[:TEXT_LIMIT],
        "url": str(url)[:URL_LIMIT] if url else None,
        "line": int(line) + 1 if isinstance(line, int) else None,
    }
