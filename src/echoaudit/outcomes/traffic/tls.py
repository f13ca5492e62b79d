"""The names in the open part of TLS: ClientHello and ServerHello (RFC 8446, RFC 6066, JA4).

JA4 follows FoxIO's technical specification, https://github.com/FoxIO-LLC/ja4.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from struct import Struct, pack, unpack_from
from struct import error as StructError
from typing import NamedTuple

LARGEST_HELLO = 1 << 16
"""Bytes; a longer hello is not waited for."""
LARGEST_CERTIFICATE = 1 << 16
MOST_RECORDS = 1024
_LARGEST_RECORD = 16384 + 256
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
SHOWS_CERTIFICATE = frozenset({"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2"})
"""Versions whose servers send their certificate in the clear, next after their hello."""
_SNI, _ALPN, _SIGNATURES, _VERSIONS, _ECH = 0, 16, 13, 43, 0xFE0D
_LONGEST_KEPT = 1 << 12
"""Bytes of a hello whose offer is remembered."""
_USED = frozenset({_SNI, _ALPN, _SIGNATURES, _VERSIONS, _ECH})
_VERSION = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}
_JA4_VERSION = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3"}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?")
_PRINTABLE = re.compile(rb"[!-~]*")
_short = Struct("!H").unpack_from
_start = Struct("!HxHBBH").unpack_from
"""Type and first byte of version, length; type and length of the message."""
_pair = Struct("!HH").unpack_from


class NotTls(ValueError):
    """Bytes that do not begin with a TLS hello."""


class ClientHello(NamedTuple):
    """What a client says openly; ``sni`` is empty when it names no host."""

    sni: str
    alpn: tuple[str, ...]
    ja4: str
    ech: bool
    """Encrypted ClientHello (or its GREASE) is offered: the name may be a cover."""


class ServerHello(NamedTuple):
    """What a server says openly; ALPN only before TLS 1.3."""

    version: str
    alpn: str


def hello(stream: bytes) -> ClientHello | ServerHello | None:
    """The hello at the beginning of a TLS byte stream, over as many records as it takes.

    ``None`` asks for more bytes; ``NotTls`` says that more would not help.
    """
    message = _handshake(stream)
    return None if message is None else parse_hello(message, "t")


def certificate(stream: bytes) -> bytes | None:
    """The server's own certificate (DER) in a stream that begins with its hello.

    ``None`` asks for more bytes; ``NotTls`` says that none follows.
    """
    at, said = 0, bytearray()
    for _ in range(MOST_RECORDS):
        head = stream[at : at + 5]
        if not b"\x16\x03".startswith(head[:2]):
            raise NotTls("no certificate follows")
        length = _short(head, 3)[0] if len(head) == 5 else 0
        said += stream[at + 5 : at + 5 + length]
        found = _first_certificate(said)
        if found is not None:
            return found
        at += 5 + length
        if len(stream) < at:
            return None
    raise NotTls("hello over too many records")


def _first_certificate(said: bytearray) -> bytes | None:
    """The first certificate in the handshake message after the hello (RFC 5246, section 7.4.2)."""
    if len(said) < 4:
        return None
    begin = _length(said)
    if len(said) > begin and said[begin] != _CERTIFICATE:
        raise NotTls("no certificate follows")
    # Message type, and the lengths of the message, of all certificates and of the first.
    body = begin + 10
    size = int.from_bytes(said[body - 3 : body], "big")
    if len(said) < body:
        return None
    if not 0 < size <= LARGEST_CERTIFICATE:
        raise NotTls("certificate of impossible length")
    return bytes(said[body : body + size]) if len(said) >= body + size else None


def parse_hello(message: bytes, transport: str) -> ClientHello | ServerHello:
    """A whole handshake message, as TLS ("t") or QUIC ("q") carries it."""
    try:
        if message[0] == _CLIENT_HELLO:
            return _client(message, transport)
        return _server(message)
    except (IndexError, ValueError, ArithmeticError, StructError) as error:
        raise NotTls("malformed hello") from error


def _handshake(stream: bytes) -> bytes | None:
    """The first handshake message, put together from its records."""
    if len(stream) >= 9:
        # Nearly always one record holds it.
        kind, length, message_kind, high, low = _start(stream)
        whole = 4 + (high << 16 | low)
        fits = whole <= length <= _LARGEST_RECORD and 5 + whole <= len(stream)
        if fits and kind == 0x1603 and 1 <= message_kind <= 2:
            return stream[5 : 5 + whole]
    at, message = 0, b""
    for _ in range(MOST_RECORDS):
        head = stream[at : at + 5]
        if not b"\x16\x03".startswith(head[:2]):
            raise NotTls("no TLS handshake record")
        if len(head) < 5:
            return None
        length = _short(head, 3)[0]
        if not 0 < length <= _LARGEST_RECORD:
            raise NotTls("record of impossible length")
        message += stream[at + 5 : at + 5 + length]
        _check_start(message)
        if len(message) >= 4 and len(message) >= (whole := _length(message)):
            return message[:whole]
        if len(stream) < at + 5 + length:
            return None
        at += 5 + length
    raise NotTls("hello over too many records")


def _check_start(message: bytes) -> None:
    if message and message[0] not in (_CLIENT_HELLO, _SERVER_HELLO):
        raise NotTls("no hello")
    if len(message) >= 4 and _length(message) > LARGEST_HELLO:
        raise NotTls("hello of impossible length")


def _length(message: bytes | bytearray) -> int:
    return 4 + int.from_bytes(message[1:4], "big")


def _client(message: bytes, transport: str) -> ClientHello:
    at = 39 + message[38]
    behind = at + 2 + (message[at] << 8 | message[at + 1])
    codes, body = _extensions(message, behind + 1 + message[behind])
    kept = body.get
    offer = _Offer(
        transport,
        message[4:6],
        message[at + 2 : behind],
        codes,
        kept(_VERSIONS, b""),
        kept(_SIGNATURES, b""),
        kept(_ALPN, b""),
    )
    alpn, ja4 = (_open_part if len(message) < _LONGEST_KEPT else _open_part.__wrapped__)(offer)
    return ClientHello(_server_name(kept(_SNI, b"")), alpn, ja4, _ECH in body)


def _server(message: bytes) -> ServerHello:
    _, body = _extensions(message, 39 + message[38] + 3)
    chosen = body.get(_VERSIONS, b"")
    version = _short(chosen if len(chosen) > 1 else message[4:6])[0]
    alpn = _protocols(body.get(_ALPN, b""))
    return ServerHello(_VERSION.get(version) or f"0x{version:04x}", alpn[0] if alpn else "")


def _extensions(message: bytes, at: int) -> tuple[bytes, dict[int, bytes]]:
    """Codes of all extensions, two bytes each, and bodies of those of use by their code.

    ``at`` is where their length stands. Raises ``ValueError`` or ``struct.error`` when they are
    cut.
    """
    body: dict[int, bytes] = {}
    if at == len(message):
        return b"", body
    codes = []
    end = at + 2 + _short(message, at)[0]
    at += 2
    while at < end:
        code, length = _pair(message, at)
        codes.append(code)
        if code in _USED:
            body[code] = message[at + 4 : at + 4 + length]
        at += 4 + length
    if not at == end <= len(message):
        raise ValueError("extensions cut")
    return pack(f"!{len(codes)}H", *codes), body


def _numbers(data: bytes) -> list[int]:
    """Numbers of two bytes, without the reserved ones that clients mix in at random (RFC 8701)."""
    codes = unpack_from(f"!{len(data) // 2}H", data)
    return [code for code in codes if code & 0x0F0F != 0x0A0A or code >> 8 != code & 0xFF]


def _server_name(data: bytes) -> str:
    if len(data) < 5 or data[2] != 0:
        return ""
    raw, _ = _sized(data, 3, 2)
    return host(raw)


def _sized(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """A field behind its length of ``width`` bytes, and where it ends."""
    begin = at + width
    end = begin + int.from_bytes(data[at:begin], "big")
    if end > len(data):
        raise ValueError("field cut")
    return data[begin:end], end


def host(raw: bytes) -> str:
    """A host name in lower case without its final dot; empty when the bytes are no host name."""
    return _host(raw) if len(raw) < 256 else ""


@lru_cache(maxsize=4096)
def _host(raw: bytes) -> str:
    text = raw.decode("ascii", "replace").lower()
    return text.rstrip(".") if _HOST.fullmatch(text) else ""


def _protocols(data: bytes) -> tuple[str, ...]:
    at, found = 2, []
    while at < len(data):
        raw, at = _sized(data, at, 1)
        found.append(_printed(raw))
    return tuple(found)


def _printed(raw: bytes) -> str:
    if _PRINTABLE.fullmatch(raw):
        return raw.decode("ascii")
    return "".join(chr(byte) if 33 <= byte < 127 else f"\\x{byte:02x}" for byte in raw)


class _Offer(NamedTuple):
    """What a client offers, as it stands in its hello."""

    transport: str
    version: bytes
    ciphers: bytes
    extensions: bytes
    versions: bytes
    signatures: bytes
    protocols: bytes


@lru_cache(maxsize=1024)
def _open_part(offer: _Offer) -> tuple[tuple[str, ...], str]:
    """ALPN and JA4 of an offer: clients make few different ones."""
    alpn = _protocols(offer.protocols)
    ciphers = _numbers(offer.ciphers)
    extensions = _numbers(offer.extensions)
    signatures = _numbers(offer.signatures[2:])
    versions = _numbers(offer.versions[1:] if len(offer.versions) > 2 else offer.version)
    start = "".join(
        (
            offer.transport,
            _JA4_VERSION.get(max(versions, default=0), "00"),
            "d" if _SNI in extensions else "i",
            f"{min(len(ciphers), 99):02d}{min(len(extensions), 99):02d}",
            _ja4_alpn(alpn[0] if alpn else ""),
        )
    )
    kept = _hex(sorted(code for code in extensions if code not in (_SNI, _ALPN)))
    if kept and signatures:
        kept += "_" + _hex(signatures)
    return alpn, f"{start}_{_hash12(_hex(sorted(ciphers)))}_{_hash12(kept)}"


def _ja4_alpn(first: str) -> str:
    if not first:
        return "00"
    ends = first[0] + first[-1]
    if ends.isascii() and ends.isalnum():
        return ends
    raw = first.encode().hex()
    return raw[0] + raw[-1]


def _hex(codes: list[int]) -> str:
    return ",".join(f"{code:04x}" for code in codes)


def _hash12(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
