"""Link and network headers of one packet, for whatever the scanner's fast path does not know.

Link types: https://www.tcpdump.org/linktypes.html. IPv6 extension headers: RFC 8200, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from struct import Struct
from typing import NamedTuple

from echoaudit.outcomes.traffic.notes import Notes

IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
_VLAN = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
_PPPOE = 0x8864
_PPP = {0x0021: IPV4, 0x0057: IPV6}
_FAMILY = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}
"""Address families of NULL and LOOP frames: the numbers for IPv6 differ by system."""
_WIRELESS = {105: "802.11", 119: "802.11 with Prism header", 127: "802.11 with radiotap header"}
_ORDINARY = {0x0806: "ARP", 0x888E: "EAPOL", 0x88CC: "LLDP", 0x8863: "PPPoE discovery"}
_FRAGMENT = 44
_EXTENSIONS = frozenset({0, 43, 60, 135, 139, 140})
_short = Struct("!H").unpack_from


class Network(NamedTuple):
    """Where the IP packet starts in the buffer, and whose frame it is."""

    ethertype: int
    at: int
    source: bytes
    """Sender's MAC; empty when the link has none."""
    target: bytes


class Transport(NamedTuple):
    """What an IP packet carries."""

    protocol: int
    at: int
    length: int
    """Bytes of the segment or datagram by the IP header; captured may be fewer."""
    source: bytes
    """IP address, 4 or 16 bytes."""
    target: bytes
    fragment: tuple[bytes, int, bool] | None
    """Identity, offset in bytes and whether more follow, of a fragment."""


def network(link: int, buffer: bytes, at: int, stop: int, notes: Notes) -> Network | None:
    """The network header of a frame; ``None`` when it has none that is known, counted."""
    found = _link(link, buffer, at, stop)
    if isinstance(found, str):
        notes.unread[found] += 1
        return None
    found = _without_tags(buffer, found, stop)
    if found.ethertype in (IPV4, IPV6) and found.at < stop:
        return found
    if found.at > stop or found.ethertype in (IPV4, IPV6):
        notes.unread["frames cut before their IP header"] += 1
    else:
        notes.other[_ORDINARY.get(found.ethertype, "other than IP")] += 1
    return None


def _link(link: int, buffer: bytes, at: int, stop: int) -> Network | str:
    if link not in _LINKS:
        name = f" ({_WIRELESS[link]})" if link in _WIRELESS else ""
        return f"link type {link}{name} is not supported"
    size, read = _LINKS[link]
    return read(buffer, at) if stop - at >= size else "frames cut before their IP header"


def _ethernet(buffer: bytes, at: int) -> Network:
    source, target = buffer[at + 6 : at + 12], buffer[at : at + 6]
    return Network(_short(buffer, at + 12)[0], at + 14, source, target)


def _sll(buffer: bytes, at: int) -> Network:
    return Network(_short(buffer, at + 14)[0], at + 16, buffer[at + 6 : at + 12], b"")


def _sll2(buffer: bytes, at: int) -> Network:
    return Network(_short(buffer, at)[0], at + 20, buffer[at + 12 : at + 18], b"")


def _null(buffer: bytes, at: int) -> Network:
    # In the byte order of the machine that captured: the number is in the first or last byte.
    return Network(_FAMILY.get(max(buffer[at], buffer[at + 3]), 0), at + 4, b"", b"")


def _raw(buffer: bytes, at: int) -> Network:
    return Network({4: IPV4, 6: IPV6}.get(buffer[at] >> 4, 0), at, b"", b"")


_LINKS: dict[int, tuple[int, Callable[[bytes, int], Network]]] = {
    0: (4, _null),
    1: (14, _ethernet),
    12: (1, _raw),
    14: (1, _raw),
    101: (1, _raw),
    108: (4, _null),
    113: (16, _sll),
    228: (1, _raw),
    229: (1, _raw),
    276: (20, _sll2),
}
"""Link type to its shortest header and its reader."""


def _without_tags(buffer: bytes, found: Network, stop: int) -> Network:
    """Past VLAN tags (at most eight) and a PPPoE header."""
    ethertype, at, source, target = found
    for _ in range(8):
        if ethertype in _VLAN and at + 4 <= stop:
            ethertype, at = _short(buffer, at + 2)[0], at + 4
        elif ethertype == _PPPOE and at + 8 <= stop:
            ethertype, at = _PPP.get(_short(buffer, at + 6)[0], 0), at + 8
        else:
            break
    return Network(ethertype, at, source, target)


def transport(found: Network, buffer: bytes, stop: int, notes: Notes) -> Transport | None:
    """The transport header of an IP packet; ``None`` when it is cut or malformed, counted."""
    carried = (
        _ipv4(buffer, found.at, stop) if found.ethertype == IPV4 else _ipv6(buffer, found.at, stop)
    )
    if carried is None:
        notes.unread["IP packets cut or malformed"] += 1
    return carried


def _ipv4(buffer: bytes, at: int, stop: int) -> Transport | None:
    if stop - at < 20 or buffer[at] >> 4 != 4:
        return None
    header = (buffer[at] & 15) * 4
    # A length of 0 is a frame that the network card was to cut up itself (TSO).
    length = _short(buffer, at + 2)[0] or stop - at
    if header < 20 or length < header or stop - at < header:
        return None
    flags = _short(buffer, at + 6)[0]
    protocol, source, target = buffer[at + 9], buffer[at + 12 : at + 16], buffer[at + 16 : at + 20]
    fragment = None
    if flags & 0x3FFF:
        identity = source + target + bytes([protocol]) + buffer[at + 4 : at + 6]
        fragment = identity, (flags & 0x1FFF) * 8, bool(flags & 0x2000)
    return Transport(protocol, at + header, length - header, source, target, fragment)


def _ipv6(buffer: bytes, at: int, stop: int) -> Transport | None:
    if stop - at < 40 or buffer[at] >> 4 != 6:
        return None
    length = _short(buffer, at + 4)[0] or stop - at - 40
    source, target = buffer[at + 8 : at + 24], buffer[at + 24 : at + 40]
    following, here, fragment = buffer[at + 6], at + 40, None
    end = here + length
    while following in _EXTENSIONS or following == _FRAGMENT:
        if here + 8 > stop:
            return None
        if following == _FRAGMENT:
            offset = _short(buffer, here + 2)[0]
            identity = source + target + bytes([buffer[here]]) + buffer[here + 4 : here + 8]
            if offset & 0xFFF9:
                fragment = identity, offset & 0xFFF8, bool(offset & 1)
            following, here = buffer[here], here + 8
            if offset & 0xFFF8:
                break
        else:
            following, here = buffer[here], here + 8 + buffer[here + 1] * 8
    return Transport(following, here, end - here, source, target, fragment) if here <= end else None


@lru_cache(maxsize=4096)
def mac(raw: bytes) -> str:
    """A MAC as text; empty when unknown."""
    return raw.hex(":") if len(raw) == 6 and any(raw) else ""


@lru_cache(maxsize=4096)
def address(raw: bytes) -> str:
    """An IP address as text."""
    return str(ip_address(raw))
