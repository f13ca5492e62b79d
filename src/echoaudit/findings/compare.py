"""Where two sets of findings differ, down to the value."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 20
"""Differences named per file; the rest follow from the first ones as a rule."""
LONGEST = 120


@dataclass(frozen=True)
class Difference:
    """A value in the recording's findings that does not follow from its evidence."""

    file: str
    place: str
    """Row and column of a table, or a path into JSON; empty for the whole file."""
    recorded: str
    recomputed: str

    def __str__(self) -> str:
        where = f"{self.file} {self.place}" if self.place else self.file
        return f"{where}: recorded {self.recorded}, recomputed {self.recomputed}"


def differences(recorded: Mapping[str, bytes], recomputed: Mapping[str, bytes]) -> list[Difference]:
    """Compare two findings folders, given as file names and contents."""
    found: list[Difference] = []
    for name in sorted(recorded.keys() | recomputed.keys()):
        if name not in recorded:
            found.append(Difference(name, "", "nothing", "a file"))
        elif name not in recomputed:
            found.append(Difference(name, "", "a file", "nothing"))
        elif recorded[name] != recomputed[name]:
            found.extend(islice(_inside(name, recorded[name], recomputed[name]), MOST))
    return found


def _inside(name: str, old: bytes, new: bytes) -> Iterator[Difference]:
    if name.endswith(".parquet"):
        yield from _tables(name, old, new)
        return
    try:
        before = json.loads(old)
    except ValueError:
        yield Difference(name, "", "no JSON", "JSON")
        return
    values = list(_values("", before, json.loads(new)))
    for place, one, other in values:
        yield Difference(name, place, _show(one), _show(other))
    if not values:
        yield Difference(name, "", "another spelling of the same values", "canonical JSON")


_ABSENT = object()


def _values(place: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{place}.{key}" if place else key
            yield from _values(inner, old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for i, (one, other) in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
            yield from _values(f"{place}[{i}]", one, other)
    elif type(old) is not type(new) or old != new:
        yield place, old, new


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _tables(name: str, old: bytes, new: bytes) -> Iterator[Difference]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        before, written_by = _read(old)
    except (pa.ArrowException, OSError, ValueError):
        yield Difference(name, "", "no readable table", "a table")
        return
    after = pq.read_table(io.BytesIO(new))
    if before.schema != after.schema:
        yield Difference(name, "columns", _columns(before), _columns(after))
        return
    found = False
    for difference in _cells(name, before, after):
        found = True
        yield difference
    if not found and written_by == _read(new)[1]:
        yield Difference(name, "", "other bytes with the same values", "canonical bytes")


def _read(data: bytes) -> tuple[pa.Table, str]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    return file.read(), str(file.metadata.created_by)


def _columns(table: pa.Table) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in table.schema)


def _cells(name: str, old: pa.Table, new: pa.Table) -> Iterator[Difference]:
    if old.num_rows != new.num_rows:
        yield Difference(name, "rows", f"{old.num_rows:,}", f"{new.num_rows:,}")
    for number, (one, other) in enumerate(zip(old.to_pylist(), new.to_pylist(), strict=False), 1):
        for column in one:
            # NaN differs from itself; its text does not.
            if repr(one[column]) != repr(other[column]):
                place = f"row {number} column {column}"
                yield Difference(name, place, _show(one[column]), _show(other[column]))
