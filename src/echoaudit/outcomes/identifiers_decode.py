"""Undoing the encodings in which identifiers travel, layer by layer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote

DEPTH = 3
"""Encodings inside each other."""
TEXTS = 64
"""Texts that one text may unfold to."""
LENGTH = 64 * 1024
SEGMENTS = 8
"""Parts of a path whose runs are tried; longer paths are taken as a whole."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{2}){8,}(?![0-9A-Za-z])", re.IGNORECASE)
_JWT = re.compile(r"eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]*")
_JSON = re.compile(r'[{\[]\s*(?:"|[{\[]\s*")')
_RANK = {"plain": 0, "url": 1, "json": 2, "hex": 3, "base64": 4, "base64url": 4, "jwt": 5}


def unfold(text: str) -> Iterator[tuple[str, str]]:
    """The text and every text encoded in it, each with the encoding that hid it most."""
    known = {text}
    layer = [(text[:LENGTH], "json" if _is_json(text) else "plain")]
    for _ in range(DEPTH + 1):
        yield from layer
        inner = []
        for outer, encoding in layer:
            for found, how in _inside(outer):
                if found not in known and len(known) < TEXTS:
                    known.add(found)
                    inner.append((found[:LENGTH], hides_more(encoding, how)))
        layer = inner


def hides_more(one: str, other: str) -> str:
    """Of two encodings the one that hides a text more; a digest hides most."""
    return max(one, other, key=lambda encoding: _RANK.get(encoding, len(_RANK)))


def _inside(text: str) -> Iterator[tuple[str, str]]:
    if "%" in text:
        decoded = unquote(text)
        yield decoded, "json" if _is_json(decoded) else "url"
    if "\\" in text:
        yield text.replace('\\"', '"').replace("\\/", "/"), "json"
    for match in _JWT.finditer(text):
        found = readable_base64(match[1])
        if found is not None:
            yield found, "jwt"
    for match in _BASE64.finditer(text):
        for part in _segments(match[0]):
            found = readable_base64(part)
            if found is not None:
                yield found, "base64url" if set(part) & set("-_") else "base64"
    for match in _HEX.finditer(text):
        found = readable(bytes.fromhex(match[0]))
        if found is not None:
            yield found, "hex"


def _segments(text: str) -> Iterator[str]:
    """What may be base64 in a text in which ``/`` may be a digit of it or divide a path."""
    yield text
    pieces = text.split("/")
    if 1 < len(pieces) <= SEGMENTS:
        ends = range(1, len(pieces) + 1)
        yield from ("/".join(pieces[a:b]) for b in ends for a in range(b) if b - a < len(pieces))


def readable_base64(text: str) -> str | None:
    """What a text says when it is base64 (either alphabet, padded or not) of a readable text."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(bare) < 12 or len(bare) % 4 == 1:
        return None
    try:
        return readable(base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def readable(data: bytes) -> str | None:
    """The bytes as text, when that is what they are."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _is_json(text: str) -> bool:
    return _JSON.search(text) is not None
