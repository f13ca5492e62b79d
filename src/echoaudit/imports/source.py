"""A file of somebody else's: what is noted of it, and a copy that cannot change while read."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from echoaudit.errors import BadInput

MAGIC = {
    b"\x0a\x0d\x0d\x0a": "pcapng",
    b"\xa1\xb2\xc3\xd4": "pcap",
    b"\xd4\xc3\xb2\xa1": "pcap",
    b"\xa1\xb2\x3c\x4d": "pcap",
    b"\x4d\x3c\xb2\xa1": "pcap",
    b"\xa1\xb2\xcd\x34": "pcap",
    b"\x34\xcd\xb2\xa1": "pcap",
    b"SQLi": "sqlite",
}
PACKED = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
_UNPRINTABLE = re.compile(r"[^ -~]+")


@dataclass(frozen=True)
class Source:
    """Where evidence came from and what could not be used of it."""

    name: str
    """The file's name without its folder, or an address without user and query."""
    format: str
    sha256: str
    """Of the file as it was given; of what was answered when it was no file."""
    bytes: int
    records: int
    """Packets, questions, exchanges or requests that were read."""
    problems: tuple[str, ...] = ()

    def to_json(self) -> Mapping[str, Any]:
        """As ``source.json`` has it."""
        return {
            "name": self.name,
            "format": self.format,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "records": self.records,
            "problems": list(self.problems),
        }


def shown(text: str, limit: int = 120) -> str:
    """Text of somebody else's, safe in a message."""
    return _UNPRINTABLE.sub("?", text)[:limit]


STDIN = Path("-")
"""What stands for standard input among files."""


def copy(path: Path, target: Path) -> tuple[str, int]:
    """Copy a file, a pipe or standard input (``-``) byte by byte; its SHA-256 and length.

    Raises:
        BadInput: missing, unreadable, neither a regular file nor a pipe.
    """
    if path == STDIN:
        return _copy(sys.stdin.buffer, target)
    if not path.exists():
        raise BadInput("there is no such file", file=shown(str(path)))
    if not path.is_file() and not path.is_fifo():
        raise BadInput("not a regular file", file=shown(str(path)))
    try:
        with path.open("rb") as source:
            return _copy(source, target)
    except PermissionError as error:
        raise BadInput("may not be read", file=shown(str(path))) from error


def _copy(source: BinaryIO, target: Path) -> tuple[str, int]:
    with target.open("xb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    with target.open("rb") as whole:
        return hashlib.file_digest(whole, "sha256").hexdigest(), target.stat().st_size


def magic(path: Path) -> str:
    """What a file's first bytes say it is: pcap, pcapng, sqlite, gz, zst or nothing."""
    with path.open("rb") as file:
        head = file.read(4)
    return MAGIC.get(head) or PACKED.get(head) or PACKED.get(head[:2], "")
