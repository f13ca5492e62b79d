"""The ClientHello in QUIC Initial packets, whose keys anyone can derive (RFC 9001, RFC 9369)."""

from __future__ import annotations

from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

_V1_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_V2_SALT = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_VERSIONS = {
    0x00000001: (_V1_SALT, "quic", 0, "QUIC 1"),
    0x6B3343CF: (_V2_SALT, "quicv2", 1, "QUIC 2"),
}
"""Version to salt, label prefix, type bits of an Initial packet, and the version's name."""


def _label(name: str, length: int) -> bytes:
    """What HKDF-Expand-Label expands for at most one block of SHA-256 (RFC 8446, section 7.1)."""
    label = b"tls13 " + name.encode()
    return length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0\1"


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_CLIENT_IN = _label("client in", 32)
_LABELS = {
    version: (_label(f"{label} key", 16), _label(f"{label} iv", 12), _label(f"{label} hp", 16))
    for version, (_, label, _, _) in _VERSIONS.items()
}
LARGEST_CRYPTO = 1 << 16
SMALLEST_BEGINNING = 1200
"""Bytes of a datagram with an Initial packet."""


class NotInitial(ValueError):
    """A datagram that carries no Initial packet of a known version."""


class UnknownVersion(NotInitial):
    """A long header of a version whose keys are not known."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"version 0x{version:08x}")


class Keys(NamedTuple):
    """What protects a client's Initial packets."""

    key: bytes
    iv: bytes
    hp: bytes


class Header(NamedTuple):
    """The open part of an Initial packet."""

    version: int
    destination: bytes
    token: int
    """Bytes of the token that a server gave before."""
    number_at: int
    end: int


def is_long_header(data: bytes) -> bool:
    """Whether a datagram starts like a QUIC long header."""
    return len(data) >= 7 and data[0] & 0xC0 == 0xC0


def begins_another(data: bytes, keys: Keys, answered: int) -> bool:
    """Whether a client's datagram begins another connection than that of ``keys``.

    Its own connection id must key it, which holds of first packets only: those after a Retry, too,
    which carry a token; but then the server has ``answered`` with fewer bytes than the beginning
    of a handshake has, whose datagrams are filled up (RFC 9000, section 14.1).
    """
    try:
        initial = header(data)
        own = client_keys(initial.version, initial.destination)
        if own == keys or not crypto(data, 0, initial, own):
            return False
    except NotInitial:
        return False
    return not initial.token or answered >= SMALLEST_BEGINNING


def version_name(version: int) -> str:
    """A version for people."""
    known = _VERSIONS.get(version)
    return known[3] if known else f"QUIC 0x{version:08x}"


def header(data: bytes, at: int = 0) -> Header:
    """The Initial packet that starts at ``at``; raises ``NotInitial``."""
    if len(data) < at + 7 or data[at] & 0xC0 != 0xC0:
        raise NotInitial("no long header")
    version = int.from_bytes(data[at + 1 : at + 5], "big")
    if version not in _VERSIONS:
        raise UnknownVersion(version)
    kind = _VERSIONS[version][2]
    if data[at] >> 4 & 3 != kind:
        raise NotInitial("another packet type")
    destination, after = _sized(data, at + 5)
    _, after = _sized(data, after)
    token, after = _varint(data, after)
    length, number_at = _varint(data, after + token)
    if number_at + length > len(data) or length < 20:
        raise NotInitial("cut")
    return Header(version, destination, token, number_at, number_at + length)


@lru_cache(maxsize=256)
def client_keys(version: int, destination: bytes) -> Keys:
    """The keys of a client's Initial packets, from the first destination connection id."""
    (initial,) = _hmac(_VERSIONS[version][0], destination)
    (secret,) = _hmac(initial, _CLIENT_IN)
    key, iv, hp = _hmac(secret, *_LABELS[version])
    return Keys(key[:16], iv[:12], hp[:16])


def _hmac(key: bytes, *messages: bytes) -> list[bytes]:
    """HMACs of SHA-256 (RFC 2104), key within a block; ``hmac.digest`` takes thrice as long."""
    block = key.ljust(64, b"\0")
    inner, outer = block.translate(_INNER), block.translate(_OUTER)
    return [sha256(outer + sha256(inner + one).digest()).digest() for one in messages]


@cache
def _ciphers() -> Any:
    """AES as ``cryptography`` has it, which takes long to load: block by block, and GCM."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    aes, ecb = algorithms.AES, modes.ECB()
    return (lambda key: Cipher(aes(key), ecb).encryptor().update), AESGCM, InvalidTag


def crypto(data: bytes, at: int, found: Header, keys: Keys) -> list[tuple[int, bytes]]:
    """The CRYPTO frames (offset, bytes) of an Initial packet; ``NotInitial`` if keys don't fit."""
    block, gcm, invalid = _ciphers()
    _, _, _, number_at, end = found
    # RFC 9001, section 5.4: the sample starts four bytes after the packet number does.
    mask = block(keys.hp)(data[number_at + 4 : number_at + 20])
    first = data[at] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    number = int.from_bytes(data[number_at : number_at + size], "big")
    number ^= int.from_bytes(mask[1 : 1 + size], "big")
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    head = bytes((first,)) + data[at + 1 : number_at] + number.to_bytes(size, "big")
    try:
        plain = gcm(keys.key).decrypt(nonce, data[number_at + size : end], head)
    except invalid as error:
        raise NotInitial("the keys do not fit") from error
    return _frames(plain)


def _frames(plain: bytes) -> list[tuple[int, bytes]]:
    """CRYPTO frames among the frames an Initial packet may hold (RFC 9000, section 12.4)."""
    found = []
    at = _after_padding(plain, 0)
    while at < len(plain):
        kind, at = plain[at], at + 1
        if kind == 0x06:
            offset, at = _varint(plain, at)
            length, at = _varint(plain, at)
            found.append((offset, plain[at : at + length]))
            at += length
        elif kind in (0x02, 0x03):
            at = _after_ack(plain, at, kind)
        else:
            break
        at = _after_padding(plain, at)
    return found


def _after_padding(plain: bytes, at: int) -> int:
    """Where the next frame begins that is neither padding nor a ping."""
    return len(plain) - len(plain[at:].lstrip(b"\0\1"))


def _after_ack(plain: bytes, at: int, kind: int) -> int:
    _, at = _varint(plain, at)
    _, at = _varint(plain, at)
    ranges, at = _varint(plain, at)
    for _ in range(1 + 2 * min(ranges, len(plain)) + (3 if kind == 0x03 else 0)):
        _, at = _varint(plain, at)
    return at


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(data) or data[at] > 20 or at + 1 + data[at] > len(data):
        raise NotInitial("connection id cut")
    return data[at + 1 : at + 1 + data[at]], at + 1 + data[at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise NotInitial("number cut")
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise NotInitial("number cut")
    value = int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1)
    return value, at + size
