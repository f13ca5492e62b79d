"""Sockets and TLS: each kind of server on its own addresses, or all names on one local port."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

from echoaudit.errors import Unavailable
from echoaudit.lab.authority import Authority, by_name
from echoaudit.lab.world import Host, World

LOOPBACK = "127.0.0.1"
READY = "ready"
BACKLOG = 512
KEEP_ALIVE = 120.0
"""Seconds an idle connection is kept."""


class _ServerConfig(Config):
    """Hypercorn's settings with a TLS context of our own (None: plain HTTP)."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        sockets: Iterable[socket.socket],
        quic: tuple[socket.socket, Path] | None = None,
    ) -> None:
        """``quic``: a UDP socket for HTTP/3, and the leaf that it shows."""
        super().__init__()
        self._context = context
        if quic is not None:
            self.quic_bind = [f"fd://{quic[0].detach()}"]
            self.certfile = self.keyfile = str(quic[1])
        # Hypercorn takes the descriptors over and closes them.
        self.bind = [f"fd://{sock.detach()}" for sock in sockets]
        self.backlog = BACKLOG
        self.keep_alive_timeout = KEEP_ALIVE
        self.include_server_header = False
        self.loglevel = "ERROR"

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context


def on_addresses(world: World, authority: Authority) -> list[Config]:
    """Servers on the world's own addresses: port 443 of each, and port 80 of all.

    Raises:
        Unavailable: an address is not on this machine, or a port is taken.
    """
    places: dict[str, list[Host]] = defaultdict(list)
    for host in world.hosts():
        places[host.address].append(host)
    secure = [_server(authority, address, hosts) for address, hosts in places.items()]
    return [*secure, _ServerConfig(None, [_listen(address, 80) for address in places])]


def _server(authority: Authority, address: str, hosts: list[Host]) -> Config:
    """The server of one address, whose hosts are of one kind."""
    # What the address shows to whoever names none of its hosts.
    leaf = authority.address_leaf(address, hosts[0].certificate)
    context = _context(authority, hosts, [hosts[0].tls], leaf)
    quic = hosts[0].http == "3"
    datagrams = (_bind(address, 443, socket.SOCK_DGRAM), leaf) if quic else None
    return _ServerConfig(context, [_listen(address, 443)], datagrams)


def on_loopback(world: World, authority: Authority, port: int) -> list[Config]:
    """One server for all names on a local port; names keep their HTTP version.

    Raises:
        Unavailable: the port is taken.
    """
    leaf = authority.address_leaf(LOOPBACK, [host.name for host in world.hosts()])
    context = _context(authority, world.hosts(), ["1.2", "1.3"], leaf)
    return [_ServerConfig(context, [_listen(LOOPBACK, port)])]


async def serve(app: ASGIApp, configs: list[Config]) -> None:
    """Serve for ever; prints ``ready`` when connections are accepted.

    There is no orderly end: everything is on disk at any moment, so signals may simply kill.
    """
    asyncio.get_running_loop().set_exception_handler(_quiet_handshakes)
    never = asyncio.Event()
    framework = cast(ASGIFramework, app)
    async with asyncio.TaskGroup() as group:
        for config in configs:
            group.create_task(hypercorn_serve(framework, config, shutdown_trigger=never.wait))
        # The sockets listen already: connections that come now wait for the accept.
        print(READY, flush=True)


def _context(
    authority: Authority, hosts: Iterable[Host], versions: list[str], unnamed: Path
) -> ssl.SSLContext:
    leaves = {host.name: authority.leaf(host.name) for host in hosts}
    return by_name(leaves, {host.name: host.http for host in hosts}, versions, unnamed)


def _listen(address: str, port: int) -> socket.socket:
    sock = _bind(address, port, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.listen(BACKLOG)
    return sock


def _bind(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise Unavailable(f"{address}:{port}: {error.strerror}", fix=_fix(error)) from None
    return sock


def _fix(error: OSError) -> str:
    fixes = {
        errno.EADDRINUSE: "end the program that uses the port, or choose another",
        errno.EADDRNOTAVAIL: "put the world's addresses on an interface first",
        errno.EACCES: "run in a namespace of its own or as root",
    }
    return fixes.get(error.errno or 0, "choose another address")


def _quiet_handshakes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Clients that refuse a certificate or go away are no fault of the server."""
    if not isinstance(context.get("exception"), ssl.SSLError | ConnectionError | TimeoutError):
        print(context.get("message"), repr(context.get("exception")), file=sys.stderr)
        loop.default_exception_handler(context)
