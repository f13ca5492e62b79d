"""Run as a program, never imported: mitmproxy's flows to JSON lines on standard output.

mitmproxy's reader runs apart from everything else, under limits of memory and time, because it
was not made for files of strangers. A record that it cannot read is reported and left out.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mitmproxy import dns, flow, http, tcp, udp
from mitmproxy.io import FlowReader

# The gateway's addon, loaded as a module, wants to know where to write; nothing is written here.
os.environ.setdefault("ECHOAUDIT_FLOWS", os.devnull)
from echoaudit.instruments.gateway.addon import described

MEMORY = 4 << 30
"""Bytes of address space."""
PATIENCE = 60
"""Seconds for one record; the system then ends this process."""
RECORD_LIMIT = 512 << 20


def main(path: Path) -> None:
    """Print one line per record; the last one says whether the file ended where it should."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with path.open("rb") as file:
        for number, at, record in _records(file):
            signal.alarm(PATIENCE)
            print(json.dumps({"record": number, "at": at, **_told(record)}), flush=True)


def _records(file: io.BufferedReader) -> Iterator[tuple[int, int, bytes | str]]:
    """Number, offset and bytes of each netstring ``LENGTH:PAYLOAD}``, or what is wrong with it."""
    number, at = 1, 0
    while head := file.read(13):
        digits, colon, _ = head.partition(b":")
        length = int(digits) if colon and digits.isdigit() else -1
        if not 0 <= length <= RECORD_LIMIT:
            yield number, at, "no flow begins here"
            return
        file.seek(at)
        size = len(digits) + length + 2
        record = file.read(size)
        if len(record) < size or record[-1:] != b"}":
            yield number, at, "it is cut"
            return
        yield number, at, record
        number, at = number + 1, at + size


def _told(record: bytes | str) -> dict[str, Any]:
    if isinstance(record, str):
        return {"end": record}
    try:
        found = next(iter(FlowReader(io.BytesIO(record)).stream()))
        return {"length": len(record), **_described(found)}
    except Exception as error:  # noqa: BLE001 - mitmproxy raises anything on damaged records
        return {"damaged": type(error).__name__}


def _described(found: flow.Flow) -> dict[str, Any]:
    client, server = found.client_conn, found.server_conn
    peer = server.peername or server.address or ("", 0)
    host, up, down, last = _carried(found)
    return {
        "kind": type(found).__name__,
        "connection": f"{client.id} {server.id}",
        "client": client.peername[0] if client.peername else "",
        "client_port": client.peername[1] if client.peername else 0,
        "server": peer[0],
        "server_port": peer[1],
        "protocol": "udp" if isinstance(found, udp.UDPFlow) else client.transport_protocol,
        "first": found.timestamp_created,
        "last": last,
        "host": host,
        "sni": client.sni or server.sni or "",
        "alpn": (client.alpn or b"").decode("ascii", "replace"),
        "tls": (client.tls_version or "") if client.tls else "",
        "payload_up": up,
        "payload_down": down,
        "sent": described(found),
    }


def _carried(found: flow.Flow) -> tuple[str, int, int, float]:
    """Host, bytes each way and time of the last of them."""
    if isinstance(found, http.HTTPFlow):
        answer = found.response
        last = answer.timestamp_end if answer else found.request.timestamp_end
        up, down = _message(found.request), _message(answer) if answer else 0
        return found.request.pretty_host, up, down, last or found.timestamp_created
    if isinstance(found, tcp.TCPFlow | udp.UDPFlow):
        sizes = {True: 0, False: 0}
        for message in found.messages:
            sizes[message.from_client] += len(message.content)
        last = max((m.timestamp for m in found.messages), default=found.timestamp_created)
        return found.client_conn.sni or "", sizes[True], sizes[False], last
    if isinstance(found, dns.DNSFlow):
        return "", 0, 0, found.timestamp_created
    raise TypeError("unknown kind of flow")


def _message(message: http.Message) -> int:
    """Bytes of the fields and the body, as HTTP/1 writes them."""
    fields = sum(len(name) + len(value) + 4 for name, value in message.headers.fields)
    return fields + len(message.raw_content or b"")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
