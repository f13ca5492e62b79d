"""How values are written when they are passed on: plain, encoded or as a digest."""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode


def encode(value: str, encoding: str) -> str:
    """``value`` the way somebody sends it on."""
    data = value.encode()
    match encoding:
        case "base64":
            return b64encode(data).decode()
        case "base64url":
            return urlsafe_b64encode(data).decode().rstrip("=")
        case "hex":
            return data.hex()
        case "md5" | "sha1" | "sha256":
            return hashlib.new(encoding, data).hexdigest()
        case _:
            return value
