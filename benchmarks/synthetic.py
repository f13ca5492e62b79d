"""A synthetic capture of any size whose truth is known: ``synthetic.py FILE BYTES``.

Proportions of a large real capture: 57 packets a flow, 770 bytes a packet, a few packets in a
hundred that carry names. Six devices talk TLS 1.2 and 1.3, QUIC, HTTP, DNS and NTP over IPv4 and
IPv6; connections overlap; hellos come whole, in two segments and with the second segment first;
segments are sent twice; ports are used again. Hellos are those of real TLS and QUIC stacks.
The truth goes to ``FILE.json``.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "outcomes"))
from captures_kit import answer, handshake, question, quic_datagrams

GIBIBYTE = 1 << 30
FLOWS = 23_789
"""In a capture of one GiB."""
NAMES = 300
AT_ONCE = 60
GATEWAY = "192.168.77.1"
GATEWAY_MAC = bytes.fromhex("0200000000fe")
FIN, SYN, PSH, ACK = 1, 2, 8, 16
_TIMESTAMPS = bytes.fromhex("0101080a0000000100000001")
_SEGMENT = 1400
_Frames = Iterator[bytes]


@dataclass
class Truth:
    """What a perfect reader finds."""

    packets: int = 0
    octets: int = 0
    flows: list[Flow] = field(default_factory=list)
    lookups: list[tuple[str, str, str, list[str]]] = field(default_factory=list)
    """Client, question, type, addresses."""


class Flow:
    """One connection: makes its frames and counts them."""

    def __init__(
        self, device: int, port: int, server: str, server_port: int, protocol: int
    ) -> None:
        v6 = ":" in server
        self.mac = bytes([2, 0, 0, 0, 0, device])
        self.client = f"fd00::{device:x}" if v6 else f"192.168.77.{device}"
        self.port, self.server, self.server_port = port, server, server_port
        self.protocol, self.name, self.next = protocol, "", [port * 7919, port * 104729]
        self.packets, self.octets, self.payload = [0, 0], [0, 0], [0, 0]
        ends = [ip_address(end).packed for end in (self.client, server)]
        macs = [GATEWAY_MAC + self.mac, self.mac + GATEWAY_MAC]
        self._heads = [
            _network(macs[side], ends[side], ends[1 - side], protocol) for side in (0, 1)
        ]
        self._ports = [struct.pack("!HH", port, server_port), struct.pack("!HH", server_port, port)]

    def row(self) -> list[object]:
        """The flow as compared with what a reader found."""
        ends = (self.mac.hex(":"), self.client, self.port, self.server, self.server_port)
        counts = (*self.packets, *self.octets, *self.payload)
        return [*ends, "tcp" if self.protocol == 6 else "udp", *counts, self.name]

    def datagram(self, side: int, data: bytes) -> bytes:
        """A UDP datagram of one side: 0 is the client's, 1 the server's."""
        self.payload[side] += len(data)
        head = self._ports[side] + struct.pack("!HH", 8 + len(data), 0)
        return self._frame(side, head + data)

    def segment(self, side: int, data: bytes = b"", flags: int = ACK) -> bytes:
        """The next TCP segment of one side."""
        sent = self.again(side, self.next[side], data, flags)
        self.payload[side] += len(data)
        self.next[side] += len(data) + (flags & SYN > 0) + (flags & FIN)
        return sent

    def again(self, side: int, sequence: int, data: bytes, flags: int = ACK) -> bytes:
        """A TCP segment at any place of the stream, of which nothing is new."""
        acknowledged = self.next[1 - side] & 0xFFFFFFFF
        numbers = struct.pack("!IIHHI", sequence & 0xFFFFFFFF, acknowledged, 0x8000 | flags, 502, 0)
        return self._frame(side, self._ports[side] + numbers + _TIMESTAMPS + data)

    def _frame(self, side: int, carried: bytes) -> bytes:
        before, after, v6 = self._heads[side]
        length = struct.pack("!H", len(carried) + (0 if v6 else 20))
        frame = before + length + after + carried
        self.packets[side] += 1
        self.octets[side] += len(frame)
        return frame


def _network(macs: bytes, source: bytes, target: bytes, protocol: int) -> tuple[bytes, bytes, bool]:
    """Ethernet and IP header, before and after the length."""
    if len(source) == 16:
        before = macs + b"\x86\xdd" + b"\x60\0\0\0"
        return before, bytes([protocol, 64]) + source + target, True
    after = b"\x12\x34\x40\0\x40" + bytes([protocol]) + b"\0\0" + source + target
    return macs + b"\x08\0\x45\0", after, False


class World:
    """Makes connections at random; its randomness is seeded."""

    def __init__(self, truth: Truth, seed: int) -> None:
        self._truth = truth
        self._random = random.Random(seed)
        self._names = [f"h{n}.service{n % 40}.example" for n in range(NAMES)]
        self._port = 0
        self._ended: list[Flow] = []
        self._filler = self._random.randbytes(1 << 16)

    def connection(self) -> _Frames:
        """Frames of a new connection."""
        number = self._random.randrange(NAMES)
        name = self._names[number]
        v6 = number % 10 == 0
        server = f"2001:db8::{number + 1:x}" if v6 else f"198.18.{number // 200}.{number % 200 + 1}"
        kind = self._random.random()
        if kind < 0.14:
            return self._lookup(name, server)
        if kind < 0.19:
            return self._time()
        if kind < 0.27:
            return self._quic(name, server, number)
        return self._web(name, server) if kind < 0.32 else self._secure(name, server)

    def _flow(self, server: str, port: int, protocol: int) -> Flow:
        self._port += 1
        flow = Flow(10 + self._port % 6, 20_000 + self._port // 6 % 40_000, server, port, protocol)
        return self._begin(flow)

    def _again(self, old: Flow) -> Flow:
        """Another connection between the ports of one that has ended."""
        flow = Flow(old.mac[-1], old.port, old.server, old.server_port, old.protocol)
        flow.next = [number + 500_000_000 for number in old.next]
        return self._begin(flow)

    def _begin(self, flow: Flow) -> Flow:
        self._truth.flows.append(flow)
        return flow

    def _lookup(self, name: str, server: str) -> _Frames:
        flow = self._flow(GATEWAY, 53, 17)
        kind = "AAAA" if ":" in server else "A"
        through = [f"edge.{name}"] if len(name) % 2 else []
        self._truth.lookups.append((flow.client, name, kind, [server]))
        number = self._random.randrange(1, 65536)
        yield flow.datagram(0, question(name, kind, number))
        yield flow.datagram(1, answer(name, server, number=number, through=through, kind=kind))

    def _time(self) -> _Frames:
        flow = self._flow("198.18.9.9", 123, 17)
        yield flow.datagram(0, b"\x23" + b"\0" * 47)
        yield flow.datagram(1, b"\x24" + b"\0" * 47)

    def _quic(self, name: str, server: str, number: int) -> _Frames:
        flow = self._flow(server, 443, 17)
        flow.name = name
        for data in quic_datagrams(name, padded=8 if number % 4 == 0 else 0):
            yield flow.datagram(0, data)
        yield flow.datagram(1, b"\xe0\0\0\0\1\x08" + self._bytes(1200))
        for _ in range(self._rounds()):
            yield flow.datagram(0, b"\x41" + self._bytes(self._random.randrange(40, 400)))
            for _ in range(self._random.randrange(1, 6)):
                yield flow.datagram(1, b"\x42" + self._bytes(1250))

    def _web(self, name: str, server: str) -> _Frames:
        flow = self._flow(server, 80, 6)
        flow.name = name
        request = f"GET /ad?id=1 HTTP/1.1\r\nHost: {name}\r\nAccept: */*\r\n\r\n".encode()
        return self._stream(flow, request, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")

    def _secure(self, name: str, server: str) -> _Frames:
        if self._ended and self._random.random() < 0.01:
            flow = self._again(self._ended.pop())
        else:
            flow = self._flow(server, 443, 6)
        flow.name = name
        version = "1.2" if len(name) % 4 == 0 else "1.3"
        return self._stream(flow, *handshake(name, version))

    def _stream(self, flow: Flow, up: bytes, down: bytes) -> _Frames:
        yield flow.segment(0, flags=SYN)
        yield flow.segment(1, flags=SYN | ACK)
        yield flow.segment(0)
        yield from self._beginning(flow, up)
        for at in range(0, len(down), _SEGMENT):
            yield flow.segment(1, down[at : at + _SEGMENT])
        for _ in range(self._rounds()):
            yield from self._round(flow)
        yield flow.segment(0, flags=FIN | ACK)
        yield flow.segment(1, flags=FIN | ACK)
        yield flow.segment(0)
        self._ended = [flow]

    def _beginning(self, flow: Flow, hello: bytes) -> _Frames:
        """A hello: whole, cut in two, or its second half first."""
        how = self._random.random()
        middle = len(hello) // 2
        if how >= 0.2:
            yield flow.segment(0, hello, PSH | ACK)
            return
        parts = [flow.segment(0, hello[:middle]), flow.segment(0, hello[middle:], PSH | ACK)]
        yield from parts if how >= 0.02 else parts[::-1]

    def _round(self, flow: Flow) -> _Frames:
        yield flow.segment(0, self._bytes(self._random.randrange(60, 600)), PSH | ACK)
        for number in range(self._random.randrange(1, 8)):
            data = self._bytes(_SEGMENT if number % 3 else self._random.randrange(400, _SEGMENT))
            yield flow.segment(1, data)
            if self._random.random() < 0.01:
                yield flow.again(1, flow.next[1] - len(data), data)
            if number % 2:
                yield flow.segment(0)

    def _rounds(self) -> int:
        return 1 + min(400, int(self._random.expovariate(1 / 9.0)))

    def _bytes(self, count: int) -> bytes:
        at = self._random.randrange(len(self._filler) - count)
        return self._filler[at : at + count]


def make(path: Path, size: int, seed: int = 1) -> None:
    """Write a capture of about ``size`` bytes and its truth beside it."""
    truth = Truth()
    world = World(truth, seed)
    rest = max(1, round(FLOWS * size / GIBIBYTE))
    pick = random.Random(seed)
    active: list[_Frames] = []
    head = struct.Struct("<IIII").pack
    now = 1_700_000_000_000_000
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        while active or rest:
            while rest and len(active) < AT_ONCE:
                active.append(world.connection())
                rest -= 1
            index = pick.randrange(len(active))
            frame = next(active[index], None)
            if frame is None:
                active[index] = active[-1]
                active.pop()
                continue
            now += 500
            file.write(head(now // 1_000_000, now % 1_000_000, len(frame), len(frame)) + frame)
            truth.packets += 1
            truth.octets += len(frame)
    rows = [flow.row() for flow in truth.flows]
    found = {"packets": truth.packets, "octets": truth.octets, "flows": rows}
    path.with_name(path.name + ".json").write_text(json.dumps(found | {"lookups": truth.lookups}))


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
