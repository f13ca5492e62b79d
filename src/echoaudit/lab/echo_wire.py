"""How the simulated Echo's TLS connections look from outside: server, name, and shape of the hello.

A ClientHello over several segments or records is as valid as a whole one, and real devices send
both; whoever names connections by it must put it together again.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeVar

import httpcore
import httpx

Hello = Literal["whole", "segments", "records", "large"]
T = TypeVar("T")

PAUSE = 0.02
"""Seconds between pieces of a hello, so that the kernel does not join them."""
PIECES = 3
LARGE = 1800
"""Bytes that make a hello larger than any packet, as post-quantum key shares do."""
_RECORD_HEADER = 5
_READ = 65_536


def address_of(host: str) -> str:
    """The address that DNS gives for a host, IPv4 rather than IPv6.

    Raises:
        httpx.ConnectError: there is none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host}: {error.strerror}") from error
    usual = [str(row[4][0]) for row in found if row[0] == socket.AF_INET]
    return usual[0] if usual else str(found[0][4][0])


def padded(protocols: list[str]) -> list[str]:
    """The same offers, repeated until the hello that carries them is large."""
    size = sum(len(protocol) + 1 for protocol in protocols)
    return protocols * (LARGE // size + 1)


class TcpTransport(httpx.HTTPTransport):
    """Connects to one address, whatever the URL's host, and says hello as told."""

    def __init__(
        self, context: ssl.SSLContext, address: str, *, http2: bool, sni: bool, hello: Hello
    ) -> None:
        super().__init__(verify=context, trust_env=False, http1=not http2, http2=http2)
        # httpx has no parameter for it; the pool is what it would have made itself.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            http1=not http2,
            http2=http2,
            network_backend=_Backend(address, sni=sni, hello=hello),
        )


class _Backend(httpcore.SyncBackend):
    def __init__(self, address: str, *, sni: bool, hello: Hello) -> None:
        self._address, self._sni, self._hello = address, sni, hello

    def connect_tcp(
        self, host: str, port: int, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        del host
        plain = super().connect_tcp(self._address, port, *args, **options)
        return _Plain(plain, None if self._sni else self._address, self._hello)


class _Around(httpcore.NetworkStream):
    """A stream that is another one, but for what it does differently."""

    def __init__(self, below: httpcore.NetworkStream) -> None:
        self._below = below

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._below.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._below.write(buffer, timeout)

    def close(self) -> None:
        self._below.close()

    def get_extra_info(self, info: str) -> Any:
        return self._below.get_extra_info(info)


class _Plain(_Around):
    """A TCP connection that becomes TLS."""

    def __init__(self, below: httpcore.NetworkStream, address: str | None, hello: Hello) -> None:
        super().__init__(below)
        self._address, self._hello = address, hello

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        # An address in place of a name is checked against the certificate and never sent.
        name = self._address or server_hostname
        if self._hello in ("segments", "records"):
            return _Tls(self._below, ssl_context, name, self._hello, timeout)
        return self._below.start_tls(ssl_context, name, timeout)


class _Tls(_Around):
    """TLS over a stream, with the first thing it writes, the hello, cut up."""

    def __init__(
        self,
        below: httpcore.NetworkStream,
        context: ssl.SSLContext,
        name: str | None,
        hello: Hello,
        timeout: float | None,
    ) -> None:
        super().__init__(below)
        self._hello: Hello = hello
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._until(self._tls.do_handshake, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._until(partial(self._tls.read, max_bytes), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        while buffer:
            buffer = buffer[self._until(partial(self._tls.write, buffer), timeout) :]

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else super().get_extra_info(info)

    def _until(self, step: Callable[[], T], timeout: float | None) -> T:
        """Do a step of TLS, with as much network as it takes."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush(timeout)
            if received := self._below.read(_READ, timeout):
                self._incoming.write(received)
            else:
                self._incoming.write_eof()

    def _flush(self, timeout: float | None) -> None:
        waiting = self._outgoing.read()
        for index, piece in enumerate(_pieces(waiting, self._hello)):
            if index:
                time.sleep(PAUSE)
            self._below.write(piece, timeout)
        if waiting:
            self._hello = "whole"


def _pieces(data: bytes, hello: Hello) -> Iterable[bytes]:
    """What is written, each piece in a packet of its own."""
    match hello:
        case "segments":
            size = -(-len(data) // PIECES) or 1
            return [data[at : at + size] for at in range(0, len(data), size)]
        case "records" if data:
            return [_two_records(data)]
        case _:
            return [data] if data else []


def _two_records(record: bytes) -> bytes:
    """A TLS record as two that hold the same message."""
    kind, content = record[:3], record[_RECORD_HEADER:]
    half = len(content) // 2
    parts = (content[:half], content[half:])
    return b"".join(kind + len(part).to_bytes(2, "big") + part for part in parts)
