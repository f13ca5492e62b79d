"""The names in the open part of TLS: ClientHello and ServerHello (RFC 8446, RFC 6066, JA4).

JA4 follows FoxIO's technical specification, https://github.com/FoxIO-LLC/ja4.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from struct import Struct, unpack_from
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
_short = Struct("!H").unpack_from
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


def hello(stream: bytes, transport: str = "t") -> ClientHello | ServerHello | None:
    """The hello at the beginning of a TLS byte stream, over as many records as it takes.

    ``None`` asks for more bytes; ``NotTls`` says that more would not help.
    """
    message = _handshake(stream)
    if message is None:
        return None
    return parse_hello(message, transport)


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
    if len(stream) >= 9 and stream[:2] == b"\x16\x03" and 1 <= stream[5] <= 2:
        # Nearly always one record holds it.
        whole = 4 + (stream[6] << 16 | stream[7] << 8 | stream[8])
        if whole <= (stream[3] << 8 | stream[4]) <= _LARGEST_RECORD and len(stream) >= 5 + whole:
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
    size = _short(message, at)[0]
    ciphers = _numbers(message[at + 2 : at + 2 + size])
    at += 2 + size
    codes, body = _extensions(message, at + 1 + message[at])
    alpn = _protocols(body.get(_ALPN, b""))
    offered = _numbers(body.get(_VERSIONS, b"\0")[1:]) or _short(message, 4)
    signatures = _numbers(body.get(_SIGNATURES, b"")[2:])
    return ClientHello(
        _server_name(body.get(_SNI, b"")),
        alpn,
        _ja4(_Offer(transport, offered, ciphers, tuple(codes), signatures, alpn[:1])),
        _ECH in body,
    )


def _server(message: bytes) -> ServerHello:
    _, body = _extensions(message, 39 + message[38] + 3)
    version = (_numbers(body.get(_VERSIONS, b"")) or _short(message, 4))[0]
    alpn = _protocols(body.get(_ALPN, b""))
    return ServerHello(_VERSION.get(version, f"0x{version:04x}"), alpn[0] if alpn else "")


def _extensions(message: bytes, at: int) -> tuple[list[int], dict[int, bytes]]:
    """Codes of all extensions, bodies of those of use; ``at`` is where their length stands."""
    codes: list[int] = []
    body: dict[int, bytes] = {}
    if at == len(message):
        return codes, body
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
    return codes, body


@lru_cache(maxsize=1024)
def _numbers(data: bytes) -> tuple[int, ...]:
    return unpack_from(f"!{len(data) // 2}H", data)


def _server_name(data: bytes) -> str:
    if len(data) < 5 or data[2] != 0:
        return ""
    return host(_sized(data, 3, 2)[0])


def _sized(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """A field behind its length of ``width`` bytes, and where it ends."""
    begin = at + width
    end = begin + int.from_bytes(data[at:begin], "big")
    if end > len(data):
        raise ValueError("field cut")
    return data[begin:end], end


def host(raw: bytes) -> str:
    """A host name in lower case without its final dot; empty when the bytes are no host name."""
    text = raw.decode("ascii", "replace").lower()
    return text.rstrip(".") if _HOST.fullmatch(text) else ""


@lru_cache(maxsize=1024)
def _protocols(data: bytes) -> tuple[str, ...]:
    at, found = 2, []
    while at < len(data):
        raw, at = _sized(data, at, 1)
        found.append(raw.decode("ascii") if raw.isascii() and raw.isalnum() else _printed(raw))
    return tuple(found)


def _printed(raw: bytes) -> str:
    return "".join(chr(byte) if 33 <= byte < 127 else f"\\x{byte:02x}" for byte in raw)


def _without_grease(codes: tuple[int, ...]) -> list[int]:
    """Without the reserved values that clients mix in at random (RFC 8701)."""
    return [code for code in codes if code & 0x0F0F != 0x0A0A or code >> 8 != code & 0xFF]


class _Offer(NamedTuple):
    """What JA4 is made of."""

    transport: str
    versions: tuple[int, ...]
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    signatures: tuple[int, ...]
    alpn: tuple[str, ...]


@lru_cache(maxsize=1024)
def _ja4(offer: _Offer) -> str:
    ciphers = _without_grease(offer.ciphers)
    extensions = _without_grease(offer.extensions)
    signatures = _without_grease(offer.signatures)
    version = max(_without_grease(offer.versions), default=0)
    start = "".join(
        (
            offer.transport,
            _JA4_VERSION.get(version, "00"),
            "d" if _SNI in extensions else "i",
            f"{min(len(ciphers), 99):02d}{min(len(extensions), 99):02d}",
            _ja4_alpn(offer.alpn[0] if offer.alpn else ""),
        )
    )
    kept = _hex(sorted(code for code in extensions if code not in (_SNI, _ALPN)))
    if kept and signatures:
        kept += "_" + _hex(signatures)
    return f"{start}_{_hash12(_hex(sorted(ciphers)))}_{_hash12(kept)}"


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
