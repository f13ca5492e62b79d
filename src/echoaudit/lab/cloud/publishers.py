"""Publishers: pages with genuine Prebid.js, slots for ads, and the sync pixels of partners."""

from __future__ import annotations

import json
import secrets
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud import banners, server_auctions
from echoaudit.lab.cloud.context import Cloud
from echoaudit.lab.cloud.pages import render, script_text
from echoaudit.lab.cloud.syncs import TAG, VIEW
from echoaudit.lab.exchange_wire import slot_path
from echoaudit.lab.prebid import bundle
from echoaudit.lab.world import World
from echoaudit.lab.world_model import Bidder, Publisher, SlotRow

SCRIPT = "text/javascript"
SESSION = "visit"
"""A first-party cookie that ends with the browser."""
CACHED = {"Cache-Control": "public, max-age=604800"}


def routes(cloud: Cloud, publisher: Publisher) -> list[Route]:
    """What the publisher's host answers."""
    gzipped = {"Content-Encoding": "gzip", **CACHED}
    prebid = _gzip(bundle(publisher.variable))
    logic = script_text("page.js")

    async def page(request: Request) -> Response:
        choice = banners.chosen(request)
        if publisher.consent is not None and choice != "accept":
            return banners.withheld_page(cloud, publisher, secrets.token_hex(8), choice)
        session = request.cookies.get(SESSION) or secrets.token_hex(8)
        response = HTMLResponse(page_of(cloud.world, publisher, secrets.token_hex(8), session))
        response.headers["Cache-Control"] = "no-store"
        response.set_cookie(SESSION, session, path="/", secure=True)
        return response

    async def prebid_script(_: Request) -> Response:
        return Response(prebid, media_type=SCRIPT, headers=gzipped)

    async def page_script(_: Request) -> Response:
        return Response(logic, media_type=SCRIPT, headers=CACHED)

    return [
        Route("/", page, methods=["GET"]),
        Route("/assets/prebid.js", prebid_script, methods=["GET"]),
        Route("/assets/page.js", page_script, methods=["GET"]),
        *(banners.routes(cloud, publisher) if publisher.consent else []),
    ]


def page_of(world: World, publisher: Publisher, view: str, session: str) -> str:
    """The page's HTML for one view.

    Args:
        world: the planted truth.
        publisher: whose page.
        view: cache buster of this view.
        session: the publisher's own number for this browser session.
    """
    settings = json.dumps(_settings(world, publisher, view, session))
    return render(
        "page.html.jinja",
        publisher=publisher,
        tag=f"https://{world.file.platform.ads}{TAG}?{VIEW}={view}",
        # "<" could end the element that holds the settings.
        settings=settings.replace("<", "\\u003c"),
    )


def _settings(world: World, publisher: Publisher, view: str, session: str) -> dict[str, Any]:
    bidders = [world.bidders[code] for code in publisher.bidders]
    decoys = f"&sid={session}" if world.file.decoys else ""
    return {
        "variable": publisher.variable,
        "timeout": publisher.timeout_ms,
        "aliases": [[b.adapter, b.bidder] for b in bidders if b.adapter != b.bidder],
        "units": [_unit(publisher, slot, bidders) for slot in publisher.slots],
        "pixels": [
            {"load": p.load, "url": f"https://{p.host}{p.path}?{VIEW}={view}{decoys}"}
            for p in world.pixels(publisher)
        ],
        "auctions": server_auctions.asked(publisher, view),
    }


def _unit(publisher: Publisher, slot: SlotRow, bidders: list[Bidder]) -> dict[str, Any]:
    return {
        "code": slot.slot,
        "mediaTypes": {"banner": {"sizes": [list(slot.size)]}},
        "ortb2Imp": {"ext": {"gpid": slot_path(publisher.site, slot.slot)}},
        "bids": [{"bidder": b.bidder, "params": _params(b)} for b in bidders],
    }


def _params(bidder: Bidder) -> dict[str, Any]:
    """What each adapter wants to be told."""
    number = bidder.account
    match bidder.adapter:
        case "appnexus":
            return {"placementId": number}
        case "rubicon":
            return {"accountId": number, "siteId": number + 1, "zoneId": number + 2}
        case "ix":
            return {"siteId": str(number)}
        case "openx":
            return {"unit": str(number), "delDomain": "lab-d.openx.net"}
        case "pubmatic":
            return {"publisherId": str(number)}
        case "adkernel":
            return {"host": bidder.host, "zoneId": number}


def _gzip(text: str) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(text.encode()) + packer.flush()
