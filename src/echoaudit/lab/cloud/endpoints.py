"""Hosts of skills and of the Echo's background chatter: they take and give bytes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from echoaudit.lab.cloud.context import PIXEL, Cloud

ICON = "/favicon.ico"
LARGEST = 8_000_000
"""Bytes of a request that are read."""


class Endpoint:
    """Answers whatever is not a page, a pixel or an auction."""

    def __init__(self, cloud: Cloud) -> None:
        self._sizes = {(c.host, c.path): c.receive_bytes for c in cloud.world.contacts()}

    async def answer(self, request: Request, host: str) -> Response:
        """Read the request to its end and answer as many bytes as the world says."""
        if await _too_large(request):
            return Response(status_code=413)
        if request.url.path == ICON:
            week = {"Cache-Control": "public, max-age=604800"}
            return Response(PIXEL, media_type="image/gif", headers=week)
        size = self._sizes.get((host, request.url.path))
        if size is None:
            return Response("not found", 404, media_type="text/plain")
        return Response(bytes(size), media_type="application/octet-stream")


async def _too_large(request: Request) -> bool:
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > LARGEST:
            return True
    return False
