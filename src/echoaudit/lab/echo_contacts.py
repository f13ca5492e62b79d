"""The simulated Echo's connections: each a new one, as ordered, and each written down.

The log is the lab's truth about who was contacted. A line is written when a connection is tried
and another, with the same ``id``, when it has ended, so that a killed Echo leaves what it began.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import httpx

from echoaudit.lab.echo_quic import QuicTransport
from echoaudit.lab.echo_sends import Load, Utterance, load
from echoaudit.lab.echo_wire import Hello, TcpTransport, address_of, padded

Tls = Literal["1.2", "1.3", "any"]
Http = Literal["1.1", "2", "3"]

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
MOST_RECEIVED = 64 * 2**20
"""Bytes after which an answer is no longer read."""
_TLS_1_2, _TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_VERSIONS = {"1.2": (_TLS_1_2, _TLS_1_2), "1.3": (_TLS_1_3, _TLS_1_3), "any": (_TLS_1_2, _TLS_1_3)}


@dataclass(frozen=True)
class Contact:
    """A connection to make."""

    url: str
    method: str = "GET"
    send_bytes: int = 0
    tls: Tls = "1.3"
    http: Http = "1.1"
    sends: Sequence[Mapping[str, Any]] = ()
    """Personal data to send along, see ``echo_sends``."""
    body: str = "json"
    gzip: bool = False
    lookup: Literal["always", "once", "never"] = "always"
    address: str | None = None
    """Where the server is, when it is not looked up."""
    sni: bool = True
    hello: Hello = "whole"

    @classmethod
    def of(cls, order: Mapping[str, Any]) -> Contact:
        """A contact as the cloud orders it; other keys are ignored."""
        return cls(**{key: order[key] for key in cls.__dataclass_fields__ if key in order})


@dataclass
class Entry:
    """One connection in the log."""

    account: str
    id: str
    host: str
    cause: str
    """``background``, ``provision`` or a command's id."""
    data: Sequence[str] = ()
    """Kinds of personal data that were sent."""
    started: float = field(default_factory=time.time)
    ended: float = 0.0
    open: bool = True
    """Whether this line was written before the connection ended."""
    address: str | None = None
    """The server's address; None while it is not known."""
    looked_up: bool = False
    """Whether DNS was asked for it now."""
    sni: bool = True
    """Whether the ClientHello names the host."""
    sent: int = 0
    """Bytes of TCP or UDP payload, encryption included, until the answer was whole."""
    received: int = 0
    tls: str | None = None
    http: str | None = None
    error: str | None = None


class ContactLog:
    """Appends entries to a file, one JSON object a line, each line in one write."""

    def __init__(self, path: Path, account: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._account = account
        self._numbers = itertools.count(1)
        self._run = f"{os.getpid()}-{time.time_ns()}"
        if _torn(path):
            # A line that a killed Echo left unfinished must not swallow the next.
            os.write(self._file, b"\n")

    def begin(self, host: str, cause: str, data: Sequence[str] = (), *, sni: bool = True) -> Entry:
        """Write down that a connection is tried, to send kinds of personal data."""
        number = f"{self._run}-{next(self._numbers)}"
        entry = Entry(self._account, number, host, cause, data, sni=sni)
        entry.ended = entry.started
        self._write(entry)
        return entry

    def end(self, entry: Entry) -> None:
        """Write down how it ended."""
        entry.ended, entry.open = time.time(), False
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        os.write(self._file, json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n")


def _torn(path: Path) -> bool:
    return not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0


class _Context(ssl.SSLContext):
    """Offers what it is told: httpx always offers HTTP/1.1 too, which a server may take."""

    offers: Sequence[str] = ()

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        del alpn_protocols
        super().set_alpn_protocols(self.offers)


class Network:
    """Makes connections that trust the given authorities only, and logs every one."""

    def __init__(self, authorities: Sequence[Path], log: ContactLog) -> None:
        self._authorities = tuple(authorities)
        self._log = log
        self._known: dict[str, str] = {}

    def request(self, contact: Contact, cause: str, load: Load) -> httpx.Response:
        """Make one connection and return its answer; logged, whatever happens.

        Raises what httpx raises.
        """
        entry = self._log.begin(httpx.URL(contact.url).host, cause, load.kinds, sni=contact.sni)
        try:
            self._locate(contact, entry)
            return self._exchange(contact, entry, load.content)
        except Exception as error:
            entry.error = _one_line(error)
            raise
        finally:
            self._log.end(entry)

    def visit(self, contact: Contact, cause: str, heard: Utterance | None = None) -> str | None:
        """Make one connection for its own sake; returns the error, if any."""
        try:
            self.request(contact, cause, _load(contact, heard))
        except Exception as error:  # noqa: BLE001 -- boundary: a device survives any answer
            return _one_line(error)
        return None

    def _locate(self, contact: Contact, entry: Entry) -> None:
        """Note the server's address, as the contact would have it found."""
        known = None
        if contact.lookup != "always":
            known = contact.address or self._known.get(entry.host)
        entry.looked_up = known is None
        entry.address = known or address_of(entry.host)
        if contact.lookup == "once":
            self._known[entry.host] = entry.address

    def _exchange(
        self, contact: Contact, entry: Entry, content: Mapping[str, Any]
    ) -> httpx.Response:
        """Ask once, over QUIC if ordered, else or where that fails over TCP."""
        assert entry.address is not None
        if contact.http == "3":
            quic = QuicTransport(entry.address, self._authorities)
            try:
                return self._ask(quic, contact, entry, content)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                contact = replace(contact, http="2")
        tcp = TcpTransport(
            self._contexts[contact.tls, contact.http, contact.hello == "large"],
            entry.address,
            http2=contact.http == "2",
            sni=contact.sni,
            hello=contact.hello,
        )
        return self._ask(tcp, contact, entry, content)

    def _ask(
        self,
        transport: httpx.BaseTransport,
        contact: Contact,
        entry: Entry,
        content: Mapping[str, Any],
    ) -> httpx.Response:
        with (
            httpx.Client(
                transport=transport,
                timeout=TIMEOUT,
                trust_env=False,
                headers={"User-Agent": "Echo/1.0"},
            ) as client,
            client.stream(contact.method, contact.url, **content) as answer,
        ):
            body = _read(answer)
            self._measure(answer, entry)
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    @cached_property
    def _contexts(self) -> dict[tuple[str, str, bool], ssl.SSLContext]:
        # One for each: httpx writes the protocols it offers into the context.
        return {
            (tls, http, large): self._context(padded(offers) if large else offers, *versions)
            for tls, versions in _VERSIONS.items()
            for http, offers in (("1.1", ["http/1.1"]), ("2", ["h2"]))
            for large in (False, True)
        }

    def _context(
        self, offers: Sequence[str], oldest: ssl.TLSVersion, newest: ssl.TLSVersion
    ) -> ssl.SSLContext:
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.offers = offers
        for authority in self._authorities:
            context.load_verify_locations(authority)
        context.minimum_version, context.maximum_version = oldest, newest
        return context

    @staticmethod
    def _measure(answer: httpx.Response, entry: Entry) -> None:
        entry.http = answer.http_version.removeprefix("HTTP/")
        if entry.http == "3":
            entry.tls = "1.3"
            entry.sent, entry.received = answer.extensions["datagram_bytes"]
            return
        stream = answer.extensions["network_stream"]
        tls = stream.get_extra_info("ssl_object")
        entry.tls = tls.version().removeprefix("TLSv") if tls else None
        entry.sent, entry.received = tcp_bytes(stream.get_extra_info("socket"))


def _load(contact: Contact, heard: Utterance | None) -> Load:
    if contact.sends:
        return load(
            contact.sends,
            body=contact.body,
            packed=contact.gzip,
            padding=contact.send_bytes,
            heard=heard,
        )
    return Load(content={"content": os.urandom(contact.send_bytes)} if contact.send_bytes else {})


def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    for part in answer.iter_raw():
        body += part
        if len(body) > MOST_RECEIVED:
            raise ValueError(f"more than {MOST_RECEIVED} bytes")
    return bytes(body)


_TCP_INFO = struct.Struct("=120xQQ64xQQ")
"""Of Linux's struct tcp_info: bytes acked, received, sent, sent again."""


def tcp_bytes(connection: socket.socket) -> tuple[int, int]:
    """Payload bytes (sent, received) of a TCP connection so far, counted by the kernel."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    _, received, sent, again = _TCP_INFO.unpack(info)
    return sent - again, received


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
