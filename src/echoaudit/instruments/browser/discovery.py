"""Which sites of a list run header bidding: one visit to each, where its robots.txt allows it."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput
from echoaudit.instruments.browser import Browser, BrowserCrashed
from echoaudit.recording import read_json

DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}")
LIST_LIMIT = 10_000_000
"""Lines of a list."""


@dataclass(frozen=True)
class Entry:
    """One line of a list."""

    rank: int
    domain: str


@dataclass(frozen=True)
class Site:
    """What one visit has shown; a row of the result."""

    rank: int
    domain: str
    url: str
    state: str
    """As a visit's."""
    reason: str
    prebid: str
    """Versions of Prebid.js; empty without header bidding."""
    bidders: int
    ad_tags: str
    time: str
    """When it was visited (ISO 8601)."""


COLUMNS = [field.name for field in fields(Site)]


def read_list(path: Path) -> Iterator[Entry]:
    """Lines of a list in Tranco's form (``RANK,DOMAIN``), or of domains alone.

    Raises ``BadInput`` with file and line for anything else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _entry(path, number, line.strip())
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8 text", file=path) from error
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=path) from error


def _entry(path: Path, number: int, line: str) -> Entry:
    rank, comma, domain = line.rpartition(",")
    domain = domain.strip().lower()
    if not DOMAIN.fullmatch(domain) or (comma and not rank.strip().isdecimal()):
        raise BadInput(
            f"{line[:80]!r} is no RANK,DOMAIN; example: 1,news.example", file=path, line=number
        )
    return Entry(int(rank) if comma else number, domain)


def examine(browser: Browser, entry: Entry, folder: Path) -> Site:
    """Ask for robots.txt and, where it allows it, visit the front page; files go to ``folder``.

    Raises ``BrowserCrashed`` when the browser goes away.
    """
    url = f"https://{entry.domain}/"
    refusal = browser.refusal(url)
    if refusal is not None:
        return _site(entry, url, refusal[0], refusal[1])
    visit = browser.visit(url, folder / "page")
    asked = read_json(folder / "page" / "bids.json")
    return _site(
        entry,
        url,
        visit.state,
        visit.reason or "",
        prebid=" ".join(sorted({_plain(version) for version in visit.prebid.values()})),
        bidders=len({bid["bidder"] for bid in asked}),
        ad_tags=" ".join(visit.ad_tags),
    )


def crashed(entry: Entry, crash: BrowserCrashed) -> Site:
    """The row of a site on which the browser went away."""
    return _site(entry, f"https://{entry.domain}/", "failed", str(crash))


def _site(
    entry: Entry,
    url: str,
    state: str,
    reason: str,
    *,
    prebid: str = "",
    bidders: int = 0,
    ad_tags: str = "",
) -> Site:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Site(entry.rank, entry.domain, url, state, reason, prebid, bidders, ad_tags, now)


def _plain(text: str) -> str:
    """A version without what spreadsheets or terminals would act on."""
    return re.sub(r"[^A-Za-z0-9.-]", "", text).lstrip("-") or "unknown"


# --- results ----------------------------------------------------------------------------------


def read_results(path: Path) -> list[Site]:
    """The rows of an earlier, perhaps killed, run; a last line that was cut is taken off the file.

    Raises ``BadInput`` when the file is something else.
    """
    if not path.exists():
        return []
    try:
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)
            data = data[: data.rfind(b"\n") + 1]
        rows = list(csv.DictReader(data.decode().splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"cannot be read as results: {error}", file=path) from error
    if data and not data.decode().startswith(",".join(COLUMNS)):
        raise BadInput(f"no results: the first line must be {','.join(COLUMNS)}", file=path)
    return [_row(path, number, row) for number, row in enumerate(rows, start=2)]


def _row(path: Path, number: int, row: dict[str, Any]) -> Site:
    try:
        counts = {name: int(row[name]) for name in ("rank", "bidders")}
        return Site(**{name: row[name] for name in COLUMNS} | counts)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("not a row of results", file=path, line=number) from error


def add_result(path: Path, site: Site) -> None:
    """Append a row and wait until it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(asdict(site))
        file.flush()
        os.fsync(file.fileno())


def as_sites(results: Iterable[Site]) -> list[dict[str, str]]:
    """Sites with header bidding as a study lists them."""
    bidding = sorted((site for site in results if site.prebid), key=lambda site: site.rank)
    return [{"site": _name(site), "url": site.url} for site in bidding]


def _name(site: Site) -> str:
    ending = f"-{site.rank}"
    return re.sub(r"[^a-z0-9]+", "-", site.domain)[: 40 - len(ending)].strip("-") + ending
