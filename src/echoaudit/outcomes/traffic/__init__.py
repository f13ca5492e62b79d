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
from echoaudit.outcomes.traffic.scan import Scanner

__all__ = ["Flow", "Lookup", "Notes", "Traffic", "read_capture", "read_stream"]


def read_capture(path: Path, device: str = "") -> Traffic:
    """Flows and names of a pcap or pcapng file (plain, gzip or zstd).

    ``device`` is the MAC of the device that is studied, if known. What cannot be used is counted
    in ``notes``; a file that is no capture raises ``BadInput``.
    """
    notes = Notes()
    scanner = Scanner(notes, bytes.fromhex(device.replace(":", "")))
    with path.open("rb", buffering=0) as file, _uncollected():
        scanner.feed(records(file, notes, str(path)))
        return scanner.finish()


def read_stream(source: BinaryIO, name: str = "capture") -> Traffic:
    """As ``read_capture``, from an open binary stream such as standard input."""
    notes = Notes()
    scanner = Scanner(notes)
    with _uncollected():
        scanner.feed(records(source, notes, name))
        return scanner.finish()


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
