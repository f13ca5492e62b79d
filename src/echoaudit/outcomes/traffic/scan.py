"""The scanner: packet records to flows and names in one pass.

Every packet costs one unpack and one look-up; only packets that may carry a name are looked into:
DNS, the beginning of a TCP stream, QUIC Initials. Memory grows with flows, not with packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from echoaudit.outcomes.traffic import headers, inspect
from echoaudit.outcomes.traffic.containers import NANO, Record
from echoaudit.outcomes.traffic.flows import (
    ACK,
    FIN,
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
from echoaudit.outcomes.traffic.headers import IPV4, IPV6, TCP, UDP
from echoaudit.outcomes.traffic.notes import Notes

_ETHERNET = 1
_TCP_LOOKS = 24
"""Packets with payload that may pass before the beginning of a stream must have been seen."""
_UDP_LOOKS = 16
_FAR = 1 << 20
"""Bytes between a late SYN and data seen before it, beyond which the SYN begins another flow."""
_quick4 = Struct("!12xHBxH2xHxBxx12sI4xH").unpack_from
_quick6 = Struct("!12xHBxxxHBx36sI4xH").unpack_from
_ports = Struct("!4sI4xH").unpack_from


class _Frame(NamedTuple):
    """What a segment came in: several packets if it was cut into fragments."""

    packets: int
    octets: int
    ns: int
    source: bytes
    target: bytes


class Scanner:
    """Takes packet records, keeps flows; ``finish`` gives the result."""

    def __init__(self, notes: Notes, device: bytes = b"") -> None:
        self.notes = notes
        self._device = device
        """MAC of the device whose flows are of interest: where nothing else tells, the client."""
        self.names = inspect.Names(notes)
        self._tcp: dict[bytes, Half] = {}
        self._udp: dict[bytes, Half] = {}
        self._done: list[LiveFlow] = []
        self._fragments = Fragments(notes)
        self._packets = 0
        self._octets = 0
        self._first: int | None = None
        self._last = 0

    def feed(self, records: Iterator[Record]) -> None:
        """Scan packets until there are no more."""
        tcp, udp, other = self._tcp.get, self._udp.get, self._other
        packets = octets = 0
        first, last = 1 << 200, -(1 << 200)
        try:
            for record in records:
                buffer, at, captured, original, ns, link = record
                packets += 1
                octets += original
                last = max(last, ns)
                first = min(first, ns)
                if link == _ETHERNET and captured >= 54:
                    kind, version, length, fragment, protocol, key, sequence, flags = _quick4(
                        buffer, at
                    )
                    if kind == IPV4 and version == 0x45 and not fragment & 0x3FFF:
                        length -= 20
                    elif kind == IPV6 and version >> 4 == 6 and captured >= 74:
                        kind, version, length, protocol, key, sequence, flags = _quick6(buffer, at)
                    else:
                        other(record)
                        continue
                    if protocol == TCP:
                        half = tcp(key)
                        carried = length - (flags >> 12 << 2)
                        if (
                            half is not None
                            and not flags & 7
                            and (carried == 0 or (sequence == half.expected and carried > 0))
                            and not (carried and half.want)
                        ):
                            half.packets += 1
                            half.octets += original
                            half.last = max(half.last, ns)
                            if carried:
                                half.payload += carried
                                half.expected = sequence + carried & WORD
                            continue
                    elif protocol == UDP:
                        half = udp(key)
                        if half is not None and not half.want and length >= 8:
                            half.packets += 1
                            half.octets += original
                            half.payload += length - 8
                            half.last = max(half.last, ns)
                            continue
                other(record)
        finally:
            self._count(packets, octets, first, last)

    def finish(self) -> Traffic:
        """All flows, in order of their first packet, and all names."""
        self._fragments.finish()
        live = {id(half.flow): half.flow for half in (*self._tcp.values(), *self._udp.values())}
        for flow in live.values():
            self.names.unfinished(flow.a)
            self.names.unfinished(flow.b)
        flows = [_flow(flow, self._device) for flow in (*self._done, *live.values())]
        flows.sort(key=lambda flow: (flow.first, flow.client_port, flow.server, flow.server_port))
        seen = self._first is not None
        return Traffic(
            flows,
            self.names.finish(),
            self._packets,
            self._octets,
            (self._first or 0) / NANO if seen else None,
            self._last / NANO if seen else None,
            self.notes,
        )

    def _count(self, packets: int, octets: int, first: int, last: int) -> None:
        if packets:
            self._first = first if self._first is None else min(self._first, first)
            self._last = max(self._last, last) if self._packets else last
        self._packets += packets
        self._octets += octets

    def _other(self, record: Record) -> None:
        """A packet that the quick way does not know, or that must be looked into."""
        buffer, at, captured, original, ns, link = record
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
        frame = _Frame(1, original, ns, found.source, found.target)
        if carried.fragment is None:
            self._segment(carried, data, carried.length, frame)
        elif (whole := self._fragments.add(carried, data, original)) is not None:
            datagram, packets, octets = whole
            frame = frame._replace(packets=packets, octets=octets)
            self._segment(carried, datagram, len(datagram), frame)

    def _segment(self, carried: headers.Transport, data: bytes, length: int, frame: _Frame) -> None:
        """A TCP segment or UDP datagram: ``data`` is what was captured of ``length`` bytes."""
        if len(data) < (14 if carried.protocol == TCP else 8):
            self.notes.unread["transport headers cut"] += 1
        elif carried.protocol == UDP:
            self._datagram(carried.source + carried.target + data[:4], data, length, frame)
        else:
            self._stream(carried.source + carried.target + data[:4], data, length, frame)

    def _datagram(self, key: bytes, data: bytes, length: int, frame: _Frame) -> None:
        half = self._udp.get(key) or self._open(self._udp, UDP, key, _UDP_LOOKS)
        _add(half, frame)
        half.payload += max(0, length - 8)
        if half.want:
            self.names.datagram(half, data[8:], frame.ns, length > len(data))

    def _stream(self, key: bytes, data: bytes, length: int, frame: _Frame) -> None:
        _, sequence, flags = _ports(data + b"\0\0")
        size = flags >> 12 << 2
        half = self._tcp_half(key, sequence, flags)
        _add(half, frame)
        _control(half, sequence, flags)
        if length > size >= 20:
            begin = sequence + 1 & WORD if flags & SYN else sequence
            half.payload += half.fresh(begin, length - size)
            if half.want:
                self.names.segment(half, begin, data[size:], frame.ns)

    def _tcp_half(self, key: bytes, sequence: int, flags: int) -> Half:
        """The direction a segment belongs to; a SYN may begin another flow of the same ports."""
        half = self._tcp.get(key)
        if half is None:
            return self._open(self._tcp, TCP, key, _TCP_LOOKS)
        if flags & SYN and not _same_flow(half, sequence):
            self._done.append(half.flow)
            self.names.unfinished(half)
            self.names.unfinished(half.peer)
            return self._open(self._tcp, TCP, key, _TCP_LOOKS)
        return half

    def _open(self, table: dict[bytes, Half], protocol: int, key: bytes, want: int) -> Half:
        flow = LiveFlow(protocol, key, want)
        table[flow.b.key] = flow.b
        table[key] = flow.a
        return flow.a


def _same_flow(half: Half, sequence: int) -> bool:
    """Whether a SYN is of the flow that is known: repeated, answering, or late."""
    if half.isn >= 0:
        return half.isn == sequence
    if half.expected >= 0:
        return half.expected - sequence & WORD < _FAR
    return not half.flow.ended and not half.flow.reset


def _add(half: Half, frame: _Frame) -> None:
    half.first = min(half.first, frame.ns) if half.packets else frame.ns
    half.last = max(half.last, frame.ns) if half.packets else frame.ns
    half.packets += frame.packets
    half.octets += frame.octets
    half.mac = half.mac or frame.source
    half.peer.mac = half.peer.mac or frame.target


def _control(half: Half, sequence: int, flags: int) -> None:
    """Take note of SYN, FIN and RST."""
    flow = half.flow
    if flags & SYN:
        half.isn = sequence
        if half.expected < 0:
            half.expected = sequence + 1 & WORD
        flow.syn_ack = flow.syn_ack or bool(flags & ACK)
        flow.client = half.peer if flags & ACK else half
    if flags & RST:
        # A reset that answers a SYN refuses it; later ones end the flow.
        flow.refused = flow.refused or (half.peer.isn >= 0 and not flow.syn_ack)
        flow.reset = True
    if flags & FIN:
        flow.ended = True


def _flow(live: LiveFlow, device: bytes) -> Flow:
    client = _client(live, device)
    server = client.peer
    times = [half for half in (client, server) if half.packets]
    first = min(half.first for half in times)
    last = max(half.last for half in times)
    return Flow(
        inspect.mac(client.mac),
        inspect.address(client.address),
        client.port,
        inspect.address(server.address),
        server.port,
        "tcp" if live.protocol == TCP else "udp",
        first / NANO,
        last / NANO,
        client.packets,
        server.packets,
        client.octets,
        server.octets,
        client.payload,
        server.payload,
        live.server_tls or ("TLS 1.3" if live.quic_version and live.sni is not None else ""),
        live.sni or "",
        live.server_alpn or ",".join(live.alpn),
        live.ja4,
        live.ech,
        live.quic_version,
        live.host or "",
        _opened(live),
        _state(live, client, server),
    )


def _client(live: LiveFlow, device: bytes) -> Half:
    """Who opened the flow.

    Its SYN or hello tells; else the device that is studied; else the higher port; else who spoke
    first.
    """
    if live.client is not None:
        return live.client
    if device and live.a.mac != live.b.mac and device in (live.a.mac, live.b.mac):
        return live.a if live.a.mac == device else live.b
    if live.a.port != live.b.port and min(live.a.port, live.b.port) < 10000:
        return live.a if live.a.port > live.b.port else live.b
    return live.a


def _state(live: LiveFlow, client: Half, server: Half) -> State:
    if live.refused and not live.syn_ack:
        return "refused"
    if live.protocol == UDP or _opened(live):
        if not server.packets:
            return "unanswered"
        if not client.packets:
            return "one-way"
    if live.reset or live.ended:
        return "reset" if live.reset else "closed"
    return "established" if live.protocol == UDP or _opened(live) else "midstream"


def _opened(live: LiveFlow) -> bool:
    if live.protocol == UDP:
        return bool(live.quic_version)
    return live.syn_ack or live.a.isn >= 0 or live.b.isn >= 0


def _protocol(number: int) -> str:
    return {headers.ICMP: "ICMP", headers.ICMPV6: "ICMPv6", 2: "IGMP"}.get(
        number, f"IP protocol {number}"
    )
