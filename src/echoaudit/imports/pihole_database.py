"""Pi-hole's long-term database (``pihole-FTL.db``) of versions 5 and 6."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput
from echoaudit.imports import pihole_codes as codes
from echoaudit.imports.questions import Question
from echoaudit.imports.source import shown

NEEDED = ("timestamp", "type", "status", "domain", "client")
OPTIONAL = ("id", "additional_info", "reply_type")
PATIENCE = 60.0
"""Seconds within which a database must give another row; a view can be made to run for ever."""
_TEXT_LIMIT = 1 << 16
_STEPS = 100_000


def copy_beside(path: Path, given: Path) -> None:
    """Take along what a running Pi-hole has not yet written into the database's main file."""
    log = path.with_name(path.name + "-wal")
    if log.is_file():
        shutil.copyfile(log, given.with_name(given.name + "-wal"))


def read(path: Path, name: str, problems: Counter[str]) -> Iterator[Question]:
    """The questions of a database, in the order of its rows.

    Args:
        path: a copy that nobody else writes.
        name: what the user calls the file.
        problems: counts what could not be used.

    Raises:
        BadInput: it is no such database, or it is damaged.
    """
    try:
        with closing(_opened(path)) as database:
            yield from _rows(database, name, problems)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Python's sqlite3 cannot always decode the message about what is damaged.
        reason = "it does not come to an end" if "interrupted" in str(error) else str(error)
        raise BadInput(f"cannot be read as a database: {shown(reason)}", file=name) from error


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _TEXT_LIMIT)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    return database


def _rows(database: sqlite3.Connection, name: str, problems: Counter[str]) -> Iterator[Question]:
    columns = _columns(database, name)
    deadline = time.monotonic() + PATIENCE
    database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    rows = database.execute(f"SELECT {', '.join(columns)} FROM queries")
    for row in rows:
        deadline = time.monotonic() + PATIENCE
        question = codes.question(_row(dict(zip(columns, row, strict=True))), problems)
        if question is not None:
            yield question


def _row(row: Mapping[str, Any]) -> codes.Row:
    fixed = (row["timestamp"], row["client"], row["domain"], row["type"], row["status"])
    return codes.Row(*fixed, row.get("reply_type"), row.get("additional_info"))


def _columns(database: sqlite3.Connection, name: str) -> list[str]:
    """Which columns of ``queries`` (a table up to database version 9, then a view) there are."""
    there = {str(row[1]) for row in database.execute("PRAGMA table_info(queries)")}
    missing = [column for column in NEEDED if column not in there]
    if missing:
        raise BadInput(
            "not a Pi-hole database: "
            + (f"its queries have no {', '.join(missing)}" if there else "it has no queries")
            + "; allowed: pihole-FTL.db",
            file=name,
        )
    return [*NEEDED, *(column for column in OPTIONAL if column in there)]
