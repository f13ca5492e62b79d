"""dumpcap: one device's packets to one file, with what was lost."""

from __future__ import annotations

import re
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from echoaudit.instruments.gateway.child import Child

READY_PATIENCE = 20.0
STOP_PATIENCE = 20.0

_CAPTURED = re.compile(r"Packets captured: (\d+)")
_DROPPED = re.compile(
    r"Packets received/dropped on interface .*: (\d+)/(\d+) "
    r"\(pcap:(\d+)/dumpcap:(\d+)/flushed:(\d+)/ps_ifdrop:(\d+)\)"
)


@dataclass(frozen=True)
class Losses:
    """dumpcap's own account of a capture; None where it said nothing."""

    captured: int | None
    received: int | None
    dropped_kernel: int | None
    """Packets that came faster than dumpcap took them."""
    dropped_program: int | None
    dropped_at_end: int | None
    """Packets still in dumpcap's queue when it ended."""
    dropped_interface: int | None


def parse_losses(messages: str) -> Losses:
    """Read the counts from the messages dumpcap ends with."""
    captured = _CAPTURED.search(messages)
    found = _DROPPED.search(messages)
    numbers = [int(found[n]) for n in range(1, 7)] if found else [None] * 6
    received, _, kernel, program, flushed, interface = numbers
    total = int(captured[1]) if captured else None
    return Losses(total, received, kernel, program, flushed, interface)


class PacketCapture:
    """A running dumpcap."""

    def __init__(self, interface: str, mac: str, file: Path, log: Path) -> None:
        """Start it and wait until it takes packets.

        Raises:
            Unavailable: dumpcap is missing or has no right to the interface.
        """
        self._begin(mac)
        arguments = ["-q", "-i", interface, "-f", self.filter, "-w", str(file)]
        self.child = Child("dumpcap", arguments, log, on_line=self._line)
        self._wait()

    def _begin(self, mac: str) -> None:
        self.filter = f"ether host {mac}"
        self._messages: list[str] = []
        self._ready = threading.Event()

    def _wait(self) -> None:
        try:
            self.child.wait_until(self._ready.is_set, READY_PATIENCE)
        except BaseException:
            self.child.stop()
            raise

    def _line(self, _time: float, line: str) -> None:
        self._messages.append(line)
        # "Capturing on" comes before the filter is set; the file is named when all is set.
        if line.startswith("File:"):
            self._ready.set()

    def stop(self) -> Losses:
        """End the capture; what was taken and what was lost."""
        self._end()
        return parse_losses("\n".join(self._messages))

    def _end(self) -> None:
        self.child.stop(signal.SIGINT, STOP_PATIENCE)
