"""Writing a visit's files; it is the step's end that makes them durable, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.recording import canonical


def put(path: Path, data: bytes) -> None:
    """Write a file and its folder; ``Unavailable`` when the disk is full or broken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error


def put_json(path: Path, value: Any) -> None:
    """Write a value as canonical JSON, like :func:`put`."""
    put(path, canonical(value) + b"\n")
