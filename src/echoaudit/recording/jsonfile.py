"""JSON files of a recording: written canonically and durably, read with limits.

Canonical means sorted keys, no white space, ASCII only, no NaN: equal values give equal bytes.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

from echoaudit.errors import BadInput
from echoaudit.recording import durable

MIB = 1024 * 1024
FILE_LIMIT = 64 * MIB
"""Bytes of a JSON file that :func:`read_json` takes by default."""
LINE_LIMIT = 4 * MIB
"""Bytes of one line that :func:`read_jsonl` takes by default."""
DEPTH_LIMIT = 100
"""Arrays and objects inside each other."""
BRACKET_LIMIT = 4_000_000
"""Brackets in one text: each costs memory far beyond its byte."""

# An unclosed string runs to the end: otherwise each later quote would start another search.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@runtime_checkable
class _Model(Protocol):
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


_PLAIN: dict[type, Callable[[Any], Any]] = {
    _Model: lambda model: model.model_dump(mode="json"),
    Mapping: dict,
    set: sorted,
    frozenset: sorted,
    PurePath: PurePath.as_posix,
    Enum: lambda member: member.value,
    date: date.isoformat,
}


def canonical(value: Any) -> bytes:
    """The one canonical JSON text of a value.

    Takes dataclasses, pydantic models, paths, enumerations, dates, mappings and sets besides
    JSON's own types.

    Raises:
        BadInput: NaN, infinity, nesting deeper than ``DEPTH_LIMIT`` or a type JSON cannot hold.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
        ).encode("ascii")
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"cannot be written as JSON: {_reason(error)}") from error
    _check_depth(text)
    return text


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    for kind, convert in _PLAIN.items():
        if isinstance(value, kind):
            return convert(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def write_json(path: Path, value: Any) -> None:
    """Write a value as canonical JSON, whole or not at all; durable, mode 0600.

    Raises:
        BadInput: the value is not JSON (see :func:`canonical`).
        Unavailable: the disk is full or broken.
    """
    durable.write_file(path, canonical(value) + b"\n")


def write_jsonl(path: Path, values: Iterable[Any]) -> None:
    """Write one canonical JSON value a line; otherwise like :func:`write_json`."""
    durable.write_file(path, b"".join(canonical(value) + b"\n" for value in values))


def read_json(path: Path, limit: int = FILE_LIMIT) -> Any:
    """Read a JSON file that may be hostile.

    Lone surrogates become U+FFFD, so that every string read can be encoded.

    Raises:
        BadInput: missing, not a regular file, larger than ``limit`` bytes, not UTF-8, not JSON,
            not finite, nested deeper than ``DEPTH_LIMIT``.
    """
    return parse(read_bytes(path, limit), file=path)


def read_jsonl(path: Path, limit: int = LINE_LIMIT) -> Iterator[Any]:
    """Read a file of one JSON value a line, one at a time; lines of up to ``limit`` bytes.

    Raises:
        BadInput: as :func:`read_json`, with the line's number.
    """
    with open_regular(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(limit + 1), b""), start=1):
            if len(line) > limit:
                message = f"line is longer than {limit} bytes"
                raise BadInput(message, file=printable(path), line=number)
            if not line.endswith(b"\n"):
                raise BadInput("last line is cut short", file=printable(path), line=number)
            yield parse(line, file=path, line=number)


def read_bytes(path: Path, limit: int = FILE_LIMIT) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes; symbolic links are refused.

    Raises:
        BadInput: missing, unreadable, not a regular file or too large.
    """
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BadInput(f"larger than the {limit} bytes allowed", file=printable(path))
    return data


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; neither follows a link nor waits for a pipe.

    Raises:
        BadInput: missing, unreadable or not a regular file.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer must not wait for one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BadInput("there is no such file", file=printable(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable name"
        raise BadInput(f"cannot be read: {reason}", file=printable(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput("not a regular file", file=printable(path))
    return os.fdopen(descriptor, "rb")


def parse(raw: bytes, *, file: Path | str | None = None, line: int | None = None) -> Any:
    """The value of a JSON text that may be hostile; see :func:`read_json`."""
    try:
        _check_depth(raw)
        text = raw.decode("utf-8")
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except BadInput as error:
        raise BadInput(error.message, file=printable(file), line=line) from error
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {_reason(error)}"
        raise BadInput(message, file=printable(file), line=line) from error
    return _mended(value) if b"\\ud" in raw or b"\\uD" in raw else value


def printable(path: Path | str | None) -> str | None:
    """A path that may hold any bytes, safe to show on a terminal."""
    if path is None:
        return None
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def _check_depth(raw: bytes) -> None:
    brackets = _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS)
    if len(brackets) > BRACKET_LIMIT:
        raise BadInput(f"more than {BRACKET_LIMIT // 2} arrays and objects")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_LIMIT:
            raise BadInput(f"nested deeper than {DEPTH_LIMIT} levels")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return f"nested deeper than {DEPTH_LIMIT} levels"
    return str(error).splitlines()[0][:200]


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value
