"""Lists and pages of a store, record by record; everything in them is hostile input."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from echoaudit.errors import BadInput
from echoaudit.skills.listing import Listing, Rejected, listing_of
from echoaudit.skills.pages import record_of

Read = tuple[str, Listing | Rejected]
"""Where a record was found, and what it says."""

LONGEST_LINE = 1024 * 1024
"""Bytes of one record."""
LARGEST_PAGE = 4 * 1024 * 1024
"""Bytes of one saved page."""
PAGES = (".html", ".htm")
_LISTS = ("exampleInteractions", "examples", "permissions")


def read(path: Path) -> Iterator[Read]:
    """The records of a list (``.jsonl``, ``.csv``), of a saved page, or of a folder of pages.

    Raises:
        BadInput: no such file, none of these formats, or a folder without pages.
    """
    if path.is_dir():
        pages = sorted(file for file in path.iterdir() if file.suffix.lower() in PAGES)
        if not pages:
            raise BadInput("no saved page in this folder; allowed: *.html", file=path)
        for page in pages:
            yield from _page(page)
        return
    formats = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv, **_pages()}
    reader = formats.get(path.suffix.lower())
    if reader is None:
        allowed = "a list (.jsonl, .csv), a saved page (.html) or a folder of pages"
        raise BadInput(f"unknown kind of file; allowed: {allowed}", file=path)
    yield from reader(path)


def _pages() -> dict[str, Any]:
    return dict.fromkeys(PAGES, _page)


def _json_lines(path: Path) -> Iterator[Read]:
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            where = f"{path.name}:{number}"
            if line is None:
                yield where, Rejected(where, None, f"a line of more than {LONGEST_LINE} bytes")
            elif line.strip():
                yield where, _json(line, where)


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """Each line; nothing for one that is too long, which is passed over in pieces."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) <= LONGEST_LINE:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
        yield None


def _json(line: bytes, where: str) -> Listing | Rejected:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return Rejected(where, None, "not JSON")
    return listing_of(record, where)


def _csv(path: Path) -> Iterator[Read]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        if not {"asin", "id"} & set(rows.fieldnames or ()):
            allowed = (
                "asin, name, launchPhrase, exampleInteractions, vendorName, privacyPolicyUrl, "
                "permissions, shortDescription"
            )
            raise BadInput(f"no column asin in its first line; allowed: {allowed}", file=path)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as problem:
                where = f"{path.name}:{rows.line_num}"
                yield where, Rejected(where, None, f"not CSV: {problem}")
                continue
            if row is None:
                return
            where = f"{path.name}:{rows.line_num}"
            yield where, _row(row, where)


def _row(row: dict[str | None, Any], where: str) -> Listing | Rejected:
    if None in row:
        return Rejected(where, row.get("asin") or row.get("id"), "more cells than columns")
    cells = {key: value for key, value in row.items() if value}
    if any("\N{REPLACEMENT CHARACTER}" in value for value in cells.values()):
        return Rejected(where, cells.get("asin") or cells.get("id"), "not UTF-8")
    return listing_of({k: _several(v) if k in _LISTS else v for k, v in cells.items()}, where)


def _several(cell: str) -> object:
    """A cell that holds several values: a JSON list, or one a line or between bars."""
    if cell.lstrip().startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return [part for part in cell.replace("|", "\n").splitlines() if part.strip()]


def _page(path: Path) -> Iterator[Read]:
    with path.open("rb") as file:
        data = file.read(LARGEST_PAGE + 1)
    if len(data) > LARGEST_PAGE:
        yield path.name, Rejected(path.name, None, f"a page of more than {LARGEST_PAGE} bytes")
    else:
        yield path.name, listing_of(record_of(data), path.name)
