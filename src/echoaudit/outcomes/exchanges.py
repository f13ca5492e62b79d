"""What decrypted devices sent and were told, as outcomes read it: the lines of ``proxy.jsonl``.

All of it comes from devices and servers by way of a proxy: what does not have the expected shape
is left out, and never more than that.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from echoaudit.domains import is_address
from echoaudit.outcomes.traffic.tls import host as clean_host
from echoaudit.outcomes.visits import number

if TYPE_CHECKING:
    from echoaudit.outcomes.naming import Connection
    from echoaudit.recording import StepEvidence

FILE = "proxy.jsonl"
REFUSED = "refused"
"""Kind of a line about a connection that the device would not let the proxy decrypt."""
PASSED = "passed"
"""Kind of a line about one that was let by, because the device had refused others to that name."""


class Part(NamedTuple):
    """Something a device sent as one piece: a request's body or a message."""

    time: float
    body: bytes


@dataclass(frozen=True)
class Exchange:
    """What a device sent in one exchange with a server, and what it was told."""

    kind: str
    """``http``, ``websocket``, ``tcp``, ``udp``; ``refused``: the device let nobody look; or
    ``passed``: nobody tried any more."""
    time: float
    client: str
    client_port: int
    server: str
    server_port: int
    host: str
    """By the request, else by the ClientHello; empty when neither names it."""
    url: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    messages: tuple[Part, ...]
    answer: bytes
    """The beginning of what the server answered, if that may be a directive."""
    whole: bool
    """Whether everything the device sent is here."""

    @property
    def connection(self) -> Connection:
        """The connection that carried it, as in the capture."""
        return self.client, self.client_port, self.server, self.server_port, "tcp"


def exchanges(step: StepEvidence) -> Iterator[Exchange]:
    """The exchanges of a step, in the order in which they ended; none without the file."""
    if step.has(FILE):
        for line in step.jsonl(FILE):
            if isinstance(line, dict) and isinstance(line.get("kind"), str):
                yield _exchange(line)


def _exchange(line: Mapping[str, Any]) -> Exchange:
    return Exchange(
        kind=line["kind"],
        time=number(line.get("time")) or 0.0,
        client=_text(line.get("client")),
        client_port=_port(line.get("client_port")),
        server=_text(line.get("server")),
        server_port=_port(line.get("server_port")),
        host=_host(line),
        url=_text(line.get("url")),
        headers=tuple(_headers(line.get("headers"))),
        body=_bytes(line.get("body")),
        messages=tuple(_messages(line.get("messages"))),
        answer=_bytes(line.get("answer")),
        whole=line.get("cut") is not True,
    )


def _host(line: Mapping[str, Any]) -> str:
    for name in (_text(line.get("host")), _text(line.get("sni"))):
        bare = name.rpartition(":")[0] if name.count(":") == 1 else name
        if bare and not is_address(bare) and (known := clean_host(bare.encode("ascii", "replace"))):
            return known
    return ""


def _headers(value: Any) -> Iterator[tuple[str, str]]:
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, list) and len(pair) == 2:
            yield _text(pair[0]).lower(), _text(pair[1])


def _messages(value: Any) -> Iterator[Part]:
    for message in value if isinstance(value, list) else ():
        if isinstance(message, dict):
            yield Part(number(message.get("time")) or 0.0, _bytes(message.get("body")))


def _bytes(value: Any) -> bytes:
    try:
        return b64decode(_text(value), validate=True)
    except ValueError:
        return b""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _port(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 65_536 else 0


def path_and_query(url: str) -> tuple[str, str]:
    """Path and query of an address; empty when it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.path, parts.query
