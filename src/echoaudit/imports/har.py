"""HAR files as visits: one per file."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from echoaudit.domains import registrable
from echoaudit.errors import BadInput
from echoaudit.imports.source import Source, shown
from echoaudit.imports.staging import Staged
from echoaudit.outcomes.visits import host_of
from echoaudit.recording import read_bytes
from echoaudit.recording.jsonfile import FILE_LIMIT, parse
from echoaudit.study.plan import slug


def stage(files: Sequence[Path], scratch: Path) -> list[Staged]:
    """Read each HAR file whole and keep it byte for byte (but for a byte order mark).

    Raises:
        BadInput: a file is no HAR of at least one usable request.
    """
    return [_one(path, scratch / f"har-{n}") for n, path in enumerate(files, start=1)]


def _one(path: Path, folder: Path) -> Staged:
    given = read_bytes(path.resolve(), FILE_LIMIT)
    raw = given.removeprefix(codecs.BOM_UTF8)
    entries = _entries(parse(raw, file=shown(str(path))), path)
    usable = [(moment, url) for entry in entries if (moment := _moment(entry)) is not None
              and (url := _url(entry))]  # fmt: skip
    if not usable:
        raise BadInput("has no request with a time and an address", file=shown(str(path)))
    folder.mkdir()
    (folder / "page.har").write_bytes(raw)
    times = [moment for moment, _ in usable]
    url = min(usable)[1]
    lost = len(entries) - len(usable)
    return Staged(
        path.stem,
        "visit",
        "",
        {
            "site": slug(registrable(host_of(url))),
            "url": url[:2000],
            "phase": "after",
            "round": 1,
            "started": min(times),
            "ended": max(moment + _seconds(entry) for entry in entries
                         if (moment := _moment(entry)) is not None),
            "state": "complete",
            "reason": None,
            "browser": None,
        },
        folder,
        Source(
            shown(path.name),
            "HAR",
            hashlib.sha256(given).hexdigest(),
            len(given),
            len(usable),
            (f"requests without a time or an address: {lost}",) if lost else (),
        ),
    )  # fmt: skip


def _entries(value: Any, path: Path) -> list[Mapping[str, Any]]:
    log = value.get("log") if isinstance(value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list) or not all(_is_exchange(entry) for entry in entries):
        raise BadInput("not a HAR: no log.entries of requests and responses", file=shown(str(path)))
    return entries


def _is_exchange(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(part), dict) for part in ("request", "response")
    )


def _moment(entry: Mapping[str, Any]) -> float | None:
    """When a request began; nothing without a time zone, for the time would be a guess."""
    text = entry.get("startedDateTime")
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment.timestamp() if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _seconds(entry: Mapping[str, Any]) -> float:
    spent = entry.get("time")
    sane = isinstance(spent, int | float) and not isinstance(spent, bool) and 0 <= spent < 1e9
    return float(spent) / 1000 if sane and spent is not None else 0.0


def _url(entry: Mapping[str, Any]) -> str:
    url = entry["request"].get("url")
    return url if isinstance(url, str) and host_of(url) else ""
