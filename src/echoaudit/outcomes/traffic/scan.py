"""The scanner: packet records to flows and names in one pass.

Every packet costs one unpack and one look-up; only packets that may carry a name are looked into:
DNS, the beginning of a TCP stream, QUIC Initials. Memory grows with flows, not with packets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from struct import Struct

from echoaudit.outcomes.traffic import headers, inspect, quic
from echoaudit.outcomes.traffic.containers import ETHERNET, Record
from echoaudit.outcomes.traffic.flows import (
    ACK,
    FIN,
    QUIET,
    RST,
    SYN,
    WORD,
    Flow,
    Half,
    LiveFlow,
    State,
    Traffic,
)
from echoaudit.outcomes.traffic.fragments import Fragments
from echoaudit.outcomes.traffic.headers import TCP, UDP
from echoaudit.outcomes.traffic.hidden import hides
from echoaudit.outcomes.traffic.notes import Notes
from echoaudit.outcomes.traffic.quick import Frame, Quick, essence
from echoaudit.outcomes.traffic.tls import ClientHello, ServerHello

_TCP_LOOKS = 24
"""Packets with payload that may pass before the beginning of a stream must have been seen."""
_UDP_LOOKS = 16
_FAR = 1 << 20
"""Bytes between a late SYN and data seen before it, beyond which the SYN begins another flow."""
_quick4 = Struct("!12xIH2xI2x12sI4xH").unpack_from
"""Ethertype to service, IP length, flags to protocol, addresses and ports, TCP's numbers."""
_quick6 = Struct("!18xHBx36sI4xH").unpack_from
_PLAIN_IPV4 = 0x080045
"""Ethertype, version, header without options."""
_PLAIN_IPV6 = 0x86DD6
_LONG_HEADER = 0xC0
"""A QUIC packet of a connection's beginning has a first byte of at least that."""
_WHOLE = 0x3FFF00FF
"""Bits of a fragment's place, which are 0 for a whole packet, and of the protocol."""
_HEADS: list[int] = []
"""Header length by TCP's offset and flags; beyond any packet for SYN, RST and nonsense."""
for _size in [*(5 * [1 << 20]), *range(20, 64, 4)]:
    _HEADS += 512 * [1 << 20 if flags & (SYN | RST) else _size for flags in range(8)]
_ports = Struct("!4sI4xH").unpack_from
_ends4, _ends6 = Struct("!4s4sHH").unpack, Struct("!16s16sHH").unpack
_SILENT, _NO_HELLO = ServerHello("", ""), ClientHello("", (), "", False)


class Scanner:
    """Takes packet records, keeps flows; ``finish`` gives the result.

    With ``compiled`` the records come through ``quick``, which takes all plain packets before.
    """

    def __init__(self, notes: Notes, device: bytes = b"", *, compiled: bool = False) -> None:
        self.notes = notes
        self._device = device
        """MAC of the device whose flows are of interest: where nothing else tells, the client."""
        self.names = inspect.Names(notes, essence if compiled else None)
        self._tcp: dict[bytes, Half] = {}
        self._udp: dict[bytes, Half] = {}
        self.quick: Quick | None = None
        if compiled:
            names = self.names
            look = names.segment, names.datagram, names.hellos, names.greet
            self.quick = Quick(self._tcp, self._udp, self._open, *look)
        self._flows: list[LiveFlow] = []
        self._fragments = Fragments(notes)
        self._packets = 0
        self._octets = 0
        self._first, self._last = math.inf, -math.inf

    def feed(self, records: Iterator[Record]) -> None:
        """Scan packets until there are no more."""
        tcp, udp, heads = self._tcp.get, self._udp.get, _HEADS
        plain, other = self._plain, self._other
        packets = octets = 0
        for record in records:
            buffer, at, captured, original, time, link = record
            packets += 1
            octets += original
            if link == ETHERNET and captured >= 54:
                kind, length, rest, key, sequence, flags = _quick4(buffer, at)
                if kind >> 8 == _PLAIN_IPV4:
                    protocol = rest & _WHOLE
                    length -= 20
                elif kind >> 12 == _PLAIN_IPV6 and captured >= 74:
                    length, protocol, key, sequence, flags = _quick6(buffer, at)
                else:
                    other(record)
                    continue
                if protocol == TCP:
                    half = tcp(key)
                    if half is not None and time >= half.last:
                        carried = length - heads[flags]
                        if carried == 0 or (carried > 0 and sequence == half.next):
                            half.packets += 1
                            half.octets += original
                            half.last = time
                            if carried:
                                half.next = sequence + carried
                            if flags & FIN:
                                half.ended = True
                            continue
                elif protocol == UDP:
                    half = udp(key)
                    if (
                        half is not None
                        and 0 <= time - half.last <= QUIET
                        and length >= 8
                        and not (half.want and _looked(half, buffer, at, length))
                    ):
                        half.packets += 1
                        half.octets += original
                        half.last = time
                        half.payload += length - 8
                        continue
                plain(protocol, key, length, record)
                continue
            other(record)
        self._packets += packets
        self._octets += octets

    def finish(self) -> Traffic:
        """All flows, in order of their first packet, and all names."""
        self._fragments.finish()
        if self.quick is not None:
            self._packets += self.quick.packets
            self._octets += self.quick.octets
        for table in (self._tcp, self._udp):
            for half in table.values():
                self._end(half)
        flows = [_flow(live, self._device) for live in self._flows]
        flows.sort(key=lambda flow: (flow.first, flow.client_port, flow.server, flow.server_port))
        self.notes.hidden.update(filter(None, map(hides, flows)))
        first = min([self._first, *(flow.first for flow in flows)])
        last = max([self._last, *(flow.last for flow in flows)])
        lookups = self.names.finish()
        for live in self._flows:
            live.untie()
        return Traffic(
            flows,
            lookups,
            self._packets,
            self._octets,
            first if self._packets else None,
            last if self._packets else None,
            self.notes,
        )

    def _end(self, half: Half) -> None:
        half.settle()
        if half.want:
            self.names.unfinished(half)

    def _plain(self, protocol: int, key: bytes, length: int, record: Record) -> None:
        """A packet with plain headers that must be looked into: ``length`` bytes behind IP's."""
        if length < 20 or protocol not in (TCP, UDP):
            self._other(record)
            return
        buffer, at, captured, original, time, _ = record
        begin = at + (34 if len(key) == 12 else 54)
        data = buffer[begin : min(at + captured, begin + length)]
        frame = (1, original, time, buffer[at + 6 : at + 12], buffer[at : at + 6])
        take = self._stream if protocol == TCP else self._datagram
        take(key, data, length, frame)

    def _other(self, record: Record) -> None:
        """A packet that the quick way does not know, or that must be looked into."""
        buffer, at, captured, original, time, link = record
        self._first, self._last = min(self._first, time), max(self._last, time)
        stop = at + captured
        found = headers.network(link, buffer, at, stop, self.notes)
        if found is None:
            return
        carried = headers.transport(found, buffer, stop, self.notes)
        if carried is None:
            return
        if carried.protocol not in (TCP, UDP):
            self.notes.other[_protocol(carried.protocol)] += 1
            return
        end = min(stop, carried.at + carried.length)
        data = buffer[carried.at : end]
        frame = (1, original, time, found.source, found.target)
        if carried.fragment is None:
            self._segment(carried, data, carried.length, frame)
        elif (whole := self._fragments.add(carried, data, original)) is not None:
            datagram, packets, octets = whole
            frame = (packets, octets, time, found.source, found.target)
            self._segment(carried, datagram, len(datagram), frame)

    def _segment(self, carried: headers.Transport, data: bytes, length: int, frame: Frame) -> None:
        """A TCP segment or UDP datagram: ``data`` is what was captured of ``length`` bytes."""
        if len(data) < (14 if carried.protocol == TCP else 8):
            self.notes.unread["transport headers cut"] += 1
        elif carried.protocol == UDP:
            self._datagram(carried.source + carried.target + data[:4], data, length, frame)
        else:
            self._stream(carried.source + carried.target + data[:4], data, length, frame)

    def _datagram(self, key: bytes, data: bytes, length: int, frame: Frame) -> None:
        half = self._udp.get(key)
        if half is not None and (frame[2] - _last(half) > QUIET or _another(half, data[8:])):
            self._end(half)
            self._end(half.peer)
            half = None
        if half is None:
            half = self._open(UDP, key, *frame[2:])
        _add(half, frame)
        half.payload += max(0, length - 8)
        if half.want > 0:
            self.names.datagram(half, data[8:], frame[2], length - 8)

    def _stream(self, key: bytes, data: bytes, length: int, frame: Frame) -> None:
        _, sequence, flags = _ports(data)
        size = flags >> 12 << 2
        half = self._tcp_half(key, sequence, flags, frame)
        _add(half, frame)
        if flags & (SYN | FIN | RST):
            _control(half, sequence, flags)
        if length > size >= 20:
            begin = sequence + 1 & WORD if flags & SYN else sequence
            half.payload += half.fresh(begin, length - size)
            if half.want:
                self.names.segment(half, data[size:], frame[2], begin)
        half.next = -1 if half.want else half.expected

    def _tcp_half(self, key: bytes, sequence: int, flags: int, frame: Frame) -> Half:
        """The direction a segment belongs to; a SYN may begin another flow of the same ports."""
        half = self._tcp.get(key)
        if half is None:
            return self._open(TCP, key, *frame[2:])
        half.settle()
        if flags & SYN and not _same_flow(half, sequence, flags):
            self._end(half)
            self._end(half.peer)
            return self._open(TCP, key, *frame[2:])
        return half

    def _open(self, protocol: int, key: bytes, time: float, source: bytes, target: bytes) -> Half:
        """A flow whose first packet goes from the MAC ``source`` to ``target``; its first side."""
        table, want = (self._tcp, _TCP_LOOKS) if protocol == TCP else (self._udp, _UDP_LOOKS)
        flow = LiveFlow(protocol, key, want, source, target)
        self._flows.append(flow)
        here, there = flow.a, flow.b
        table[there.key] = there
        table[key] = here
        here.first = time
        if target:
            there.first = time
        return here


def _same_flow(half: Half, sequence: int, flags: int) -> bool:
    """Whether a SYN is of the flow that is known: repeated, answering, or late."""
    if half.isn >= 0:
        return half.isn == sequence
    if half.expected >= 0:
        return half.expected - sequence & WORD < _FAR
    answers = flags & ACK and not half.packets
    return bool(answers) or not (half.flow.ended or half.flow.reset)


def _looked(half: Half, buffer: bytes, at: int, length: int) -> bool:
    """Whether the datagram in the frame at ``at`` is looked into: all, or what may be QUIC's."""
    begin = at + (42 if len(half.key) == 12 else 62)
    return half.want > 0 or (length > 8 and buffer[begin] >= _LONG_HEADER)


def _another(half: Half, data: bytes) -> bool:
    """Whether a datagram of a QUIC client begins another connection between the same ports."""
    known = half.flow.quic
    if half.want >= 0 or known is None or not quic.is_long_header(data):
        return False
    return quic.begins_another(data, known.keys, half.peer.payload)


def _last(half: Half) -> float:
    """When either side of a flow was last heard."""
    return max(side.last for side in (half, half.peer) if side.packets)


def _add(half: Half, frame: Frame) -> None:
    packets, octets, time, source, _ = frame
    if not half.packets:
        half.first = half.last = time
        half.mac = half.mac or source
    elif time > half.last:
        half.last = time
    elif time < half.first:
        half.first = time
    half.packets += packets
    half.octets += octets


def _control(half: Half, sequence: int, flags: int) -> None:
    """Take note of SYN, FIN and RST."""
    flow = half.flow
    if flags & SYN:
        half.isn = sequence
        half.syn = half.syn or flags & (SYN | ACK)
        if half.expected < 0:
            half.expected = sequence + 1 & WORD
    if flags & RST:
        # A reset that answers a SYN refuses it; later ones end the flow.
        flow.refused = flow.refused or (half.peer.isn >= 0 and not flow.syn_ack)
        flow.reset = True
    if flags & FIN:
        half.ended = True


def _flow(live: LiveFlow, device: bytes) -> Flow:
    client = _client(live, device)
    server = client.peer
    key = client.key
    source, target, port, server_port = (_ends4 if len(key) == 12 else _ends6)(key)
    first, last = client.first, client.last
    if not client.packets:
        first, last = server.first, server.last
    elif server.packets:
        first = first if first < server.first else server.first
        last = last if last > server.last else server.last
    version, server_alpn = live.server_hello or _SILENT
    sni, alpn, ja4, ech = live.hello or _NO_HELLO
    if live.quic_version and live.hello is not None and not version:
        version = "TLS 1.3"
    opened = _opened(live)
    return Flow._make(
        (
            headers.mac(client.mac),
            headers.address(source),
            port,
            headers.address(target),
            server_port,
            "tcp" if live.protocol == TCP else "udp",
            first,
            last,
            client.packets,
            server.packets,
            client.octets,
            server.octets,
            client.payload,
            server.payload,
            version,
            sni,
            server_alpn or ",".join(alpn),
            ja4,
            ech,
            live.quic_version,
            live.host,
            opened,
            _state(live, opened, client, server),
            live.certificate,
        )
    )


def _client(live: LiveFlow, device: bytes) -> Half:
    """Who opened the flow.

    Its SYN or hello tells; else the device that is studied; else the higher port; else who spoke
    first.
    """
    if (client := live.client) is not None:
        return client
    if device and live.a.mac != live.b.mac and device in (live.a.mac, live.b.mac):
        return live.a if live.a.mac == device else live.b
    if live.a.port != live.b.port and min(live.a.port, live.b.port) < 10000:
        return live.a if live.a.port > live.b.port else live.b
    return live.a


def _state(live: LiveFlow, opened: bool, client: Half, server: Half) -> State:
    if live.refused and not live.syn_ack:
        return "refused"
    if live.protocol == UDP or opened:
        if not server.packets:
            return "unanswered"
        if not client.packets:
            return "one-way"
    if live.reset or live.ended:
        return "reset" if live.reset else "closed"
    return "established" if live.protocol == UDP or opened else "midstream"


def _opened(live: LiveFlow) -> bool:
    if live.protocol == UDP:
        return bool(live.quic_version)
    return live.syn_ack or live.a.isn >= 0 or live.b.isn >= 0


def _protocol(number: int) -> str:
    return {headers.ICMP: "ICMP", headers.ICMPV6: "ICMPv6", 2: "IGMP"}.get(
        number, f"IP protocol {number}"
    )
