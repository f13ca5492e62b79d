"""All names of the world behind one ASGI application, chosen by the Host header."""

from __future__ import annotations

from collections import defaultdict

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echoaudit.lab.cloud import (
    auctions,
    publishers,
    server_auctions,
    sign_in,
    skill_pages,
    syncs,
    voice,
)
from echoaudit.lab.cloud.context import Cloud
from echoaudit.lab.cloud.endpoints import Endpoint

MISDIRECTED = 421


class Application:
    """Dispatches by name and logs every request."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._endpoint = Endpoint(cloud)
        rows = _routes(cloud)
        self._apps = {h.name: self._app(h.name, rows[h.name]) for h in cloud.world.hosts()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the ASGI entry)."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        host = host_of(scope)
        if scope["scheme"] == "http":
            await _to_https(scope, host)(scope, receive, send)
            return
        app = self._apps.get(host)
        if app is None:
            await Response("no such host", MISDIRECTED)(scope, receive, send)
            return
        status: list[int] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(int(message["status"]))
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            self._log(scope, host, status[0] if status else None)

    def _app(self, host: str, rows: list[BaseRoute]) -> ASGIApp:
        async def other(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self._endpoint.answer(Request(scope, receive), host)
            await response(scope, receive, send)

        return ExceptionMiddleware(Router(rows, default=other, redirect_slashes=False))

    def _log(self, scope: Scope, host: str, status: int | None) -> None:
        client = scope.get("client")
        row = {
            "host": host,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "tls": self._cloud.world.host(host).tls,
            "http": scope["http_version"],
            "client": client[0] if client else None,
        }
        self._cloud.truth.write("requests", row)


def host_of(scope: Scope) -> str:
    """The name that a request is for, in lower case, without its port."""
    for name, value in scope["headers"]:
        if name == b"host":
            return str(value.decode("latin-1")).partition(":")[0].lower()
    return ""


def _routes(cloud: Cloud) -> dict[str, list[BaseRoute]]:
    world = cloud.world
    platform = world.file.platform
    rows: dict[str, list[BaseRoute]] = defaultdict(list)
    rows[platform.voice] += voice.routes(cloud)
    rows[platform.shop] += [*sign_in.shop_routes(cloud), *skill_pages.routes(cloud)]
    rows[platform.ads] += [*sign_in.ads_routes(cloud), syncs.tag_route(cloud)]
    for party in world.parties.values():
        rows[party.host] += syncs.routes(cloud, party)
    for bidder in world.file.bidders:
        for host, route in auctions.routes(cloud, bidder).items():
            rows[host].append(route)
    for host, asked in server_auctions.routes(cloud).items():
        rows[host] += asked
    for publisher in world.file.publishers:
        rows[publisher.host] += publishers.routes(cloud, publisher)
    return rows


def _to_https(scope: Scope, host: str) -> Response:
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"https://{host}{scope['path']}{'?' + query if query else ''}", 308)


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Start and end of the server need nothing; WebSockets are refused."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    await receive()
    await send({"type": "websocket.close"})
