"""A list's bytes to the text that is kept: hosts, adblock rules, gravity.db, owners as JSON."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import Literal, get_args

from echoaudit.errors import BadInput
from echoaudit.lists import owners
from echoaudit.lists.owners import HOST

Format = Literal["hosts", "adblock", "owners"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ADBLOCK = re.compile(r"^(\|\||@@|\[Adblock)", re.MULTILINE)
_PAGE = re.compile(r"\s*<(!doctype html|html)\b", re.IGNORECASE)
_HEAD = 50
"""Lines at the start of a list in which it tells of itself."""
_TELLS = r"^[!#]\s*(?:{})\s*:\s*([^\s%][^\n]{{0,99}})"
"""A name and a value; ``%timestamp%`` is a template's."""
_VERSION = ("Version", "Last[ -]modified", "Last[ -]updated", "Updated", "Date")
_LICENCE = ("Licen[cs]e",)
_NULL = ("0.0.0.0", "127.0.0.1", "::", "::1")
_SQLITE = b"SQLite format 3\0"
_GRAVITY = """
SELECT DISTINCT g.domain, a.address FROM gravity g JOIN adlist a ON a.id = g.adlist_id
UNION SELECT domain, 'exact denied' FROM domainlist WHERE type = 1 AND enabled
UNION SELECT '@@' || domain, 'exact allowed' FROM domainlist WHERE type = 0 AND enabled
ORDER BY 1, 2
"""


def read(raw: bytes, name: str, form: Format | None = None) -> tuple[Format, str]:
    """Format and text of a list; a gravity database becomes a hosts list with its sources.

    Raises:
        BadInput: too large, not text, or without any rule.
    """
    if raw.startswith(_SQLITE):
        return "hosts", "".join(_gravity(raw, name))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"not a list: byte {error.start} is not UTF-8", file=name) from error
    form = form or _form(text)
    if form == "owners":
        text = owners.normalised(text, name)
    if _PAGE.match(text) or not count(form, text):
        raise BadInput(
            "has no rule that is understood; allowed: a hosts file, a list of domains, adblock "
            "rules (EasyList), Pi-hole's gravity.db, third-party-web, trackerdb",
            file=name,
        )
    return form, text


def _form(text: str) -> Format:
    if owners.is_json(text):
        return "owners"
    return "adblock" if _ADBLOCK.search(text) else "hosts"


def told(text: str) -> tuple[str | None, str | None]:
    """Version and licence by the comments that a list starts with; none when it does not say."""
    head = "\n".join(text.split("\n", _HEAD)[:_HEAD])
    return _told(head, _VERSION), _told(head, _LICENCE)


def _told(head: str, words: tuple[str, ...]) -> str | None:
    for word in words:
        if found := re.search(_TELLS.format(word), head, re.MULTILINE | re.IGNORECASE):
            return " ".join("".join(c if c.isprintable() else " " for c in found[1]).split())
    return None


def count(form: Format, text: str) -> int:
    """Rules of a list, as far as a glance at its lines tells."""
    if form == "hosts":
        return sum(1 for _ in hosts(text))
    if form == "owners":
        return len(text.splitlines())
    lines = (line.strip() for line in text.splitlines())
    return sum(1 for line in lines if line and line[0] not in "![" and "##" not in line)


def hosts(text: str) -> Iterator[tuple[str, str, bool]]:
    """Host, rule as written and whether the list allows it, of each usable line."""
    for line in text.splitlines():
        rule, _, note = (part.strip() for part in line.partition("#"))
        words = rule.split()
        named = words[1:] if words and words[0] in _NULL else words[:1] if len(words) == 1 else []
        for word in named:
            host = word.lower().removeprefix("@@").rstrip(".")
            if "." in host and HOST.fullmatch(host):
                yield host, f"{rule} ({note})" if note else rule, word.startswith("@@")


def _gravity(raw: bytes, name: str) -> Iterator[str]:
    """A line per domain and list it is from: ``domain # address of the list``."""
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        file.write(raw)
        file.flush()
        try:
            with closing(sqlite3.connect(file.name)) as database:
                database.execute("PRAGMA trusted_schema = OFF")
                yield from _rows(database)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise BadInput(
                "cannot be read as Pi-hole's gravity.db, which has gravity, adlist and domainlist",
                file=name,
            ) from error


def _rows(database: sqlite3.Connection) -> Iterator[str]:
    for domain, source in database.execute(_GRAVITY):
        host = str(domain).lower()
        # Pi-hole 6 keeps ``||domain^`` of adblock lists as it is; those cover subdomains too.
        if HOST.fullmatch(host.removeprefix("@@")):
            yield f"{host} # {' '.join(str(source).split())}\n"
