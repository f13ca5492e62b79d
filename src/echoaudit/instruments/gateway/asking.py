"""Two questions about a server, each bounded in time and bytes: its certificate, its PTR names."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Literal

from echoaudit.certificates import MOST_NAMES, BadCertificate, certificate_names, printable
from echoaudit.instruments.gateway.discovery import scapy_apart

Failure = Literal[
    "refused", "timeout", "unreachable", "closed", "no-handshake", "bad-certificate",
    "no-name", "server-failure", "bad-answer", "not-asked",
]  # fmt: skip
_MOST_BYTES = 262_144
"""Of a handshake: the longest certificate chains have a tenth of it."""
_NO_SUCH_NAME = 3
_PTR = 12


Dial = Callable[[str, int, float], AbstractContextManager[socket.socket]]
"""Opens a TCP connection to an address and port until a time of ``time.monotonic``."""


class Unanswered(Exception):
    """A question got no answer, for a reason from a closed list."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure: Failure = failure


def direct(address: str, port: int, until: float) -> socket.socket:
    """A TCP connection of this machine's own."""
    return socket.create_connection((address, port), left(until))


def certificate(
    address: str, port: int, sni: str | None, until: float, dial: Dial = direct
) -> bytes:
    """A server's certificate (DER) by one TLS handshake; nothing else is said.

    ``until`` is a time of ``time.monotonic``. Nothing is verified: what is asked is what the server
    calls itself. Raises ``Unanswered``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        tls = context.wrap_bio(incoming, outgoing, server_hostname=sni)
    except ValueError as error:
        # The device gave something that is no host name; it is not sent without one instead.
        raise Unanswered("no-handshake") from error
    with _reasons(), dial(address, port, until) as link:
        _shake(tls, _Pipe(link, incoming, outgoing, until))
    return tls.getpeercert(binary_form=True) or b""


class _Pipe:
    """Carries a handshake over a socket."""

    def __init__(
        self, link: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, until: float
    ) -> None:
        self._link, self._in, self._out, self._until = link, incoming, outgoing, until
        self._octets = 0

    def turn(self) -> None:
        """Send what waits and take what comes."""
        self._link.settimeout(left(self._until))
        self._link.sendall(self._out.read())
        data = self._link.recv(16_384)
        self._octets += len(data)
        if not data:
            raise Unanswered("closed")
        if self._octets > _MOST_BYTES:
            raise Unanswered("no-handshake")
        self._in.write(data)


def _shake(tls: ssl.SSLObject, pipe: _Pipe) -> None:
    while True:
        try:
            tls.do_handshake()
            return
        except ssl.SSLWantReadError:
            pipe.turn()


def names_on(der: bytes) -> tuple[tuple[str, ...], str | None]:
    """The names on a certificate and who issued it; raises ``Unanswered``."""
    try:
        return certificate_names(der)
    except BadCertificate as error:
        raise Unanswered("bad-certificate") from error


def prepare() -> None:
    """Load what reverse look-ups need; once, before there are threads."""
    with scapy_apart():
        import_module("scapy.layers.dns")


def pointers(
    address: str, upstream: str, until: float, dial: Dial | None = None
) -> tuple[str, ...]:
    """The names that reverse DNS has for an address; raises ``Unanswered``.

    Asks over UDP, or over the TCP connection that ``dial`` opens to the resolver ``upstream``.
    """
    from scapy.layers.dns import DNS, DNSQR

    number = int.from_bytes(os.urandom(2), "big")
    name = ip_address(address).reverse_pointer
    query = bytes(DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype="PTR")))
    server, _, port = upstream.partition("#")
    with _reasons():
        if dial is None:
            return _pointed(_over_udp(query, server, int(port or 53), until))
        with dial(server, int(port or 53), until) as link:
            return _pointed(_over_tcp(query, link, until))


def _over_udp(query: bytes, server: str, port: int, until: float) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.connect((server, port))
        link.send(query)
        while True:
            link.settimeout(left(until))
            data = link.recv(65_535)
            if data[:2] == query[:2]:
                return data


def _over_tcp(query: bytes, link: socket.socket, until: float) -> bytes:
    link.settimeout(left(until))
    link.sendall(len(query).to_bytes(2, "big") + query)
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        link.settimeout(left(until))
        part = link.recv(65_535)
        if not part:
            raise Unanswered("closed")
        data += part
    if data[2:4] != query[:2]:
        raise Unanswered("bad-answer")
    return data[2:]


def _pointed(data: bytes) -> tuple[str, ...]:
    from scapy.layers.dns import DNS

    try:
        answer = DNS(data)
        code, records = int(answer.rcode), list(answer.an or [])
        names = [record.rdata for record in records if record.type == _PTR]
        found = tuple(printable(_text(name).rstrip(".")) for name in names[:MOST_NAMES])
    except Exception as error:  # boundary: scapy raises anything at a malformed message
        raise Unanswered("bad-answer") from error
    if code not in (0, _NO_SUCH_NAME):
        raise Unanswered("server-failure")
    if not found:
        raise Unanswered("no-name")
    return found


def _text(name: Any) -> str:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def left(until: float) -> float:
    """Seconds until a time of ``time.monotonic``; raises ``Unanswered`` when it is over."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise Unanswered("timeout")
    return seconds


@contextmanager
def _reasons() -> Iterator[None]:
    """What networks and servers do, as reasons from the list."""
    try:
        yield
    except TimeoutError as error:
        raise Unanswered("timeout") from error
    except ConnectionRefusedError as error:
        raise Unanswered("refused") from error
    except ssl.SSLError as error:
        raise Unanswered("no-handshake") from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise Unanswered("closed") from error
    except OSError as error:
        raise Unanswered("unreachable") from error
