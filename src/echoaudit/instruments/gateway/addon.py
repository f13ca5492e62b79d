"""Run by mitmdump, never imported: writes each client's flows to its current session's files.

``$ECHOAUDIT_FLOWS/IP`` is a link to the session's ``proxy.mitm``; without one the flows are kept
beside it. What the client sent, and what servers told it to do, also goes, as one JSON object a
line, into the ``.jsonl`` file of the same name, so that reading a recording does not need
mitmproxy. Both are appended flow by flow.

With ``$ECHOAUDIT_LEARN`` (JSON: ``file``, ``refusals``, ``seconds``), a name for which a client has
refused our certificate that many times passes through undecrypted for that long; every line about
it says when that was learned, from what, and until when it holds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mitmproxy import connection, flow, http, tcp, tls, udp
from mitmproxy.io import FlowWriter

MOST_BODY = 2 * 2**20
"""Bytes of what a flow sent that its line holds; the ``.mitm`` file has the rest."""
MOST_HEADERS = 256 * 2**10
MOST_URL = 64 * 2**10
MOST_ANSWER = 256 * 2**10
TELLS = ("application/json", "multipart/")
"""Types of answers that may be directives; in multipart ones the speech follows them."""
_DISTRUST = "does not trust the proxy's certificate"
"""mitmproxy's words for the alerts unknown CA, bad certificate and certificate unknown."""


class Learner:
    """Which names pass for which client, and why; kept in a file over restarts."""

    def __init__(self, file: str, refusals: int, seconds: float) -> None:
        self._file = Path(file)
        self._refusals, self._seconds = refusals, seconds
        self._counts: Counter[tuple[str, str]] = Counter()
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else "[]"
        self._learned: dict[tuple[str, str], dict[str, Any]] = {
            (one["client"], one["name"]): one for one in json.loads(text)
        }

    def refused(self, client: str, name: str, error: str) -> dict[str, Any] | None:
        """Count a refusal; what was learned, when this one was the last that it took."""
        key = client, name
        self._counts[key] += 1
        if self._counts[key] < self._refusals:
            return None
        del self._counts[key]
        now = time.time()
        self._learned[key] = {
            "client": client,
            "name": name,
            "time": now,
            "refusals": self._refusals,
            "error": error,
            "until": now + self._seconds,
        }
        self._keep()
        return self._learned[key]

    def passing(self, client: str, name: str) -> dict[str, Any] | None:
        """Why a name passes for a client now; None when it does not, or no longer."""
        found = self._learned.get((client, name))
        return found if found is not None and time.time() < found["until"] else None

    def _keep(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(list(self._learned.values())), encoding="utf-8")
        new.replace(self._file)


class SessionWriter:
    """Appends finished flows, one by one, so that a kill loses none that were finished."""

    def __init__(self, folder: Path, learner: Learner | None = None) -> None:
        self._folder = folder
        self._learner = learner
        self._open: dict[str, flow.Flow] = {}

    def request(self, found: http.HTTPFlow) -> None:
        """Remember a flow that has begun."""
        self._open[found.id] = found

    def response(self, found: http.HTTPFlow) -> None:
        """Write an exchange; a WebSocket's is written when it ends."""
        if found.websocket is None:
            self._write(found)

    def error(self, found: http.HTTPFlow) -> None:
        """Write an exchange that failed."""
        self.response(found)

    def websocket_end(self, found: http.HTTPFlow) -> None:
        """Write a WebSocket with its messages."""
        self._write(found)

    def tcp_end(self, found: tcp.TCPFlow) -> None:
        """Write a connection that carried something other than HTTP."""
        self._write(found)

    def tcp_error(self, found: tcp.TCPFlow) -> None:
        """Write a connection that failed."""
        self._write(found)

    def udp_end(self, found: udp.UDPFlow) -> None:
        """Write an exchange of datagrams."""
        self._write(found)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """Note that a client would not have our certificate, or could not speak TLS with us."""
        client, server = data.context.client, data.context.server
        line = _line("refused", client, server, client.timestamp_start, data.conn.error)
        # Only an alert about the certificate: a connection may break off for many reasons.
        if self._learner and client.sni and _DISTRUST in (data.conn.error or ""):
            learned = self._learner.refused(_address(client), client.sni, data.conn.error or "")
            if learned is not None:
                line["learned"] = learned
        self._append(client, None, line)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Let a connection pass that the client would not let us decrypt."""
        client, server = data.context.client, data.context.server
        name = data.client_hello.sni
        learned = self._learner.passing(_address(client), name) if self._learner and name else None
        if learned is not None:
            data.ignore_connection = True
            line = _line("passed", client, server, client.timestamp_start, None)
            self._append(client, None, {**line, "sni": name, "cut": True, "learned": learned})

    def done(self) -> None:
        """Write what has begun and not finished."""
        for found in list(self._open.values()):
            self._write(found)

    def _write(self, found: flow.Flow) -> None:
        self._open.pop(found.id, None)
        self._append(found.client_conn, found, described(found))

    def _append(
        self, client: connection.Client, found: flow.Flow | None, line: dict[str, Any]
    ) -> None:
        address = _address(client)
        link = self._folder / address
        # Read once: both files must be of the same session, whenever the link changes.
        target = link.resolve() if link.is_symlink() else self._folder / f"between-{address}.mitm"
        text = json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n"
        try:
            if found is not None:
                with target.open("ab") as out:
                    FlowWriter(out).add(found)  # type: ignore[no-untyped-call]
            with target.with_suffix(".jsonl").open("ab") as out:
                out.write(text.encode("ascii"))
        except OSError as error:
            # Rather end visibly than let traffic through unrecorded.
            print(f"cannot write flows of {address}: {error}", file=sys.stderr)
            sys.exit(1)


def _address(client: connection.Client) -> str:
    return client.peername[0].removeprefix("::ffff:") if client.peername else "unknown"


def described(found: flow.Flow) -> dict[str, Any]:
    """What a flow's client sent, as the recording format has it."""
    error = found.error.msg if found.error else None
    begun = found.timestamp_start
    match found:
        case http.HTTPFlow():
            kind = "http" if found.websocket is None else "websocket"
            line = _line(kind, found.client_conn, found.server_conn, begun, error)
            line |= _request(found)
            if found.websocket is not None:
                talk = _messages(found.websocket.messages)
                line |= {**talk, "cut": line["cut"] or talk["cut"]}
        case tcp.TCPFlow() | udp.UDPFlow():
            kind = found.type
            line = _line(kind, found.client_conn, found.server_conn, begun, error)
            line |= _messages(found.messages)
        case _:
            line = _line(found.type, found.client_conn, found.server_conn, begun, error)
    return line


def _line(
    kind: str,
    client: connection.Client,
    server: connection.Server,
    begun: float | None,
    error: str | None,
) -> dict[str, Any]:
    here, there = client.peername or (None, None), server.peername or server.address or (None, None)
    return {
        "kind": kind,
        "time": begun,
        "client": here[0].removeprefix("::ffff:") if here[0] else None,
        "client_port": here[1],
        "server": there[0],
        "server_port": there[1],
        "sni": client.sni,
        "tls": client.tls_version,
        "error": error,
        "cut": False,
    }


def _request(found: http.HTTPFlow) -> dict[str, Any]:
    request, response = found.request, found.response
    body, headers = request.raw_content, list(_headers(request))
    cut = len(headers) < len(request.headers.fields) or len(request.url) > MOST_URL
    return {
        "host": request.pretty_host,
        "method": request.method,
        "url": request.pretty_url[:MOST_URL],
        "http": request.http_version,
        "headers": headers,
        # A body that passed through as a stream was not kept.
        "body": None if body is None else _base64(body[:MOST_BODY]),
        "body_bytes": None if body is None else len(body),
        "cut": cut or body is None or len(body) > MOST_BODY,
        "status": response.status_code if response else None,
        "answer": _answer(response) if response else None,
    }


def _answer(response: http.Response) -> str | None:
    """The beginning of an answer that may tell the device what to do, unpacked."""
    if not response.headers.get("content-type", "").lower().startswith(TELLS):
        return None
    content = response.get_content(strict=False)
    return None if content is None else _base64(content[:MOST_ANSWER])


def _headers(request: http.Request) -> Iterator[tuple[str, str]]:
    size = 0
    for name, value in request.headers.items(multi=True):  # type: ignore[no-untyped-call]
        size += len(name) + len(value)
        if size > MOST_HEADERS:
            return
        yield name, value


def _messages(messages: Iterable[Any]) -> dict[str, Any]:
    """What the client sent of a conversation, until there is too much of it."""
    kept: list[dict[str, Any]] = []
    room, cut = MOST_BODY, False
    for message in messages:
        if message.from_client:
            content = message.content[:room]
            cut = cut or len(content) < len(message.content)
            room -= len(content)
            if content:
                kept.append({"time": message.timestamp, "body": _base64(content)})
    return {"messages": kept, "cut": cut}


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _learner() -> Learner | None:
    settings = os.environ.get("ECHOAUDIT_LEARN")
    return Learner(**json.loads(settings)) if settings else None


addons = [SessionWriter(Path(os.environ["ECHOAUDIT_FLOWS"]), _learner())]
