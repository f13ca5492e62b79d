"""Captures to flows and names: who was contacted, when, how much, and what named it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from echoaudit.outcomes.traffic.containers import records
from echoaudit.outcomes.traffic.flows import Flow, Lookup, Traffic
from echoaudit.outcomes.traffic.notes import Notes
from echoaudit.outcomes.traffic.quick import available
from echoaudit.outcomes.traffic.scan import Scanner

__all__ = ["Flow", "Lookup", "Notes", "Traffic", "read_capture", "read_stream"]


def read_capture(path: Path, device: str = "", scanner: str = "") -> Traffic:
    """Flows and names of a pcap or pcapng file (plain, gzip or zstd).

    ``device`` is the MAC of the device that is studied, if known. What cannot be used is counted
    in ``notes``; a file that is no capture raises ``BadInput``. ``scanner`` forces ``c`` or
    ``python``; if it is not given, C is used where it was built. Both give the same.
    """
    with path.open("rb", buffering=0) as file:
        return _read(file, str(path), bytes.fromhex(device.replace(":", "")), scanner)


def read_stream(source: BinaryIO, name: str = "capture", scanner: str = "") -> Traffic:
    """As ``read_capture``, from an open binary stream such as standard input."""
    return _read(source, name, b"", scanner)


def _read(source: BinaryIO, name: str, device: bytes, scanner: str) -> Traffic:
    compiled = available(scanner)
    with _uncollected():
        return _scanned(source, name, device, compiled)


def _scanned(source: BinaryIO, name: str, device: bytes, compiled: bool) -> Traffic:
    # All that only the scan needed is let go at the end, before anything is collected.
    notes = Notes()
    scan = Scanner(notes, device, compiled=compiled)
    scan.feed(records(source, notes, name, scan.quick))
    return scan.finish()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: it would walk all flows over and over, and all are kept."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
