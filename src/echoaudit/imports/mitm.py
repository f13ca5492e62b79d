"""Flows of mitmproxy as sessions: one per file and device, its flows kept byte for byte."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput, Unavailable
from echoaudit.imports.questions import client_address
from echoaudit.imports.source import Source, copy, shown
from echoaudit.imports.staging import Staged
from echoaudit.recording import canonical, write_jsonl

MOST_NAMED = 5
"""Damaged records that are named; the rest are counted."""
_TLS = {"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}


@dataclass
class _Device:
    """What one device's flows come to."""

    folder: Path
    slices: list[tuple[int, int]] = field(default_factory=list)
    connections: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


@dataclass
class _Reading:
    """What was read of one file."""

    devices: dict[str, _Device] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def lines(self) -> tuple[str, ...]:
        """What could not be used."""
        named = self.damaged[:MOST_NAMED]
        more = len(self.damaged) - len(named)
        counted = [f"{reason}: {count}" for reason, count in sorted(self.problems.items())]
        return (*named, *([f"further damaged records: {more}"] if more else []), *counted)


def stage(files: Sequence[Path], scratch: Path, clients: Sequence[str]) -> list[Staged]:
    """Read each file record by record; ``clients`` are the devices that matter, empty for all.

    Raises:
        BadInput: a file has no flow of these devices that can be read.
        Unavailable: mitmproxy is not installed.
    """
    if importlib.util.find_spec("mitmproxy") is None:
        raise Unavailable(
            "mitmproxy is not installed, which reads its own files",
            fix="pip install 'echoaudit[gateway]'",
        )
    only = frozenset(clients)
    return [
        one
        for number, path in enumerate(files, start=1)
        for one in _file(path, scratch / f"mitm-{number}", only)
    ]


def _file(path: Path, folder: Path, only: frozenset[str]) -> Iterator[Staged]:
    folder.mkdir()
    given = folder / "given"
    digest, size = copy(path, given)
    reading = _read(given, folder, only)
    if not reading.devices:
        reason = "; ".join(reading.lines()) or "it has none"
        raise BadInput(f"no flow could be used: {reason}", file=shown(str(path)))
    for client, device in sorted(reading.devices.items()):
        _cut(given, device)
        write_jsonl(device.folder / "connections.jsonl", _connections(device))
        source = Source(
            shown(path.name), "mitmproxy", digest, size, len(device.slices), reading.lines()
        )
        about = _about(client, device) | {"skill": shown(path.stem)}
        yield Staged(path.stem, "session", client, about, device.folder, source)


def _about(client: str, device: _Device) -> dict[str, Any]:
    connections = device.connections.values()
    return {
        "started": min(one["first"] for one in connections),
        "ended": max(one["last"] for one in connections),
        "device": {"mac": None, "ip": client, "policy": "trusting"},
    }


def _read(given: Path, folder: Path, only: frozenset[str]) -> _Reading:
    reading = _Reading()
    with closing(_told(given)) as lines:
        for line in lines:
            _take(line, reading, folder, only)
    return reading


def _told(given: Path) -> Generator[dict[str, Any], None, None]:
    """What the reading process says, line by line; its untimely end is the last line."""
    command = [sys.executable, "-m", "echoaudit.imports.mitm_child", str(given)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        last = 0
        try:
            for line in child.stdout:
                told = json.loads(line)
                last = told["record"]
                yield told
        except GeneratorExit:
            child.kill()
            raise
        if child.wait():
            yield {"record": last + 1, "end": "the reader gave up on it"}


def _take(line: dict[str, Any], reading: _Reading, folder: Path, only: frozenset[str]) -> None:
    number = line["record"]
    if "end" in line:
        reading.damaged.append(f"record {number} and what follows unread: {line['end']}")
    elif "damaged" in line:
        reading.damaged.append(f"record {number} damaged ({line['damaged']})")
    else:
        _use(line, reading, folder, only)


def _use(line: dict[str, Any], reading: _Reading, folder: Path, only: frozenset[str]) -> None:
    client, server = client_address(line["client"]), client_address(line["server"])
    if line["kind"] == "DNSFlow":
        reading.problems["flows of DNS, not used"] += 1
    elif client is None:
        reading.problems["flows without a client's address"] += 1
    elif server is None:
        reading.problems["flows that reached no server"] += 1
    elif not only or client in only:
        device = reading.devices.get(client)
        if device is None:
            device = _Device(folder / f"client-{len(reading.devices)}")
            device.folder.mkdir()
            reading.devices[client] = device
        device.slices.append((line["at"], line["length"]))
        with (device.folder / "proxy.jsonl").open("ab") as sent:
            sent.write(canonical(line.pop("sent")) + b"\n")
        _add(device, {**line, "client": client, "server": server})


def _add(device: _Device, line: dict[str, Any]) -> None:
    """Count a flow towards its connection, or the part of it that went to its host."""
    key = (line["connection"], line["host"])
    known = device.connections.get(key)
    if known is None:
        device.connections[key] = {**line, "exchanges": 1}
        return
    known["exchanges"] += 1
    known["first"] = min(known["first"], line["first"])
    known["last"] = max(known["last"], line["last"])
    for name in ("payload_up", "payload_down"):
        known[name] += line[name]


_KEPT = (
    "client", "client_port", "server", "server_port", "protocol", "first", "last", "host", "sni",
    "alpn", "payload_up", "payload_down", "exchanges",
)  # fmt: skip


def _connections(device: _Device) -> Iterator[dict[str, Any]]:
    for one in device.connections.values():
        yield {name: one[name] for name in _KEPT} | {"tls": _TLS.get(one["tls"], one["tls"])}


def _cut(given: Path, device: _Device) -> None:
    """The device's flows as they are in the file, in their order."""
    with given.open("rb") as source, (device.folder / "proxy.mitm").open("xb") as out:
        for at, length in device.slices:
            source.seek(at)
            out.write(source.read(length))
