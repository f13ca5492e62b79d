"""Files whose writer was killed: cut after their last whole record."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO

_SECTION = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


def cut_torn(path: Path) -> None:
    """Cut a file behind its last whole record; without any it is removed.

    Known are pcapng (blocks), proxy.mitm (tnetstrings) and files of lines; others stay as they are.
    """
    length = _LENGTHS.get(path.suffix)
    if length is None:
        return
    with path.open("rb") as file:
        whole = length(file)
    if whole:
        os.truncate(path, whole)
    else:
        path.unlink()


def _blocks(file: IO[bytes]) -> int:
    """Bytes of whole pcapng blocks (draft-ietf-opsawg-pcapng, section 3.1)."""
    size, end, order = os.fstat(file.fileno()).st_size, 0, ""
    while len(head := file.read(12)) == 12:
        if head[:4] == _SECTION:
            order = _ORDERS.get(head[8:], "")
        if not order:
            break
        (length,) = struct.unpack(order + "I", head[4:8])
        if length < 12 or end + length > size:
            break
        end += length
        file.seek(end)
    return end


def _tnetstrings(file: IO[bytes]) -> int:
    """Bytes of whole ``LENGTH:payload`` and one byte for the type, as mitmproxy writes flows."""
    size, end = os.fstat(file.fileno()).st_size, 0
    while True:
        digits, colon, _ = file.read(12).partition(b":")
        if not colon or not digits.isdigit():
            return end
        following = end + len(digits) + 1 + int(digits) + 1
        if following > size:
            return end
        end = following
        file.seek(end)


def _lines(file: IO[bytes]) -> int:
    end = 0
    for line in file:
        end += len(line) if line.endswith(b"\n") else 0
    return end


_LENGTHS: dict[str, Callable[[IO[bytes]], int]] = {
    ".pcapng": _blocks,
    ".mitm": _tnetstrings,
    ".jsonl": _lines,
    ".log": _lines,
}
