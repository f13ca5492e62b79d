"""The quick way in C (``_quick.c``) where it was built; else all packets go through Python.

Both ways give the same flows. The environment variable ``ECHOAUDIT_SCANNER`` forces one: ``c`` or
``python``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from echoaudit.outcomes.traffic.flows import Half

VARIABLE = "ECHOAUDIT_SCANNER"
SCANNERS = ("c", "python")
INTERFACE = 2
"""Of ``_quick.c``: goes up when its functions change."""
Frame = tuple[int, int, float, bytes, bytes]
"""What a segment came in: packets (several if it was cut), bytes, time, both MACs."""
Taker = Callable[[bytes, bytes, int, Frame], None]
"""Takes the key of a direction, what was captured of a segment, its length and its frame."""


class Counters:
    """What both ways count of one direction of a flow."""

    __slots__ = ("ended", "last", "next", "octets", "packets", "payload", "want")
    packets: int
    octets: int
    payload: int
    next: int
    want: int
    last: float
    ended: bool


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


class Quick:
    """Takes packets with plain headers from the front of a buffer.

    Counts what needs no look and hands the rest to ``stream`` and ``datagram``. Methods return the
    place of the first packet that is left.
    """

    def __init__(
        self, tcp: dict[bytes, Half], udp: dict[bytes, Half], stream: Taker, datagram: Taker
    ) -> None:
        self._flows = tcp, udp, stream, datagram
        self.packets = 0
        self.octets = 0

    def pcap(self, buffer: bytes, at: int, big: bool, header: int, per_second: float) -> int:
        """Records whose header has ``header`` bytes, of Ethernet frames."""
        at, packets, octets = _module.pcap(buffer, at, big, header, per_second, *self._flows)
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
        at, packets, octets, last = _module.pcapng(buffer, at, big, clocks, last, *self._flows)
        self.packets += packets
        self.octets += octets
        return at, last
