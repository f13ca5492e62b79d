"""Servers of a finished capture that neither DNS nor their own connections name."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from echoaudit.recording import read_jsonl

_PACKET = 6
"""Block type of pcapng's Enhanced Packet Block."""
_SYN = 0x02
_TCP, _UDP = 6, 17
_CLEAR, _DNS = 80, 53
_A = 1
"""Type of DNS records that hold an IPv4 address."""
_BEGINNING = 16_384
"""Bytes of a connection that are looked at: more than any ClientHello."""


@dataclass(frozen=True, order=True)
class Server:
    """A server to ask."""

    address: str
    port: int
    tls: bool
    """Whether the device spoke TLS with it over TCP, as far as the capture shows."""
    sni: str = ""
    """A server name that the device itself gave at this address and port; else empty."""


@dataclass
class _Talk:
    """What a device said on one connection, from its beginning."""

    opened: bool = False
    first: int | None = None
    pieces: dict[int, bytes] = field(default_factory=dict)

    def add(self, sequence: int, flags: int, payload: bytes) -> None:
        if flags & _SYN:
            self.opened, self.first = True, sequence + 1 & 0xFFFFFFFF
        elif payload and self.first is not None:
            offset = sequence - self.first & 0xFFFFFFFF
            if offset + len(payload) <= _BEGINNING:
                self.pieces.setdefault(offset, payload)

    def beginning(self) -> bytes:
        """The bytes up to the first gap."""
        found = bytearray()
        for offset in sorted(self.pieces):
            if offset > len(found):
                break
            found += self.pieces[offset][len(found) - offset :]
        return bytes(found)


def unnamed_servers(
    capture: Path, mac: str, network: IPv4Network, known: frozenset[str]
) -> list[Server]:
    """Servers beyond the device's network that the gateway's own log and the capture do not name.

    A server counts as named when its address is in ``known`` or every connection to it gave a
    name: TLS by SNI, HTTP by Host. QUIC and DNS are left out.

    Args:
        capture: what dumpcap wrote.
        mac: the device's hardware address.
        network: its network.
        known: addresses that DNS answered with.
    """
    talks: dict[tuple[str, int, int, int], _Talk] = {}
    for protocol, address, port, own_port, segment in _sent(
        capture, bytes.fromhex(mac.replace(":", ""))
    ):
        named = address in known or _is_near(address, network)
        if named or port == _DNS or (protocol, port) == (_UDP, 443):
            continue
        talk = talks.setdefault((address, port, own_port, protocol), _Talk())
        if protocol == _TCP:
            talk.add(*segment)
    return sorted(set(_unnamed(talks)))


def _unnamed(talks: dict[tuple[str, int, int, int], _Talk]) -> Iterator[Server]:
    told: dict[tuple[str, int], str] = {}
    silent: list[tuple[str, int, bool]] = []
    for (address, port, _, protocol), talk in talks.items():
        said = talk.beginning()
        if protocol == _UDP:
            silent.append((address, port, False))
        elif name := server_name(said):
            told[address, port] = name
        elif said[:1] == b"\x16" or not talk.opened:
            silent.append((address, port, port != _CLEAR))
        elif said and b"\r\nhost:" not in said.lower():
            silent.append((address, port, False))
    for address, port, tls in silent:
        yield Server(address, port, tls, told.get((address, port), ""))


def server_name(hello: bytes) -> str:
    """The server name in a TLS ClientHello, as OpenSSL reads it; empty when there is none."""
    names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _connection, name, _context: names.append(name or "")
    incoming = ssl.MemoryBIO()
    incoming.write(hello)
    # There is no certificate to go on with; the name has been read by then.
    with suppress(ssl.SSLError):
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return names[0] if names else ""


def addresses_answered(folder: Path, mac: str) -> frozenset[str]:
    """The addresses that DNS gave a device in a session.

    By the slice of the gateway's DNS log, or where there is none by the packets of the capture.
    """
    names = folder / "names.jsonl"
    if not names.is_file():
        return frozenset(
            _addresses_in(folder / "traffic.pcapng", bytes.fromhex(mac.replace(":", "")))
        )
    answers = (event.get("answer") for event in read_jsonl(names) if isinstance(event, dict))
    return frozenset(str(answer) for answer in answers if _is_address(answer))


def _addresses_in(capture: Path, mac: bytes) -> Iterator[str]:
    """Addresses in DNS answers over UDP to a device."""
    from scapy.layers.dns import DNS

    for frame in _frames(capture):
        packet = frame[14:]
        if frame[:6] != mac or frame[12:14] != b"\x08\x00" or len(packet) < 28 or packet[9] != _UDP:
            continue
        body = packet[4 * (packet[0] & 15) :]
        if int.from_bytes(body[:2], "big") != _DNS:
            continue
        # boundary: scapy raises anything at a malformed message; it then names nothing.
        with suppress(Exception):
            records = DNS(body[8:]).an or []
            yield from [str(one.rdata) for one in records if one.type == _A]


def _is_address(value: object) -> bool:
    try:
        ip_address(str(value))
    except ValueError:
        return False
    return True


def _is_near(address: str, network: IPv4Network) -> bool:
    ip = IPv4Address(address)
    apart = ip.is_multicast or ip.is_link_local or ip.is_unspecified or ip.is_loopback
    return apart or ip in network or address == "255.255.255.255"


def _sent(capture: Path, mac: bytes) -> Iterator[tuple[int, str, int, int, tuple[int, int, bytes]]]:
    """IPv4 packets that a device sent: protocol, server, port, own port; of TCP the segment."""
    for frame in _frames(capture):
        if frame[6:12] != mac or frame[12:14] != b"\x08\x00" or len(frame) < 34:
            continue
        packet = frame[14:]
        head, protocol = 4 * (packet[0] & 15), packet[9]
        later = int.from_bytes(packet[6:8], "big") & 0x1FFF
        body = packet[head : int.from_bytes(packet[2:4], "big") or None]
        if later or protocol not in (_TCP, _UDP) or len(body) < (20 if protocol == _TCP else 8):
            continue
        own_port, port = struct.unpack_from("!HH", body)
        segment = (0, 0, b"")
        if protocol == _TCP:
            segment = (int.from_bytes(body[4:8], "big"), body[13], body[4 * (body[12] >> 4) :])
        yield protocol, str(IPv4Address(packet[16:20])), port, own_port, segment


def _frames(capture: Path) -> Iterator[bytes]:
    """Ethernet frames of a pcapng file as dumpcap writes it, up to where it is cut."""
    with capture.open("rb") as file:
        # The section's header says in which order the machine that wrote it has its bytes.
        order = ">" if file.read(12)[8:] == b"\x1a\x2b\x3c\x4d" else "<"
        file.seek(0)
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", head)
            body = file.read(length - 8)
            if length < 12 or len(body) < length - 8:
                return
            if kind == _PACKET:
                (size,) = struct.unpack_from(f"{order}I", body, 12)
                yield body[20 : 20 + size]
