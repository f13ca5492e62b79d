"""Files of a data request that list a person's advertising interests: CSV and JSON.

The columns of Amazon's four files (``Advertising.AmazonAudiences.csv``, ``3PAudiences``,
``AdvertiserAudiences``, ``AdvertiserClicks``) are known, and a plain form for other platforms. A
column that is not known is refused: what a new file means is not guessed.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from echoaudit.errors import BadInput
from echoaudit.recording.jsonfile import parse

LISTS: Mapping[str, str] = {
    "amazon audiences in which you are included": "platform",
    "audiences in which you are included via 3rd parties": "third-party",
    "advertisers who brought audiences in which you are included": "advertiser",
    "advertisers whose ads you clicked": "clicked",
    "interest": "platform",
    "interests": "platform",
}
"""What a column lists, by its heading in lower case."""
INTERESTS = ("platform", "third-party")
"""Lists whose entries are interests; the others name advertisers."""
LONGEST = 500
"""Characters of an entry."""
MOST = 100_000
"""Entries of a file."""
EXAMPLE = "Amazon Audiences in which you are included"


class Listed(NamedTuple):
    """One entry of a file."""

    list: str
    """``platform``, ``third-party``, ``advertiser`` or ``clicked``."""
    interest: str


class Contents(NamedTuple):
    """What a file holds."""

    lists: frozenset[str]
    """Lists that it has, with entries or without."""
    entries: tuple[Listed, ...]
    """Each once, sorted."""


def read(data: bytes, name: str) -> Contents:
    """The contents of a file; ``name`` decides between CSV and JSON.

    Raises:
        BadInput: another format, a column that is not known, or an entry that is no text; with the
            line or the place.
    """
    reader = _json if name.lower().endswith(".json") else _csv
    lists: set[str] = set()
    found: set[Listed] = set()
    for listed, entry in reader(data, name):
        lists.add(listed)
        if entry:
            found.add(Listed(listed, entry))
        if len(found) > MOST:
            raise BadInput(f"more than {MOST:,} entries", file=name)
    return Contents(frozenset(lists), tuple(sorted(found)))


def _known(column: str, name: str, line: int | None = None) -> str:
    """The list of a column."""
    shown = column.strip().strip("\ufeff").strip('"')
    if shown.lower() not in LISTS:
        raise BadInput(
            f"column {shown[:80]!a} is not known; allowed: {', '.join(sorted(LISTS))}; "
            f"example: {EXAMPLE}",
            file=name,
            line=line,
        )
    return LISTS[shown.lower()]


def _csv(data: bytes, name: str) -> Iterator[tuple[str, str]]:
    rows = csv.reader(io.StringIO(_text(data, name), newline=""), strict=True)
    try:
        lists = [_known(column, name, 1) for column in next(rows, [])]
        if not lists:
            raise BadInput(f"is empty; allowed: a column such as {EXAMPLE!r}", file=name, line=1)
        yield from ((listed, "") for listed in lists)
        for row in rows:
            if row and len(row) != len(lists):
                raise BadInput(
                    f"{len(row)} cells; allowed: {len(lists)}, as in the first line",
                    file=name,
                    line=rows.line_num,
                )
            yield from _entries(zip(lists, row, strict=False), name, rows.line_num)
    except csv.Error as error:
        raise BadInput(f"not CSV: {error}", file=name, line=rows.line_num) from error


def _text(data: bytes, name: str) -> str:
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput("not UTF-8 text", file=name, line=line) from error


def _json(data: bytes, name: str) -> Iterator[tuple[str, str]]:
    """``["…"]``, ``{"interests": ["…"]}`` or ``[{"interest": "…"}]``, with any known column."""
    value = parse(data.removeprefix(codecs.BOM_UTF8), file=name)
    if isinstance(value, dict):
        for column, own in value.items():
            listed = _known(column, name)
            if not isinstance(own, list):
                raise BadInput(f"{column!a} is no list; allowed: a list of texts", file=name)
            yield listed, ""
            yield from _entries(((listed, one) for one in own), name)
    elif isinstance(value, list):
        if not value:
            yield "platform", ""
        for number, one in enumerate(value, start=1):
            cells = one.items() if isinstance(one, dict) else [("interest", one)]
            named = ((_known(str(column), name), cell) for column, cell in cells)
            yield from _entries(named, f"{name}, entry {number}")
    else:
        raise BadInput("allowed: a list of texts, or an object of such lists", file=name)


def _entries(
    cells: Iterable[tuple[str, Any]], name: str, line: int | None = None
) -> Iterator[tuple[str, str]]:
    for listed, cell in cells:
        if not isinstance(cell, str):
            raise BadInput(f"{str(cell)[:40]!a} is no text", file=name, line=line)
        text = " ".join(unicodedata.normalize("NFC", cell).split())
        if len(text) > LONGEST:
            raise BadInput(
                f"an entry of {len(text):,} characters; allowed: at most {LONGEST}",
                file=name,
                line=line,
            )
        yield listed, text
