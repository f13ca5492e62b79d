"""The simulated Echo's HTTP/3: one request on one QUIC connection, by aioquic's state machines."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent

PATIENCE = 1.0
"""Seconds until a server that does not answer is asked over TCP instead."""
READ_PATIENCE = 10.0
_DATAGRAM = 65_536
_HOP_BY_HOP = frozenset({b"host", b"connection", b"transfer-encoding"})


class QuicTransport(httpx.BaseTransport):
    """Sends requests to one address, whatever the URL's host; each on its own connection."""

    def __init__(self, address: str, authorities: Sequence[Path]) -> None:
        self._address = address
        self._trusted = b"".join(path.read_bytes() for path in authorities)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and wait for the whole answer.

        The answer's extension ``datagram_bytes`` has the payload bytes sent and received.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: there is no QUIC at the address.
            httpx.ReadError, httpx.ReadTimeout: the answer broke off.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.connect((self._address, request.url.port or 443))
            talk = _Talk(wire, self._configuration(request.url.host))
            try:
                return talk.ask(request)
            except ConnectionError as error:
                raise httpx.ConnectError(str(error)) from error
            finally:
                talk.close()

    def _configuration(self, name: str) -> QuicConfiguration:
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=name)
        configuration.load_verify_locations(cadata=self._trusted)
        return configuration


@dataclass
class _Answer:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    def take(self, event: H3Event) -> None:
        """Add what a part of the answer says."""
        match event:
            case HeadersReceived():
                fields = dict(event.headers)
                self.status = int(fields.pop(b":status", b"0"))
                self.headers = list(fields.items())
                self.whole = event.stream_ended
            case DataReceived():
                self.body += event.data
                self.whole = event.stream_ended


class _Talk:
    """One QUIC connection."""

    def __init__(self, wire: socket.socket, configuration: QuicConfiguration) -> None:
        self._wire = wire
        self._quic = QuicConnection(configuration=configuration)
        self._http = H3Connection(self._quic)
        self._peer = wire.getpeername()
        self._sent = self._received = 0
        self._connected = False
        self._quic.connect(self._peer, now=time.monotonic())

    def ask(self, request: httpx.Request) -> httpx.Response:
        """Send a request and take everything until the answer is whole."""
        self._send(request)
        answer = _Answer()
        end = time.monotonic() + PATIENCE
        while not answer.whole:
            connected = self._connected
            for event in self._turn(end):
                for part in self._http.handle_event(event):
                    answer.take(part)
            if self._connected != connected:
                end = time.monotonic() + READ_PATIENCE
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(bytes(answer.body)),
            extensions={
                "http_version": b"HTTP/3",
                "datagram_bytes": (self._sent, self._received),
            },
        )

    def close(self) -> None:
        """Say goodbye, without waiting for an answer."""
        self._quic.close()
        try:
            self._flush()
        except ConnectionError:
            # Nobody is there to be told.
            return

    def _send(self, request: httpx.Request) -> None:
        body = request.read()
        stream = self._quic.get_next_available_stream_id()
        url = request.url
        start = [
            (b":method", request.method.encode("ascii")),
            (b":scheme", b"https"),
            (b":authority", url.netloc),
            (b":path", url.raw_path),
        ]
        fields = [(name.lower(), value) for name, value in request.headers.raw]
        kept = [row for row in fields if row[0] not in _HOP_BY_HOP]
        self._http.send_headers(stream, [*start, *kept], end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)

    def _turn(self, end: float) -> list[QuicEvent]:
        """Send what is due, take one datagram or the timer; what came of it."""
        self._flush()
        now = time.monotonic()
        if now > end:
            raise httpx.ReadTimeout("QUIC") if self._connected else httpx.ConnectTimeout("QUIC")
        timer = min(self._quic.get_timer() or end, end)
        self._wire.settimeout(max(timer - now, 0.001))
        try:
            datagram = self._wire.recv(_DATAGRAM)
        except TimeoutError:
            self._quic.handle_timer(now=time.monotonic())
        else:
            self._received += len(datagram)
            self._quic.receive_datagram(datagram, self._peer, now=time.monotonic())
        return [*self._events()]

    def _events(self) -> list[QuicEvent]:
        events = []
        while (event := self._quic.next_event()) is not None:
            if isinstance(event, ConnectionTerminated):
                kind = httpx.ReadError if self._connected else httpx.ConnectError
                raise kind(f"QUIC ended: {event.reason_phrase or event.error_code}")
            self._connected = self._connected or isinstance(event, HandshakeCompleted)
            events.append(event)
        return events

    def _flush(self) -> None:
        for datagram, _ in self._quic.datagrams_to_send(now=time.monotonic()):
            self._wire.send(datagram)
            self._sent += len(datagram)
