"""A cloud on loopback for tests of one Echo: genuine TLS and HTTP, and a list of what came."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from echoaudit.lab.authority import load_or_make

sys.path.insert(0, str(Path(__file__).parents[1]))
from local_ports import free_port


@dataclass
class LoopbackCloud:
    folder: Path
    commands: list[dict[str, str]]
    background: list[dict[str, object]] = field(default_factory=list)
    orders: list[dict[str, object]] = field(default_factory=list)
    speak: str | None = "Okay."
    events: list[dict[str, object]] = field(default_factory=list)
    contacted: list[tuple[str, str]] = field(default_factory=list)
    directives: dict[str | None, dict[str, object]] = field(default_factory=dict)
    """What else to do, by command."""

    def __enter__(self) -> LoopbackCloud:
        authority = load_or_make(self.folder)
        self.ca = authority.pem
        leaf = str(authority.leaf("localhost"))
        self.host = f"localhost:{free_port()}"
        config = Config()
        config.bind = [self.host]
        config.certfile = config.keyfile = leaf
        config.errorlog = config.accesslog = None
        config.graceful_timeout = 0.2
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, args=(config,), daemon=True)
        self._thread.start()
        self._wait()
        return self

    def _wait(self) -> None:
        host, port = self.host.split(":")
        while self._thread.is_alive():
            with suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
                return
            time.sleep(0.01)
        raise RuntimeError(f"nothing serves {self.host}")

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)

    def _serve(self, config: Config) -> None:
        routes = [
            Route("/v1/provision", self._provision, methods=["POST"]),
            Route("/v1/events", self._events, methods=["POST"]),
            Route("/{path:path}", self._any, methods=["GET", "POST"]),
        ]
        running = serve(Starlette(routes=routes), config, shutdown_trigger=self._end.wait)  # type: ignore[arg-type]
        self._loop.run_until_complete(running)

    async def _provision(self, request: Request) -> JSONResponse:
        # Hypercorn trips over HTTP/2 bodies that nobody reads.
        await request.body()
        return JSONResponse({"commands": self.commands, "background": self.background})

    async def _events(self, request: Request) -> JSONResponse:
        form = await request.form()
        metadata = json.loads(str(form["metadata"]))
        audio = await form["audio"].read()  # type: ignore[union-attr]
        self.events.append({**metadata, "audio": audio, "http": request.scope["http_version"]})
        special = self.directives.get(metadata["command"], {})
        return JSONResponse({"speak": self.speak, "contacts": self.orders, **special})

    async def _any(self, request: Request) -> PlainTextResponse:
        await request.body()
        self.contacted.append((request.url.path, request.scope["http_version"]))
        return PlainTextResponse("x" * 1000)
