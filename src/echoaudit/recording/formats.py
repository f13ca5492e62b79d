"""Whether an evidence file's content is of the format that its name says."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from echoaudit.errors import BadInput
from echoaudit.recording.jsonfile import MIB, open_regular, read_json, read_jsonl

_JSON_LIMIT = 512 * MIB
_BLOCK_LIMIT = 64 * MIB
PROBE_FAILURES = (
    "refused", "timeout", "unreachable", "closed", "no-handshake", "bad-certificate",
    "no-name", "server-failure", "bad-answer", "not-asked",
)  # fmt: skip
"""Why a server that was asked for its name gave none."""
_KEY_LINE = re.compile(rb"(#[^\n]*|[A-Z0-9_]{1,64} [0-9A-Fa-f]{2,128} [0-9A-Fa-f]{2,512})?\r?\n?")


def check(path: Path) -> None:
    """Parse an evidence file, memory flat but for JSON; unknown formats pass.

    Raises:
        BadInput: the content is not what the name says.
    """
    checker = _NAMED.get(path.name) or _CHECKERS.get(path.suffix)
    if checker is not None:
        checker(path)


def _json(path: Path) -> None:
    read_json(path, _JSON_LIMIT)


def _jsonl(path: Path) -> None:
    for _ in read_jsonl(path):
        pass


def _exchanges(path: Path) -> None:
    """Lines of ``proxy.jsonl``: what a client sent and was told, with bodies in base64."""
    for number, line in enumerate(read_jsonl(path), start=1):
        if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
            raise BadInput("not an exchange: no kind", file=path, line=number)
        messages = line.get("messages", [])
        if not isinstance(messages, list):
            raise BadInput("messages of an exchange are no list", file=path, line=number)
        for part in (line, *messages):
            if not isinstance(part, dict) or not all(
                _is_base64(part.get(name)) for name in ("body", "answer")
            ):
                raise BadInput("a body that is not base64", file=path, line=number)


def _is_base64(body: Any) -> bool:
    if body is None:
        return True
    try:
        b64decode(body, validate=True)
    except (TypeError, ValueError):
        return False
    return True


def _probes(path: Path) -> None:
    """Lines of ``probes.jsonl``: questions to servers, with names or a known reason for none."""
    for number, line in enumerate(read_jsonl(path), start=1):
        if not isinstance(line, dict) or line.get("question") not in ("certificate", "ptr"):
            raise BadInput("not a probe: no question", file=path, line=number)
        names = line.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput("names of a probe are no list of texts", file=path, line=number)
        if line.get("failure") not in (None, *PROBE_FAILURES):
            raise BadInput("a probe with an unknown failure", file=path, line=number)


def _har(path: Path) -> None:
    archive = read_json(path, _JSON_LIMIT)
    log = archive.get("log") if isinstance(archive, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list) or not all(_is_exchange(entry) for entry in entries):
        raise BadInput("not a HAR: no log.entries of requests and responses", file=path)


def _is_exchange(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(part), dict) for part in ("request", "response")
    )


def _pcapng(path: Path) -> None:
    """Block structure of pcapng (draft-ietf-opsawg-pcapng, section 3)."""
    with open_regular(path) as file:
        order = ""
        while head := file.read(8):
            if head[:4] == b"\x0a\x0d\x0d\x0a":
                order = _byte_order(file, path)
            if not order or len(head) < 8:
                raise BadInput("not pcapng, or its last block is cut", file=path)
            (length,) = struct.unpack(order + "I", head[4:])
            if length < 12 or length % 4 or length > _BLOCK_LIMIT:
                raise BadInput(f"pcapng block of {length} bytes", file=path)
            body = file.read(length - 8)
            if len(body) < length - 8 or body[-4:] != head[4:]:
                raise BadInput("a pcapng block is cut or its two lengths differ", file=path)
        if not order:
            raise BadInput("pcapng without a section", file=path)


def _byte_order(file: IO[bytes], path: Path) -> str:
    magic = file.read(4)
    file.seek(-len(magic), 1)
    orders = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
    if magic not in orders:
        raise BadInput("pcapng section without a byte order", file=path)
    return orders[magic]


def _flac(path: Path) -> None:
    """Metadata blocks of FLAC and the first frame's sync code (RFC 9639, sections 8 and 9)."""
    with open_regular(path) as file:
        if file.read(4) != b"fLaC":
            raise BadInput("not FLAC", file=path)
        expected, last = 0, False
        while not last:
            head = file.read(4)
            last, kind = bool(head[:1] > b"\x7f"), head[0] & 0x7F if head else 127
            length = int.from_bytes(head[1:], "big")
            body = file.read(length)
            if len(head) < 4 or len(body) < length or kind == 127:
                raise BadInput("a FLAC metadata block is cut", file=path)
            if expected == 0 and (kind, length) != (0, 34):
                raise BadInput("FLAC without stream information", file=path)
            if expected == 0:
                samples = int.from_bytes(body[13:18], "big") & 0xFFFFFFFFF
            expected += 1
        sync = file.read(2)
        if sync not in {b"\xff\xf8", b"\xff\xf9"} and (sync or samples):
            raise BadInput("FLAC without audio frames", file=path)


def _png(path: Path) -> None:
    """Chunks of PNG with their CRCs (RFC 2083, section 3)."""
    with open_regular(path) as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            raise BadInput("not PNG", file=path)
        kind = b""
        while kind != b"IEND":
            head = file.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if len(head) < 8 or length > _BLOCK_LIMIT:
                raise BadInput("a PNG chunk is cut", file=path)
            body, crc = file.read(length), file.read(4)
            if int.from_bytes(crc, "big") != zlib.crc32(kind + body) or len(crc) < 4:
                raise BadInput("a PNG chunk is cut or its CRC differs", file=path)
        if file.read(1):
            raise BadInput("bytes after the end of the PNG", file=path)


def _mitm(path: Path) -> None:
    """Top level of mitmproxy's flow format: netstrings ``LENGTH:PAYLOAD}``."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        position = 0
        while position < size:
            file.seek(position)
            digits, colon, _ = file.read(13).partition(b":")
            if not colon or not digits.isdigit():
                raise BadInput(f"no flow at byte {position}", file=path)
            position += len(digits) + 1 + int(digits)
            file.seek(position)
            if file.read(1) != b"}":
                raise BadInput("a flow is cut", file=path)
            position += 1


def _key_log(path: Path) -> None:
    """Lines of the NSS key log format: ``LABEL CLIENT_RANDOM SECRET``."""
    with open_regular(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(1024), b""), start=1):
            if not _KEY_LINE.fullmatch(line):
                raise BadInput("not a line of a TLS key log", file=path, line=number)


_CHECKERS: dict[str, Callable[[Path], None]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".har": _har,
    ".pcapng": _pcapng,
    ".flac": _flac,
    ".png": _png,
    ".mitm": _mitm,
}

_NAMED: dict[str, Callable[[Path], None]] = {
    "keys.log": _key_log,
    "proxy.jsonl": _exchanges,
    "probes.jsonl": _probes,
}
"""Files whose format their ending does not tell."""
