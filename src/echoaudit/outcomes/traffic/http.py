"""The host that an unencrypted HTTP/1 request names (RFC 9112)."""

from __future__ import annotations

import re

from echoaudit.outcomes.traffic.tls import host

_METHODS = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ")
_LONGEST_METHOD = max(map(len, _METHODS))
_HOST = re.compile(rb"\r?\nhost:[ \t]*([^\s:/]+)(?::\d+)?[ \t]*\r?\n", re.IGNORECASE)
_END = re.compile(rb"\r?\n\r?\n")
LARGEST_HEAD = 1 << 14
"""Bytes; a longer head is not waited for."""


def may_begin(stream: bytes) -> bool:
    """Whether these bytes are, or begin, a request."""
    if len(stream) < _LONGEST_METHOD:
        return any(stream[: len(m)] == m[: len(stream)] for m in _METHODS)
    return stream.startswith(_METHODS)


def request_host(stream: bytes) -> str | None:
    """The Host of the first request; empty when it names none, ``None`` when more is needed."""
    head = stream[:LARGEST_HEAD]
    end = _END.search(head)
    found = _HOST.search(head, 0, end.end() if end else len(head))
    if found:
        return host(found[1])
    return "" if end or len(stream) >= LARGEST_HEAD else None
