"""Runs the command line and reads what it made."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pandas as pd
from click.testing import CliRunner, Result

from echoaudit import findings
from echoaudit.cli import group
from echoaudit.errors import EchoauditError
from echoaudit.recording import Recording, verify

START = 1_763_900_000.0


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["import", *map(str, arguments)])


def brought(*arguments: object, into: Path) -> Recording:
    """Import, and check what must hold of every imported recording."""
    done = run(*arguments, "--into", into)
    assert done.exception is None, done.exception
    assert verify(into, "full") == []
    recording = Recording.open(into)
    assert recording.sealed
    return recording


def refused(*arguments: object, into: Path) -> str:
    """An import's one line of refusal; nothing may be left behind."""
    done = run(*arguments, "--into", into)
    assert isinstance(done.exception, EchoauditError), (done.exception, done.output)
    assert not into.exists()
    assert not list(into.parent.glob(f".{into.name}*"))
    message = str(done.exception)
    assert message.isprintable()
    return message


def endpoints(recording: Recording) -> pd.DataFrame:
    return findings.compute(recording).tables["endpoints"].set_index("host")


def sources(recording: Recording) -> list[dict]:
    return [step.json("source.json") for step in recording.steps()]


# --- Pi-hole databases as versions 5 and 6 lay them out ----------------------------------------

OLD = """
CREATE TABLE ftl (id INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE queries (id INTEGER PRIMARY KEY, timestamp INTEGER, type INTEGER, status INTEGER,
  domain TEXT, client TEXT, forward TEXT);
"""
LINKED = """
CREATE TABLE ftl (id INTEGER PRIMARY KEY, value BLOB);
CREATE TABLE domain_by_id (id INTEGER PRIMARY KEY, domain TEXT);
CREATE TABLE client_by_id (id INTEGER PRIMARY KEY, ip TEXT, name TEXT);
CREATE TABLE addinfo_by_id (id INTEGER PRIMARY KEY, type INTEGER, content);
CREATE TABLE query_storage (id INTEGER PRIMARY KEY, timestamp, type INTEGER, status INTEGER,
  domain INTEGER, client INTEGER, forward INTEGER, additional_info INTEGER, reply_type INTEGER,
  reply_time REAL, dnssec INTEGER{more});
CREATE VIEW queries AS SELECT id, timestamp, type, status,
  (SELECT domain FROM domain_by_id d WHERE d.id = q.domain) domain,
  (SELECT ip FROM client_by_id c WHERE c.id = q.client) client, forward,
  (SELECT content FROM addinfo_by_id a WHERE a.id = q.additional_info) additional_info,
  reply_type, reply_time, dnssec{more_names} FROM query_storage q;
"""
TV, PHONE = "192.168.1.20", "192.168.1.30"
ROWS = [
    # seconds, type, status, domain, client, alias, reply
    (0.25, 1, 2, "api.roku.com", TV, None, 4),
    (1.25, 1, 1, "ads.example.com", TV, None, 0),
    (2.25, 28 + 100, 3, "cached.example.org", TV, None, 4),
    (3.25, 1, 9, "hidden.example.net", TV, "tracker.example.io", 0),
    (4.25, 1, 0, "unsaid.example.com", TV, None, 0),
    (5.25, 2, 2, "nothing.example.com", TV, None, 2),
    (6.25, 1, 2, "phone.example.com", PHONE, None, 4),
    (7.25, 1, 2, "hidden", "hidden", None, 4),
]


def database(path: Path, version: int) -> Path:
    old = version < 10
    newest = version >= 21
    script = OLD if old else LINKED.format(
        more=", list_id INTEGER, ede INTEGER" if newest else "",
        more_names=", list_id, ede" if newest else "",
    )  # fmt: skip
    with sqlite3.connect(path) as db:
        db.executescript(script)
        db.execute("INSERT INTO ftl VALUES (0, ?)", (version,))
        for number, row in enumerate(ROWS, start=1):
            (_old_row if old else _linked_row)(db, number, newest, *row)
    return path


def _old_row(db, number, newest, after, kind, status, domain, client, alias, reply) -> None:
    db.execute(
        "INSERT INTO queries VALUES (?,?,?,?,?,?,NULL)",
        (number, int(START + after), kind, status, domain, client),
    )


def _linked_row(db, number, newest, after, kind, status, domain, client, alias, reply) -> None:
    db.execute("INSERT INTO domain_by_id VALUES (?,?)", (number, domain))
    db.execute("INSERT INTO client_by_id VALUES (?,?,NULL)", (number, client))
    db.execute("INSERT INTO addinfo_by_id VALUES (?,1,?)", (number, alias))
    values = [number, START + after if newest else int(START + after), kind, status, number, number,
              None, number, reply, 0.01, 0, *([None, -1] if newest else [])]  # fmt: skip
    db.execute(f"INSERT INTO query_storage VALUES ({','.join('?' * len(values))})", values)


def as_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path
