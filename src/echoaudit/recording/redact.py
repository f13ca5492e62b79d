"""Stable short tokens that stand for identifiers in findings and reports."""

from __future__ import annotations

import hashlib

_DIGITS = 16


def redact(value: str) -> str:
    """A token for an identifier: equal values get equal tokens, in every recording.

    The token is the beginning of the value's SHA-256 (64 bits: a collision is unlikely below a
    billion values). It hides long random identifiers; anything that can be guessed (an address,
    a name) can also be found by trying guesses, so it is no anonymisation.
    """
    # A page may hand out strings that are not Unicode; they get a token too.
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256:{digest[:_DIGITS]}"
