"""Run by mitmdump, never imported: writes each client's flows to its current session's file.

``$ECHOAUDIT_FLOWS/IP`` is a link to that file; without one the flows are kept beside it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mitmproxy import flow, http, tcp, udp
from mitmproxy.io import FlowWriter


class SessionWriter:
    """Appends finished flows, one by one, so that a kill loses none that were finished."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def done(self) -> None:
        """Write what has begun and not finished."""
        for found in list(self._open.values()):
            self._write(found)

    def _write(self, found: flow.Flow) -> None:
        self._open.pop(found.id, None)
        peer = found.client_conn.peername
        client = peer[0].removeprefix("::ffff:") if peer else "unknown"
        link = self._folder / client
        target = link if link.is_symlink() else self._folder / f"between-{client}.mitm"
        try:
            with target.open("ab") as out:
                FlowWriter(out).add(found)  # type: ignore[no-untyped-call]
        except OSError as error:
            # Rather end visibly than let traffic through unrecorded.
            print(f"cannot write flows of {client}: {error}", file=sys.stderr)
            sys.exit(1)


addons = [SessionWriter(Path(os.environ["ECHOAUDIT_FLOWS"]))]
