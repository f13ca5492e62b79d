"""IP fragments put together, with bounded memory (RFC 791, RFC 8200)."""

from __future__ import annotations

from dataclasses import dataclass, field

from echoaudit.outcomes.traffic.flows import contiguous
from echoaudit.outcomes.traffic.headers import Transport
from echoaudit.outcomes.traffic.notes import Notes

MOST_DATAGRAMS = 256
MOST_PIECES = 64


@dataclass
class _Datagram:
    pieces: dict[int, bytes] = field(default_factory=dict)
    total: int = -1
    packets: int = 0
    octets: int = 0


class Fragments:
    """Datagrams of which some fragments were seen; the oldest make room when there are many."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._open: dict[bytes, _Datagram] = {}

    def add(self, carried: Transport, data: bytes, original: int) -> tuple[bytes, int, int] | None:
        """Take a fragment; a datagram made whole comes with its packets and bytes on the wire."""
        assert carried.fragment is not None
        identity, offset, more = carried.fragment
        datagram = self._datagram(identity)
        datagram.packets += 1
        datagram.octets += original
        if len(datagram.pieces) < MOST_PIECES:
            datagram.pieces.setdefault(offset, data)
        if not more:
            datagram.total = offset + carried.length
        whole = contiguous(datagram.pieces, 0)
        if datagram.total < 0 or len(whole) < datagram.total:
            return None
        del self._open[identity]
        return whole[: datagram.total], datagram.packets, datagram.octets

    def finish(self) -> None:
        """Count the fragments of datagrams that never became whole."""
        for datagram in self._open.values():
            self._lose(datagram)
        self._open.clear()

    def _datagram(self, identity: bytes) -> _Datagram:
        if identity not in self._open:
            if len(self._open) >= MOST_DATAGRAMS:
                self._lose(self._open.pop(next(iter(self._open))))
            self._open[identity] = _Datagram()
        return self._open[identity]

    def _lose(self, datagram: _Datagram) -> None:
        self._notes.unread["IP fragments without the rest"] += datagram.packets
