"""The quick way in C (``_quick.c``) where it was built; else all packets go through Python.

Both ways give the same flows. The environment variable ``ECHOAUDIT_SCANNER`` forces one: ``c`` or
``python``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from typing import Self

    from echoaudit.outcomes.traffic.flows import Half
    from echoaudit.outcomes.traffic.tls import ClientHello, ServerHello

VARIABLE = "ECHOAUDIT_SCANNER"
SCANNERS = ("c", "python")
INTERFACE = 5
"""Of ``_quick.c``: goes up when its functions change."""
Frame = tuple[int, int, float, bytes, bytes]
"""What a segment came in: packets (several if it was cut), bytes, time, both MACs."""
Essence = Callable[[bytes, bool], bytes]
"""All that is read of the hello in a stream, of TLS or of QUIC; empty when it is not plain."""
Opener = Callable[[int, bytes, float, bytes, bytes], "Half"]
"""Makes a flow of a protocol, a direction's key, the time and both MACs; returns the direction."""
Greet = Callable[["Half", "ClientHello | ServerHello"], bool]
"""Takes a hello that was read before for a direction; false: its segment must be looked into."""
Look = Callable[["Half", bytes, float, int], None]
"""Looks into payload of a direction, at a time. The number is where a segment stands in the stream,
of a datagram how long it was."""


class Counters:
    """What both ways count of one direction of a flow."""

    __slots__ = (
        "ended", "expected", "first", "gapped", "isn", "last", "next", "octets", "packets",
        "payload", "syn", "want",
    )  # fmt: skip
    packets: int
    octets: int
    payload: int
    """Bytes carried, each counted once however often it was sent."""
    first: float
    """When it was first heard. Before: when the flow began, if its MAC is known; else infinite."""
    last: float
    expected: int
    """Sequence number of the next new byte; -1 until a packet was seen."""
    next: int
    """The same while bytes come in order and need no look; ``Half.settle`` brings it home."""
    isn: int
    syn: int
    """SYN, with ACK or without, as it was first sent."""
    want: int
    """How many more packets with payload are looked into; 0 is none. -1: those that may begin
    another QUIC connection."""
    ended: bool
    gapped: bool
    """Whether bytes were skipped."""

    def __new__(cls, *_: object) -> Self:
        """All at the beginning: nothing heard."""
        new = super().__new__(cls)
        new.packets = new.octets = new.payload = new.want = new.syn = 0
        new.next = new.expected = new.isn = -1
        new.first = new.last = math.inf
        new.ended = new.gapped = False
        return new


def _compiled() -> Any:
    if os.environ.get(VARIABLE) == "python":
        return None
    try:
        module = import_module("echoaudit.outcomes.traffic._quick")
    except ImportError:
        return None
    # A build of older sources may lie beside these in a checkout.
    return module if getattr(module, "INTERFACE", 1) == INTERFACE else None


_module = _compiled()
if _module is not None and not TYPE_CHECKING:
    Counters = _module.Counters


def available(scanner: str = "") -> bool:
    """Whether the scanner in C is to be used: if it is there, unless another is asked for.

    Raises ``BadInput`` for an unknown name, ``Unavailable`` when C is asked for and not built.
    """
    wanted = scanner or os.environ.get(VARIABLE, "")
    if wanted not in ("", *SCANNERS):
        raise BadInput(f"{VARIABLE}: {wanted!r}; allowed: {', '.join(SCANNERS)}")
    if wanted == "c" and _module is None:
        raise Unavailable("the scanner in C was not built", fix="pip install . (with a C compiler)")
    return _module is not None and wanted != "python"


essence: Essence | None = getattr(_module, "essence", None)
"""By it hellos are known again; nothing does that in Python, which takes each apart."""


class Quick:
    """Takes packets with plain headers from the front of a buffer.

    Makes flows by ``opener`` and hands payload that may carry names to ``segment`` and
    ``datagram``, but hellos whose essence is in ``hellos`` to ``greet``. Methods return the place
    of the first packet that is left.
    """

    def __init__(
        self,
        tcp: dict[bytes, Half],
        udp: dict[bytes, Half],
        opener: Opener,
        segment: Look,
        datagram: Look,
        hellos: dict[bytes, ClientHello | ServerHello],
        greet: Greet,
    ) -> None:
        self._takers = tcp, udp, opener, segment, datagram, hellos, greet
        self.packets = 0
        self.octets = 0

    def pcap(self, buffer: bytes, at: int, big: bool, header: int, per_second: float) -> int:
        """Records whose header has ``header`` bytes, of Ethernet frames."""
        at, packets, octets = _module.pcap(buffer, at, big, header, per_second, *self._takers)
        self.packets += packets
        self.octets += octets
        return at

    def pcapng(
        self, buffer: bytes, at: int, big: bool, clocks: bytearray, last: float
    ) -> tuple[int, float]:
        """Enhanced packet blocks; also returns the time of the last packet until there.

        ``clocks`` holds two numbers for each interface, as ``=Qd``: ticks per second (0 when it
        is not Ethernet) and offset in seconds.
        """
        at, packets, octets, last = _module.pcapng(buffer, at, big, clocks, last, *self._takers)
        self.packets += packets
        self.octets += octets
        return at, last
