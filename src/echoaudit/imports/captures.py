"""Captures of packets as sessions: one per file, which is kept byte for byte."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from echoaudit.errors import BadInput
from echoaudit.imports.source import STDIN, Source, copy, magic, shown
from echoaudit.imports.staging import Staged
from echoaudit.outcomes.traffic import Traffic, read_capture

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_SUFFIXES = re.compile(r"(\.(pcapng|pcap|cap|dmp|gz|zst))+$", re.IGNORECASE)


@dataclass(frozen=True)
class Device:
    """Whose traffic in a capture is meant; the most active device's when nothing is known."""

    mac: str | None = None
    ip: str | None = None

    def __post_init__(self) -> None:
        """Check both addresses."""
        if self.mac is not None and not _MAC.fullmatch(self.mac):
            raise BadInput(
                f"found {shown(self.mac)!r}; allowed: six lower-case hexadecimal pairs joined by "
                "colons; example: --device fc:65:de:00:00:01",
                file="--device",
            )
        if self.ip is not None:
            check_address(self.ip, "--address")


def check_address(text: str, option: str) -> str:
    """An IP address in its usual spelling; raises ``BadInput`` for anything else."""
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise BadInput(
            f"found {shown(text)!r}; allowed: an IP address; example: {option} 192.168.1.20",
            file=option,
        ) from error


def stage(
    files: Sequence[Path], scratch: Path, device: Device, kind: Literal["session", "idle"]
) -> list[Staged]:
    """Read each capture whole, with the reader that outcomes use.

    Raises:
        BadInput: a file is no capture or holds no packet that could be read.
    """
    if files.count(STDIN) > 1:
        raise BadInput("standard input can be read once; found it twice", file="-")
    if STDIN in files and sys.stdin.isatty():
        raise BadInput("nothing is piped in; example: tcpdump -w - | echoaudit ...", file="-")
    return [
        _one(path, scratch / f"capture-{number}", device, kind)
        for number, path in enumerate(files, start=1)
    ]


def _one(path: Path, folder: Path, device: Device, kind: Literal["session", "idle"]) -> Staged:
    folder.mkdir()
    given = folder / "given"
    digest, size = copy(path, given)
    traffic = _read(given, path, device.mac or "")
    form = magic(given)
    given.rename(folder / ("traffic.pcapng" if form == "pcapng" else "traffic.capture"))
    notes = tuple(traffic.notes.lines())
    name = "stdin" if path == STDIN else shown(path.name)
    label = _SUFFIXES.sub("", name)
    return Staged(
        label=label,
        kind=kind,
        client="",
        about={
            "skill": label if kind == "session" else None,
            "started": traffic.first,
            "ended": traffic.last,
            "device": {"mac": device.mac, "ip": device.ip, "policy": None},
        },
        folder=folder,
        source=Source(name, form, digest, size, traffic.packets, notes),
    )


def _read(given: Path, path: Path, mac: str) -> Traffic:
    try:
        traffic = read_capture(given, mac)
    except BadInput as error:
        raise BadInput(error.message, file=shown(str(path))) from error
    if not traffic.packets:
        reason = "; ".join(traffic.notes.lines()) or "it has none"
        raise BadInput(f"no packet could be read: {reason}", file=shown(str(path)))
    return traffic
