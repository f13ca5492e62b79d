"""Findings on disk: Parquet tables and canonical JSON, the same bytes for the same values."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.recording import canonical
from echoaudit.recording.durable import unwritable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

READABLE = 0o644
"""Findings and reports hold no secrets; the folder around them decides who sees them."""


def arrow(table: pd.DataFrame) -> pa.Table:
    """A table as it is stored: missing values are nulls.

    Without metadata, which would name the versions of pandas and Arrow and so differ by machine.
    """
    import pyarrow as pa

    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)


def digest(table: pa.Table) -> str:
    """SHA-256 of a table's column names and rows as JSON lines.

    Of the values, not of the file: another version of the Parquet library writes other bytes.
    """
    total = hashlib.sha256()
    for row in _rows(table):
        total.update(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return total.hexdigest()


def _rows(table: pa.Table) -> Iterator[list[Any]]:
    yield list(table.column_names)
    yield from map(list, zip(*(column.to_pylist() for column in table.columns), strict=True))


def write_folder(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    documents: Mapping[str, Any],
    files: Mapping[str, bytes],
    staging: Path | None = None,
) -> Path:
    """Replace a folder by one with these tables, JSON documents and other files.

    The new folder is complete before the old one goes. It is made in ``staging``, by default
    beside the recording, as nothing but findings may appear inside one.
    """
    home = folder.parent
    with _writing(folder):
        place = staging or home.parent
        new = Path(tempfile.mkdtemp(prefix=f".{home.name}.findings-", dir=place))
        try:
            for name, table in sorted(tables.items()):
                _write_table(new / f"{name}.parquet", table)
            for name, value in documents.items():
                _write_bytes(new / name, canonical(value) + b"\n")
            for name, data in files.items():
                _write_bytes(new / name, data)
            _swap(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into one clear line about ``path``."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` where ``folder`` is, and remove what was there."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(new.name + ".old")
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    import pyarrow.parquet as pq

    pq.write_table(arrow(table), path, compression="zstd", store_schema=False)
    path.chmod(READABLE)


def write_text(path: Path, text: str) -> None:
    """Write a text file as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, making its folder.

    A device or a pipe, such as ``/dev/null``, is written to: a new file must not take its place.
    """
    with _writing(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_bytes(path, data)


def _write_bytes(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(READABLE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of a findings folder; empty when there is none. Links are not followed."""
    if not folder.is_dir() or folder.is_symlink():
        return {}
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.is_symlink()
    }
