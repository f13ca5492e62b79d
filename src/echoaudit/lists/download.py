"""A list over HTTP: verified, followed to safe places only, bounded in bytes and time."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from echoaudit import __version__
from echoaudit.errors import BadInput, Unavailable
from echoaudit.lists.packed import LIMIT, unzipped

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds of silence."""
DEADLINE = 300.0
"""Seconds in all; a server that sends a byte now and then does not keep us longer."""
REDIRECTS = 5
_PIECE = 1 << 16
_AGENT = f"echoaudit/{__version__}"


def is_url(source: str) -> bool:
    """Whether a source is to be downloaded."""
    return source.lower().startswith(("http://", "https://"))


def shown(url: str) -> str:
    """An address as messages name it: without a query, which may hold the user's key."""
    address = url.partition("?")[0].partition("#")[0]
    return "".join(c for c in address if c.isprintable())[:200]


def download(url: str, authority: Path | None = None, deadline: float = DEADLINE) -> bytes:
    """The body behind an address, decompressed.

    Args:
        url: http or https, without a user or password.
        authority: certificates (PEM) that are trusted besides the system's.
        deadline: seconds in all.

    Raises:
        BadInput: not such an address, refused by the server, redirected to an unsafe place, or
            larger than ``LIMIT``.
        Unavailable: it cannot be reached, its certificate is not trusted, or it is too slow.
    """
    _parts(url)
    ends = time.monotonic() + deadline
    connections: list[HTTPConnection] = []
    opener = _opener(_context(authority), connections)
    asked = Request(url, headers={"Accept-Encoding": "gzip", "User-Agent": _AGENT})
    try:
        with _closing_late(connections, deadline), opener.open(asked, timeout=PATIENCE) as answer:
            raw = _body(answer, url, ends)
            coding = (answer.headers.get("Content-Encoding") or "identity").lower()
    except HTTPError as error:
        error.close()
        raise BadInput(f"the server answered {error.code}", file=shown(url)) from error
    except (URLError, HTTPException, OSError, UnicodeError) as error:
        raise _unreachable(url, error, late=time.monotonic() >= ends) from error
    return _decoded(raw, coding, url)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.port != 0 and parts.hostname
    except ValueError:
        known = None
    written = url.isascii() and url.isprintable() and " " not in url
    if not known or "@" in parts.netloc or not written:
        raise BadInput(
            "found an address that cannot be used; allowed: http:// or https:// with a host, "
            "without a user; example: https://lists.example/hosts.txt",
            file=shown(url) if "@" not in url else "SOURCE",
        )
    return parts


def _context(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            message = f"found {str(authority)!r}; allowed: a readable file of certificates (PEM)"
            raise BadInput(message, file="--ca") from error
    return context


class _Careful(HTTPRedirectHandler):
    """To https anywhere; to plain http only from plain http on the same host."""

    max_redirections = REDIRECTS

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), _parts(newurl)
        same = old.scheme == "http" and new.hostname == old.hostname
        if new.scheme != "https" and not (new.scheme == "http" and same):
            raise BadInput(
                f"redirects to {shown(newurl)}; allowed: https, or the same host",
                file=shown(req.full_url),
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(context: ssl.SSLContext, connections: list[HTTPConnection]) -> OpenerDirector:
    """Opens addresses and remembers the connections, so that they can be cut."""

    def remembered(kind: Callable[..., HTTPConnection]) -> Callable[..., HTTPConnection]:
        def make(host: str, **options: Any) -> HTTPConnection:
            connections.append(kind(host, **options))
            return connections[-1]

        return make

    class Plain(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(remembered(HTTPConnection), req)

    class Secure(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(remembered(HTTPSConnection), req, context=context)

    return build_opener(_Careful, Plain, Secure)


@contextmanager
def _closing_late(connections: list[HTTPConnection], deadline: float) -> Iterator[None]:
    """Cut the connections at the deadline, even between two bytes of a head."""

    def cut() -> None:
        for connection in connections:
            if connection.sock is not None:
                with suppress(OSError):  # closed meanwhile
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = Timer(deadline, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _body(answer: HTTPResponse, url: str, ends: float) -> bytes:
    raw = bytearray()
    while piece := answer.read1(_PIECE):
        raw += piece
        if len(raw) > LIMIT:
            raise BadInput(f"larger than the {LIMIT} bytes allowed", file=shown(url))
        if time.monotonic() >= ends:
            break
    # Where its length is not told, a body that was cut off looks like a whole one.
    if time.monotonic() >= ends:
        raise TimeoutError
    if answer.length:
        raise TimeoutError(f"it ended {answer.length} bytes early")
    return bytes(raw)


def _decoded(raw: bytes, coding: str, url: str) -> bytes:
    if coding == "identity":
        return raw
    if coding not in ("gzip", "x-gzip"):
        message = f"compressed as {shown(coding)!r}; allowed: gzip, or not compressed"
        raise BadInput(message, file=shown(url))
    return unzipped(raw, shown(url))


def _unreachable(url: str, error: Exception, late: bool) -> Unavailable:
    reason = getattr(error, "reason", None) or error
    why = "too slow" if late else " ".join(str(reason).split())[:200] or type(error).__name__
    fix = "check the address and the network"
    if isinstance(reason, ssl.SSLCertVerificationError):
        fix = "for a server with an authority of its own, --ca FILE"
    return Unavailable(f"{shown(url)} cannot be downloaded: {why}", fix=fix)
