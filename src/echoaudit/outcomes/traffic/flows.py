"""Flows and names: what a capture is turned into."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from struct import Struct
from typing import Literal, NamedTuple

from echoaudit.outcomes.traffic.notes import Notes
from echoaudit.outcomes.traffic.quic import Keys
from echoaudit.outcomes.traffic.quick import Counters
from echoaudit.outcomes.traffic.tls import ClientHello, ServerHello

State = Literal["established", "closed", "reset", "refused", "unanswered", "midstream", "one-way"]
"""established: the handshake or an answer was seen. closed, reset: and its end. refused: a reset
answered the first packet. unanswered: only the client spoke. midstream: TCP that began before the
capture. one-way: only packets of the server were seen."""

FIN, SYN, RST, ACK = 1, 2, 4, 16
WORD = 0xFFFFFFFF
QUIET = 300
"""Seconds without a datagram after which the same UDP ports are another flow: what RFC 4787 (REQ-5)
recommends that routers wait before they forget a mapping."""
_DNS_PORT = (53).to_bytes(2, "big")
_ends4, _ends6 = Struct("!4s4s2s2s").unpack, Struct("!16s16s2s2s").unpack


class Half(Counters):
    """One direction of a flow; the scanner updates it for every packet."""

    __slots__ = ("base", "flow", "gaps", "key", "mac", "peer", "segments")

    def __init__(self, key: bytes, flow: LiveFlow, want: int, mac: bytes) -> None:
        self.key = key
        self.flow = flow
        self.want = want
        self.base = -1
        """Where the next DNS message of a TCP stream begins; -1 when that is not known."""
        self.gaps: tuple[tuple[int, int], ...] = ()
        """Bytes skipped so far, as (sequence number, length)."""
        self.segments: dict[int, bytes] | None = None
        self.mac = mac
        self.peer: Half

    @property
    def address(self) -> bytes:
        """The sender's IP address."""
        return self.key[: (len(self.key) - 4) // 2]

    @property
    def port(self) -> int:
        """The sender's port."""
        return int.from_bytes(self.key[-4:-2], "big")

    def settle(self) -> None:
        """Count the bytes that came in order since the last time."""
        if self.next > self.expected >= 0:
            self.payload += self.next - self.expected
            self.expected = self.next = self.next & WORD

    def fresh(self, sequence: int, length: int) -> int:
        """How many of these bytes were not seen before; remembers them as seen."""
        ahead = _signed(sequence - self.expected)
        if self.expected < 0 or ahead >= 0:
            if ahead > 0 and self.expected >= 0 and len(self.gaps) < 64:
                self.gaps += ((self.expected, ahead),)
                self.gapped = True
            self.expected = sequence + length & WORD
            return length
        beyond = max(0, ahead + length)
        if beyond:
            self.expected = sequence + length & WORD
        return beyond + (self._fill(sequence, length - beyond) if self.gaps else 0)

    def _fill(self, sequence: int, length: int) -> int:
        filled = 0
        left: list[tuple[int, int]] = []
        for start, size in self.gaps:
            offset = _signed(sequence - start)
            begin, end = max(0, offset), min(size, offset + length)
            if begin >= end:
                left.append((start, size))
                continue
            filled += end - begin
            if begin:
                left.append((start, begin))
            if end < size:
                left.append((start + end & WORD, size - end))
        self.gaps = tuple(left[:64])
        self.gapped = bool(left)
        return filled


def _signed(difference: int) -> int:
    """A difference of sequence numbers as a step forwards or backwards (RFC 1982)."""
    return (difference + 0x80000000 & WORD) - 0x80000000


class LiveFlow:
    """Both directions of a flow and what was read from them, while the capture is scanned."""

    __slots__ = (
        "a", "b", "certificate", "dns", "hello", "host", "protocol", "quic", "quic_version",
        "refused", "reset", "server_hello", "spoke",
    )  # fmt: skip

    def __init__(
        self, protocol: int, key: bytes, want: int, mac: bytes = b"", other_mac: bytes = b""
    ) -> None:
        source, target, port, other = (_ends4 if len(key) == 12 else _ends6)(key)
        self.protocol = protocol
        a = self.a = Half(key, self, want, mac)
        b = self.b = Half(target + source + other + port, self, want, other_mac)
        a.peer, b.peer = b, a
        self.dns = _DNS_PORT in (port, other)
        self.spoke: Half | None = None
        """The side that a hello or a request shows to be the client."""
        self.refused = self.reset = False
        self.hello: ClientHello | None = None
        self.server_hello: ServerHello | None = None
        self.host = ""
        self.certificate = b""
        self.quic_version = ""
        self.quic: QuicHello | None = None

    def untie(self) -> None:
        """Let both sides go, so that nothing waits for the collector of cycles."""
        del self.a.peer, self.b.peer, self.a, self.b

    @property
    def client(self) -> Half | None:
        """The side that opened the flow, when its SYN, or else what it said, tells."""
        a, b = self.a, self.b
        if a.syn or b.syn:
            return a if a.syn == SYN or (b.syn and b.syn != SYN) else b
        return self.spoke

    @property
    def syn_ack(self) -> bool:
        """Whether a side agreed to the connection."""
        return bool((self.a.syn | self.b.syn) & ACK)

    @property
    def ended(self) -> bool:
        """Whether a side said that it will send no more (FIN)."""
        return self.a.ended or self.b.ended


class QuicHello:
    """CRYPTO bytes of a client's Initial packets, gathered until they hold a hello."""

    __slots__ = ("keys", "pieces", "size")

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.pieces: dict[int, bytes] = {}
        self.size = 0

    def add(self, offset: int, data: bytes, limit: int) -> None:
        """Keep a piece; beyond ``limit`` bytes in all, pieces are left out."""
        if offset + len(data) <= limit and self.size < 4 * limit:
            self.size += len(data)
            if len(data) > len(self.pieces.get(offset, b"")):
                self.pieces[offset] = data

    def stream(self) -> bytes:
        """The bytes from the beginning up to the first gap."""
        return contiguous(self.pieces, 0)


def contiguous(pieces: dict[int, bytes], base: int) -> bytes:
    """Pieces by sequence number put together from ``base`` up to the first gap."""
    if len(pieces) == 1 and base in pieces:
        return pieces[base]
    # Nearly always each piece begins where another ends.
    stream, used = b"", 0
    while piece := pieces.get(base + len(stream) & WORD):
        stream, used = stream + piece, used + 1
    if used == len(pieces):
        return stream
    out = bytearray()
    for offset, data in sorted((_signed(at - base), data) for at, data in pieces.items()):
        if offset > len(out):
            break
        if offset + len(data) > len(out):
            out += data[len(out) - offset :]
    return bytes(out)


class Flow(NamedTuple):
    """One transport connection, seen from the client. Times are seconds since 1970 (UTC)."""

    client_mac: str
    client: str
    client_port: int
    server: str
    server_port: int
    protocol: str
    """tcp or udp."""
    first: float
    last: float
    packets_up: int
    packets_down: int
    bytes_up: int
    """Bytes of the frames as sent, link header included; "up" is from the client."""
    bytes_down: int
    payload_up: int
    """TCP: bytes carried without retransmissions. UDP: bytes carried."""
    payload_down: int
    tls: str
    sni: str
    alpn: str
    ja4: str
    ech: bool
    quic: str
    """QUIC version, or empty."""
    http_host: str
    opened: bool
    """Whether the beginning was seen: TCP's handshake, QUIC's first packets."""
    state: State
    certificate: bytes = b""
    """The server's own certificate (DER), which is sent in the clear before TLS 1.3;
    ``certificates.certificate_hosts`` reads it."""


class Lookup(NamedTuple):
    """One DNS question and, if it was seen, its answer."""

    time: float
    """When it was asked; when it was answered if the question was not seen."""
    client_mac: str
    client: str
    server: str
    question: str
    type: str
    answered: bool
    rcode: int
    addresses: tuple[str, ...]
    chain: tuple[str, ...]
    transport: str
    blocked: bool
    """All addresses are null: a blocking resolver's answer."""


@dataclass
class Traffic:
    """Everything read from one capture."""

    flows: list[Flow] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    packets: int = 0
    octets: int = 0
    """Bytes of all packets as sent (not as captured)."""
    first: float | None = None
    last: float | None = None
    notes: Notes = field(default_factory=Notes)


@lru_cache(maxsize=4096)
def is_null(address: str) -> bool:
    """Whether an address is the one that blocking resolvers answer with."""
    return ip_address(address).is_unspecified
