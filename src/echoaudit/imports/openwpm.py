"""OpenWPM crawls (``crawl-data.sqlite``) as visits: each with its HAR and its cookies.

Tables and columns are those of OpenWPM's ``schema.sql`` from version 0.8 (``crawl_id``) to today's
(``browser_id``). Each browser of the crawl is an account.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from echoaudit import __version__
from echoaudit.domains import registrable
from echoaudit.errors import BadInput
from echoaudit.imports.source import Source, copy, magic, shown
from echoaudit.imports.staging import Staged
from echoaudit.instruments.browser.har import set_cookie
from echoaudit.outcomes.visits import host_of
from echoaudit.study.plan import slug

Json = dict[str, Any]
Row = Mapping[str, Any]

TABLES: Mapping[str, tuple[str, ...]] = {
    "site_visits": ("visit_id", "site_url"),
    "http_requests": ("visit_id", "url", "method", "headers", "request_id", "time_stamp"),
    "http_responses": ("visit_id", "url", "response_status", "headers", "request_id"),
}
"""What a crawl must have."""
BROWSER = ("browser_id", "crawl_id")
"""The column that tells browsers apart, today's name first."""
TEXT_LIMIT = 8 << 20
HEADERS_LIMIT = 1000
END_OF_TIME = "9999-12-31"
"""OpenWPM's expiry of cookies that end with the browser."""


@dataclass
class _Visit:
    """One of the crawl's visits."""

    id: int
    browser: str
    url: str
    interrupted: bool
    started: float = 0.0
    ended: float = 0.0
    entries: list[Json] = field(default_factory=list)
    cookies: list[Row] = field(default_factory=list)


def stage(files: Sequence[Path], scratch: Path) -> list[Staged]:
    """Read crawls, a file each.

    Raises:
        BadInput: a file is no such database, is damaged, or has no visit with requests.
    """
    return [one for n, path in enumerate(files, 1) for one in _crawl(path, scratch, f"crawl-{n}")]


def _crawl(path: Path, scratch: Path, label: str) -> list[Staged]:
    name = shown(str(path))
    given = scratch / f"{label}.sqlite"
    sha256, size = copy(path, given)
    if magic(given) != "sqlite":
        raise BadInput("not an SQLite database; allowed: OpenWPM's crawl-data.sqlite", file=name)
    problems: Counter[str] = Counter()
    try:
        with closing(_opened(given)) as database:
            visits = _visits(database, name, problems)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read as a database: {shown(str(error))}", file=name) from error
    finally:
        given.unlink(missing_ok=True)
    usable = sorted((v for v in visits if v.entries), key=lambda v: (v.started, v.id))
    problems["visits without any usable request"] += len(visits) - len(usable)
    if not usable:
        raise BadInput("has no visit with a request that has a time and an address", file=name)
    notes = tuple(f"{what}: {number}" for what, number in sorted(problems.items()) if number)
    several = len({visit.browser for visit in usable}) > 1
    jars, rounds = _jars(usable), Counter[tuple[str, str]]()
    staged = []
    for number, visit in enumerate(usable, 1):
        rounds[visit.browser, visit.url] += 1
        source = Source(shown(path.name), "OpenWPM", sha256, size, len(visit.entries), notes)
        folder = scratch / f"{label}-{number}"
        _write(folder, visit, *jars[visit.id])
        about = _about(visit, rounds[visit.browser, visit.url])
        client = f"browser {visit.browser}" if several else ""
        staged.append(Staged(host_of(visit.url), "visit", client, about, folder, source))
    return staged


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, TEXT_LIMIT)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    return database


def _visits(database: sqlite3.Connection, name: str, problems: Counter[str]) -> list[_Visit]:
    columns = {table: _columns(database, table) for table in TABLES}
    for table, needed in TABLES.items():
        if missing := [column for column in needed if column not in columns[table]]:
            raise BadInput(
                f"not an OpenWPM crawl: table {table} has no {', '.join(missing)}; "
                "allowed: crawl-data.sqlite of OpenWPM 0.8 or later",
                file=name,
            )
    interrupted = {row["visit_id"] for row in _rows(database, "incomplete_visits")}
    visits = {
        row["visit_id"]: _Visit(
            row["visit_id"],
            str(next((row[key] for key in BROWSER if key in row), "")),
            str(row["site_url"])[:2000],
            row["visit_id"] in interrupted,
        )
        for row in _rows(database, "site_visits")
    }
    # A chain's hops share an id: what came back is told by id and address.
    answers = _Answers(database)
    for id_, requests in _by_visit(database, "http_requests", "visit_id, time_stamp"):
        found = answers.of(id_)
        visit = visits.get(id_)
        if visit is None:
            problems["requests outside any visit"] += sum(1 for _ in requests)
            continue
        for row in requests:
            _add(visit, row, found, problems)
    for id_, cookies in _by_visit(database, "javascript_cookies", "visit_id"):
        if id_ in visits:
            visits[id_].cookies = list(cookies)
    return list(visits.values())


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in database.execute(f"PRAGMA table_info({table})")}


def _rows(database: sqlite3.Connection, table: str, order: str = "") -> Iterator[Json]:
    """A table's rows; none when the crawl has no such table."""
    if _columns(database, table):
        by = f" ORDER BY {order}" if order else ""
        yield from map(dict, database.execute(f"SELECT * FROM {table}{by}"))


def _by_visit(
    database: sqlite3.Connection, table: str, order: str
) -> Iterator[tuple[Any, Iterator[Json]]]:
    yield from groupby(_rows(database, table, order), key=lambda row: row.get("visit_id"))


class _Answers:
    """Responses and redirects, a visit at a time and in the order of visits."""

    def __init__(self, database: sqlite3.Connection) -> None:
        tables = {"http_responses": ("request_id", "url"),
                  "http_redirects": ("old_request_id", "old_request_url")}  # fmt: skip
        self._waiting = [
            (_by_visit(database, table, "visit_id"), names) for table, names in tables.items()
        ]
        self._next: dict[int, tuple[Any, Iterator[Json]] | None] = {}

    def of(self, visit: Any) -> dict[tuple[str, str], list[Json]]:
        """What came back in a visit, by request and address; visits are asked in rising order."""
        found: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for number, (groups, (id_, url)) in enumerate(self._waiting):
            current = self._next[number] if number in self._next else next(groups, None)
            while current is not None and current[0] is not None and current[0] < visit:
                current = next(groups, None)
            if current is not None and current[0] == visit:
                for row in current[1]:
                    found[str(row.get(id_)), str(row.get(url))].append(row)
                current = next(groups, None)
            self._next[number] = current
        return found


def _add(
    visit: _Visit, row: Row, answers: dict[tuple[str, str], list[Json]], problems: Counter[str]
) -> None:
    moment, url = _moment(row["time_stamp"]), str(row["url"])
    if moment is None or not host_of(url):
        problems["requests without a time or an address"] += 1
        return
    came = answers.get((str(row["request_id"]), url))
    answer = came.pop(0) if came else {}
    visit.started = min(moment, visit.started or moment)
    visit.ended = max(moment, visit.ended, _moment(answer.get("time_stamp")) or 0.0)
    visit.entries.append(_entry(row, moment, url, answer))


def _entry(row: Row, moment: float, url: str, answer: Row) -> Json:
    headers = _headers(answer.get("headers"))
    lines = [line for name, value in headers if name.lower() == "set-cookie"
             for line in value.split("\n")]  # fmt: skip
    status = answer.get("response_status")
    body = next((row[key] for key in ("post_body", "post_body_raw") if row.get(key)), None)
    return {
        "startedDateTime": datetime.fromtimestamp(moment, UTC).isoformat(),
        "time": max(0.0, ((_moment(answer.get("time_stamp")) or moment) - moment) * 1000),
        "request": {
            "method": str(row["method"]),
            "url": url,
            "httpVersion": "",
            "headers": _named(_headers(row["headers"])),
            "queryString": [],
            "cookies": [],
            "headersSize": -1,
            "bodySize": -1,
            **({"postData": {"mimeType": "", "text": str(body)}} if body else {}),
        },
        "response": {
            "status": status if isinstance(status, int) else 0,
            "statusText": str(answer.get("response_status_text") or ""),
            "httpVersion": "",
            "headers": _named(headers),
            "cookies": [cookie for line in lines for cookie in set_cookie(line)],
            "content": {"size": -1, "mimeType": ""},
            "redirectURL": str(answer.get("new_request_url") or answer.get("location") or ""),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": -1, "wait": -1, "receive": -1},
        "_requestId": f"{row['request_id']}",
        "_redirected": "new_request_url" in answer,
        "_resourceType": str(row.get("resource_type") or ""),
        "_document": str(row.get("loading_href") or row.get("top_level_url") or ""),
        "_initiator": {"url": str(row.get("triggering_origin") or "")},
    }


def _named(pairs: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]


def _headers(text: Any) -> list[tuple[str, str]]:
    """Headers as OpenWPM keeps them: JSON, a list of pairs."""
    try:
        found = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return []
    pairs = found[:HEADERS_LIMIT] if isinstance(found, list) else []
    return [(str(pair[0]), str(pair[1])) for pair in pairs
            if isinstance(pair, list) and len(pair) == 2]  # fmt: skip


def _moment(text: Any) -> float | None:
    """A time in OpenWPM's form, ``2026-11-23T10:00:00.500Z``; old rows leave the zone (UTC) out."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        if moment is None:
            return None
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return found if 0 < found < 1e11 else None


# --- cookies ----------------------------------------------------------------------------------

_Jar = dict[tuple[str, str, str], Json]


def _jars(visits: Sequence[_Visit]) -> dict[int, tuple[list[Json], list[Json]]]:
    """Cookies of each visit's browser before and after it, from the changes that were recorded.

    A browser that was started anew without its profile has another session id and an empty jar.
    """
    jars: dict[tuple[str, str], _Jar] = defaultdict(dict)
    found = {}
    for visit in visits:
        sessions = Counter(str(row.get("extension_session_uuid") or "") for row in visit.cookies)
        session = min(sessions, key=lambda one: (-sessions[one], one), default="")
        jar = jars[visit.browser, session]
        before = list(jar.values())
        for row in sorted(
            visit.cookies, key=lambda row: (str(row.get("time_stamp")), row.get("id") or 0)
        ):
            key = (str(row.get("host")), str(row.get("name")), str(row.get("path")))
            if row.get("record_type") == "deleted":
                jar.pop(key, None)
            else:
                jar[key] = _cookie(row)
        found[visit.id] = (before, list(jar.values()))
    return found


def _cookie(row: Row) -> Json:
    expiry = str(row.get("expiry") or "")
    session = bool(row.get("is_session")) or expiry.startswith(END_OF_TIME) or not expiry
    return {
        "domain": str(row.get("host") or ""),
        "name": str(row.get("name") or ""),
        "value": str(row.get("value") or ""),
        "path": str(row.get("path") or "/"),
        "expires": -1 if session else _moment(expiry) or -1,
        "session": session,
        "secure": bool(row.get("is_secure")),
        "httpOnly": bool(row.get("is_http_only")),
        "sameSite": str(row.get("same_site") or ""),
    }


def _write(folder: Path, visit: _Visit, before: list[Json], after: list[Json]) -> None:
    folder.mkdir()
    log = {
        "version": "1.2",
        "creator": {"name": "echoaudit, from an OpenWPM crawl", "version": __version__},
        "entries": visit.entries,
    }
    (folder / "page.har").write_text(json.dumps({"log": log}), encoding="utf-8")
    (folder / "cookies.json").write_text(
        json.dumps({"before": before, "after": after}), encoding="utf-8"
    )


def _about(visit: _Visit, round_: int) -> Json:
    reason = "OpenWPM says that the visit was interrupted" if visit.interrupted else None
    return {
        "site": slug(registrable(host_of(visit.url)), "site"),
        "url": visit.url,
        "phase": "after",
        "round": round_,
        "started": visit.started,
        "ended": visit.ended,
        "state": "failed" if visit.interrupted else "complete",
        "reason": reason,
        "browser": None,
    }
