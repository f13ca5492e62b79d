"""The packets that carry names: DNS, TLS and QUIC hellos, HTTP heads."""

from __future__ import annotations

from itertools import islice

from echoaudit.outcomes.traffic import dns, http, quic, tls
from echoaudit.outcomes.traffic.flows import (
    WORD,
    Half,
    LiveFlow,
    Lookup,
    QuicHello,
    contiguous,
    is_null,
)
from echoaudit.outcomes.traffic.headers import address, mac
from echoaudit.outcomes.traffic.notes import Notes
from echoaudit.outcomes.traffic.quick import Essence

DNS_PORT, QUIC_PORT = 53, 443
_LOCAL_DNS = frozenset({5353, 5355})
_ALWAYS = 1 << 30
_MOST_INITIALS = 4
_MOST_SEGMENTS = 64
MOST_WAITING = 1 << 25
"""Bytes of unfinished hellos kept over all flows; more is an attack on memory."""
MOST_CERTIFICATES = 1 << 24
"""Bytes of different certificates that are kept."""
_MOST_QUESTIONS = 1 << 16
_MOST_HELLOS = 1 << 10
"""Different hellos that are remembered; none has more than 4 KiB."""

_Question = tuple[bytes, bytes, str, str]
"""Who asked, the message's id, the name, the type."""


class Names:
    """Looks into packets; names found are written to the flow or kept as look-ups."""

    def __init__(self, notes: Notes, essence: Essence | None = None) -> None:
        self._notes = notes
        self._essence = essence
        """Tells which hellos say the same; without it each is taken apart."""
        self.hellos: dict[bytes, tls.ClientHello | tls.ServerHello] = {}
        """Hellos that were read, by essence."""
        self._lookups: list[Lookup] = []
        self._asked: dict[_Question, tuple[float, Half, str]] = {}
        self._answered: dict[bytes, _Question] = {}
        """Last question answered per client port: a mirror may show an answer twice."""
        self._waiting = 0
        self._certificates: dict[bytes, bytes] = {}
        self._room = MOST_CERTIFICATES

    def finish(self) -> list[Lookup]:
        """All look-ups in order of time; questions that nobody answered come as such."""
        for (_, _, name, kind), (time, half, transport) in self._asked.items():
            self._lookups.append(_unanswered(time, half, name, kind, transport))
        self._asked.clear()
        return sorted(self._lookups, key=lambda one: (one.time, one.question, one.type))

    # --- datagrams ----------------------------------------------------------------------------

    def datagram(self, half: Half, data: bytes, time: float, length: int) -> None:
        """Look into a UDP payload: what was captured of ``length`` bytes."""
        if half.flow.dns:
            half.flow.spoke = half if half.peer.port == DNS_PORT else half.peer
            self._dns(half, data, time, "udp", cut=len(data) < length)
            return
        half.want -= 1
        if half.port in _LOCAL_DNS or half.peer.port in _LOCAL_DNS:
            half.want = 0
        elif quic.is_long_header(data):
            self._quic(half, data)

    def _quic(self, half: Half, data: bytes) -> None:
        """Read the Initial packets at the start of a datagram."""
        at = 0
        for _ in range(_MOST_INITIALS):
            try:
                initial = quic.header(data, at)
            except quic.UnknownVersion as error:
                self._unknown_version(half, error.version)
                return
            except quic.NotInitial:
                return
            half.flow.quic_version = quic.version_name(initial.version)
            self._initial(half, data, at, initial)
            at = initial.end

    def _unknown_version(self, half: Half, version: int) -> None:
        # Other protocols set these bits too; on port 443 it is QUIC.
        if version and QUIC_PORT in (half.port, half.peer.port) and not half.flow.quic_version:
            half.flow.quic_version = quic.version_name(version)
            self._notes.unread[f"{half.flow.quic_version} hides its names"] += 1

    def _initial(self, half: Half, data: bytes, at: int, initial: quic.Header) -> None:
        """Decrypt by the packet's own connection id, else by that of the flow's first packet.

        The client's first packets, and those after a Retry, carry the id that keys them; once the
        server has chosen another id, the keys stay those of the first.
        """
        keys = quic.client_keys(initial.version, initial.destination)
        gathered = half.flow.quic
        for candidate in (keys, gathered.keys) if gathered is not None else (keys,):
            try:
                pieces = quic.crypto(data, at, initial, candidate)
            except quic.NotInitial:
                continue
            if gathered is None or candidate != gathered.keys:
                half.flow.quic = QuicHello(candidate)
            self._quic_hello(half, pieces)
            return

    def _quic_hello(self, half: Half, pieces: list[tuple[int, bytes]]) -> None:
        flow = half.flow
        flow.spoke = half
        if flow.quic is None or half.want <= 0:
            return
        for offset, piece in pieces:
            flow.quic.add(offset, piece, quic.LARGEST_CRYPTO)
        stream = flow.quic.stream()
        if len(stream) < 4 or len(stream) < 4 + int.from_bytes(stream[1:4], "big"):
            return
        try:
            self._take(half, self._parsed(stream, in_quic=True))
        except tls.NotTls:
            self._notes.unread["malformed hellos"] += 1
        half.want, half.peer.want = -1, 0
        flow.quic.pieces.clear()

    # --- DNS ----------------------------------------------------------------------------------

    def _dns(self, half: Half, data: bytes, time: float, transport: str, cut: bool) -> None:
        try:
            message = dns.parse(data)
        except dns.Malformed:
            self._notes.unread["DNS messages cut" if cut else "DNS messages malformed"] += 1
            return
        client = half.peer if message.response else half
        asked = (client.key, data[:2], message.question, message.type)
        if not message.response:
            self._ask(asked, time, half, transport)
            return
        if message.truncated and not message.addresses:
            # The client asks again over TCP; that answer counts.
            return
        known = self._asked.pop(asked, None)
        addresses = message.addresses
        if known is None and self._answered.get(client.key) == asked:
            return
        self._answered[client.key] = asked
        self._lookups.append(
            Lookup(
                known[0] if known else time,
                mac(client.mac),
                address(client.address),
                address(client.peer.address),
                message.question,
                message.type,
                True,
                message.rcode,
                addresses,
                message.chain,
                transport,
                bool(addresses) and all(is_null(one) for one in addresses),
            )
        )

    def _ask(self, asked: _Question, time: float, half: Half, transport: str) -> None:
        self._asked.setdefault(asked, (time, half, transport))
        if len(self._asked) > _MOST_QUESTIONS:
            oldest = next(iter(self._asked))
            was, who, how = self._asked.pop(oldest)
            self._lookups.append(_unanswered(was, who, oldest[2], oldest[3], how))

    # --- streams ------------------------------------------------------------------------------

    def segment(self, half: Half, data: bytes, time: float, sequence: int) -> None:
        """Look into a TCP payload, together with those before and after it."""
        if not data:
            return
        # Most hellos and requests come whole, in the first segment.
        whole = half.segments is None and half.isn + 1 == sequence and not half.flow.dns
        if whole and self._read(half, data) is not None:
            half.want = 0
            return
        waiting = half.segments = half.segments if half.segments is not None else {}
        kept = waiting.get(sequence, b"")
        if len(data) > len(kept):
            waiting[sequence] = data
            self._waiting += len(data) - len(kept)
        half.want -= 1
        if half.flow.dns:
            self._dns_stream(half, time)
        elif not whole:
            self._hello(half)
        full = len(half.segments or ()) > _MOST_SEGMENTS or self._waiting > MOST_WAITING
        if half.want <= 0 or full:
            self.unfinished(half)

    def greet(self, half: Half, hello: tls.ClientHello | tls.ServerHello) -> bool:
        """Take a known hello, which is whole in the first segment, as ``segment`` would.

        False when there is more to do than that.
        """
        more = isinstance(hello, tls.ServerHello) and hello.version in tls.SHOWS_CERTIFICATE
        if more or half.segments is not None or half.flow.dns:
            return False
        self._take(half, hello)
        half.want = 0
        return True

    def unfinished(self, half: Half) -> None:
        """Stop waiting for the beginning of a stream; one that was seen to start is counted.

        A server whose hello was read is not: only its certificate is missing.
        """
        greeted = half.flow.server_hello and half is not half.flow.client
        if half.segments and half.isn >= 0 and not greeted:
            self._notes.unread["beginnings of streams not put together"] += 1
        if half.flow.quic is not None and half.want > 0 and half is half.flow.a:
            self._notes.unread["QUIC hellos not put together"] += 1
        self._forget(half)

    def _forget(self, half: Half) -> None:
        self._waiting -= sum(map(len, (half.segments or {}).values()))
        half.segments = None
        half.want = 0

    def _hello(self, half: Half) -> None:
        """Read the beginning of the stream, if all of it is there."""
        begun = False
        for base in _beginnings(half):
            stream = contiguous(half.segments or {}, base)
            if not stream:
                continue
            done = self._read(half, stream)
            if done:
                self._forget(half)
                return
            begun = begun or done is None
        if not begun and half.isn >= 0 and half.isn + 1 & WORD in (half.segments or {}):
            self._forget(half)

    def _read(self, half: Half, stream: bytes) -> bool | None:
        """Take a hello or a request. True: read. False: it is neither. ``None``: more is needed."""
        done = self._tls(half, stream) if b"\x16\x03".startswith(stream[:2]) else False
        return self._http(half, stream) if done is False else done

    def _parsed(
        self, stream: bytes, *, in_quic: bool = False
    ) -> tls.ClientHello | tls.ServerHello | None:
        """The hello at the beginning; one that says what another said is not taken apart again.

        Raises ``NotTls``; ``None`` asks for more of a stream of TLS.
        """
        essence = self._essence(stream, in_quic) if self._essence is not None else b""
        if (known := self.hellos.get(essence)) is not None:
            return known
        found = tls.parse_hello(stream, "q") if in_quic else tls.hello(stream)
        if essence and found is not None:
            if len(self.hellos) == _MOST_HELLOS:
                self.hellos.clear()
            self.hellos[essence] = found
        return found

    def _tls(self, half: Half, stream: bytes) -> bool | None:
        """True: read. False: no TLS. ``None``: more is needed."""
        try:
            found = self._parsed(stream)
        except tls.NotTls as error:
            if str(error) == "malformed hello":
                self._notes.unread["malformed hellos"] += 1
            return False
        if found is None:
            return None
        self._take(half, found)
        if isinstance(found, tls.ServerHello) and found.version in tls.SHOWS_CERTIFICATE:
            return self._certificate(half, stream)
        return True

    def _certificate(self, half: Half, stream: bytes) -> bool | None:
        """Read the server's certificate. True: read, or none comes. ``None``: more is needed."""
        try:
            found = tls.certificate(stream)
        except tls.NotTls:
            return True
        if found is None:
            return None
        if found not in self._certificates:
            self._room -= len(found)
            if self._room < 0:
                self._notes.unread["certificates beyond the first 16 MiB"] += 1
                return True
        half.flow.certificate = self._certificates.setdefault(found, found)
        return True

    def _http(self, half: Half, stream: bytes) -> bool | None:
        if not http.may_begin(stream):
            return False
        named = http.request_host(stream)
        if named is None:
            return None
        half.flow.host = named
        half.flow.spoke = half
        return True

    def _take(self, half: Half, found: tls.ClientHello | tls.ServerHello | None) -> None:
        flow: LiveFlow = half.flow
        if isinstance(found, tls.ServerHello):
            flow.server_hello = found
            return
        flow.spoke = flow.spoke or half
        flow.hello = found

    def _dns_stream(self, half: Half, time: float) -> None:
        """DNS messages over TCP, each behind its length (RFC 7766)."""
        half.want = _ALWAYS
        waiting = half.segments or {}
        if half.base < 0:
            half.base = half.isn + 1 & WORD if half.isn >= 0 else next(iter(waiting))
        base = half.base
        stream, at = contiguous(waiting, base), 0
        while at + 2 <= len(stream):
            length = int.from_bytes(stream[at : at + 2], "big")
            if at + 2 + length > len(stream):
                break
            self._dns(half, stream[at + 2 : at + 2 + length], time, "tcp", cut=False)
            at += 2 + length
        if at:
            self._consume(half, stream, base, at)

    def _consume(self, half: Half, stream: bytes, base: int, count: int) -> None:
        end = base + len(stream) & WORD
        late = {at: data for at, data in (half.segments or {}).items() if at - end & WORD < 1 << 31}
        self._waiting -= sum(map(len, (half.segments or {}).values()))
        half.base = base + count & WORD
        half.segments = late | ({base + count & WORD: stream[count:]} if stream[count:] else {})
        self._waiting += sum(map(len, half.segments.values()))


def _beginnings(half: Half) -> list[int]:
    """Sequence numbers at which the stream may begin.

    After the SYN when that was seen; else wherever a segment starts like a hello or a request, for
    a capture may start in the middle of a flow.
    """
    if half.isn >= 0:
        return [half.isn + 1 & WORD]
    found = (
        at
        for at, data in (half.segments or {}).items()
        if data.startswith(b"\x16\x03") or http.may_begin(data[:8])
    )
    return list(islice(found, 4))


def _unanswered(time: float, half: Half, name: str, kind: str, transport: str) -> Lookup:
    return Lookup(
        time,
        mac(half.mac),
        address(half.address),
        address(half.peer.address),
        name,
        kind,
        False,
        -1,
        (),
        (),
        transport,
        False,
    )
