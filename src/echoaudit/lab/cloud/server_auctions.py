"""Auctions that a page only begins: of Amazon's tag, Google's ad server and Prebid Servers.

Nothing of them reaches the page: what the servers log is the truth that requests are held against.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from echoaudit.lab.cloud.banners import VIEW
from echoaudit.lab.cloud.context import Cloud
from echoaudit.lab.world_model import Publisher, ServerAuction

WAYS = {
    "apstag": ("GET", "/e/dtb/bid"),
    "google-ads": ("GET", "/gampad/ads"),
    "prebid-server": ("POST", "/openrtb2/auction"),
}
"""Method and path of each kind, as the genuine ones have them."""


def asked(publisher: Publisher, view: str) -> list[dict[str, Any]]:
    """What a page of ``publisher`` sends, for its script."""
    return [
        {"method": method, "url": f"https://{auction.host}{path}?{VIEW}={view}"}
        for auction in publisher.auctions
        for method, path in [WAYS[auction.kind]]
    ]


def routes(cloud: Cloud) -> dict[str, list[Route]]:
    """What the servers of all auctions answer, by host: nothing, and the log knows."""
    planted = {
        (auction.host, auction.kind): auction
        for publisher in cloud.world.file.publishers
        for auction in publisher.auctions
    }
    found: dict[str, list[Route]] = {}
    for auction in planted.values():
        found.setdefault(auction.host, []).append(_route(cloud, auction))
    return found


def _route(cloud: Cloud, auction: ServerAuction) -> Route:
    method, path = WAYS[auction.kind]

    async def answer(request: Request) -> Response:
        view = request.query_params.get(VIEW, "")
        row = {"view": view, "kind": auction.kind, "host": auction.host}
        cloud.truth.write("auctions", row)
        return Response(status_code=204)

    return Route(path, answer, methods=[method])
