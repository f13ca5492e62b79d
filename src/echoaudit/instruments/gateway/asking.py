"""Two questions about a server, each bounded in time and bytes: its certificate, its PTR names."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

from echoaudit.instruments.gateway.discovery import scapy_apart

Failure = Literal[
    "refused", "timeout", "unreachable", "closed", "no-handshake", "bad-certificate",
    "no-name", "server-failure", "bad-answer", "not-asked",
]  # fmt: skip
_MOST_NAMES = 100
_MOST_BYTES = 262_144
"""Of a handshake: the longest certificate chains have a tenth of it."""
_LONGEST_NAME = 253
_NO_SUCH_NAME = 3
_PTR = 12


class Unanswered(Exception):
    """A question got no answer, for a reason from a closed list."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure: Failure = failure


def certificate(address: str, port: int, sni: str | None, until: float) -> bytes:
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
    with _reasons(), socket.create_connection((address, port), _left(until)) as link:
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
        self._link.settimeout(_left(self._until))
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


def certificate_names(der: bytes) -> tuple[tuple[str, ...], str | None]:
    """The DNS names on a certificate, else its common name; and who issued it.

    Raises ``Unanswered``.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        issuer = _attribute(found.issuer, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        names = _alternative(found) or _attribute(found.subject, NameOID.COMMON_NAME)[:1]
    except Exception as error:  # boundary: the library raises anything at a malformed one
        raise Unanswered("bad-certificate") from error
    return tuple(_clean(name) for name in names[:_MOST_NAMES]), next(map(_clean, issuer), None)


def _alternative(found: x509.Certificate) -> list[str]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _attribute(name: x509.Name, *kinds: x509.ObjectIdentifier) -> list[str]:
    return [str(part.value) for kind in kinds for part in name.get_attributes_for_oid(kind)]


def prepare() -> None:
    """Load what reverse look-ups need; once, before there are threads."""
    with scapy_apart():
        import_module("scapy.layers.dns")


def pointers(address: str, upstream: str, until: float) -> tuple[str, ...]:
    """The names that reverse DNS has for an address; raises ``Unanswered``."""
    from scapy.layers.dns import DNS, DNSQR

    number = int.from_bytes(os.urandom(2), "big")
    name = ip_address(address).reverse_pointer
    query = bytes(DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype="PTR")))
    server, _, port = upstream.partition("#")
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with _reasons(), socket.socket(family, socket.SOCK_DGRAM) as link:
        link.connect((server, int(port or 53)))
        link.send(query)
        while True:
            link.settimeout(_left(until))
            data = link.recv(65_535)
            if data[:2] == query[:2]:
                return _pointed(data)


def _pointed(data: bytes) -> tuple[str, ...]:
    from scapy.layers.dns import DNS

    try:
        answer = DNS(data)
        code, records = int(answer.rcode), list(answer.an or [])
        names = [record.rdata for record in records if record.type == _PTR]
        found = tuple(_clean(_text(name).rstrip(".")) for name in names[:_MOST_NAMES])
    except Exception as error:  # boundary: scapy raises anything at a malformed message
        raise Unanswered("bad-answer") from error
    if code not in (0, _NO_SUCH_NAME):
        raise Unanswered("server-failure")
    if not found:
        raise Unanswered("no-name")
    return found


def _text(name: Any) -> str:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def _clean(name: str) -> str:
    """A name as it can be written down: printable and of a name's length."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return shown[:_LONGEST_NAME]


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise Unanswered("timeout")
    return left


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
