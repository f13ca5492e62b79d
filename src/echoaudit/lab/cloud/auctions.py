"""The exchange: genuine Prebid adapters ask, bidders answer by what they know of the browser."""

from __future__ import annotations

import asyncio
from html import escape
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud.context import Cloud, cookie_of
from echoaudit.lab.encodings import encode
from echoaudit.lab.exchange import Decision, Occasion, decide
from echoaudit.lab.exchange_wire import (
    WIRES,
    Auction,
    NotAnAuction,
    Offer,
    Opportunity,
    Size,
    Wire,
    read,
)
from echoaudit.lab.world_check import bid_hosts
from echoaudit.lab.world_model import Bidder, Publisher, SlotRow

LATE_BY = 0.7
"""Seconds after the page's time limit at which a late bidder answers."""
CURRENCY = "USD"


def routes(cloud: Cloud, bidder: Bidder) -> dict[str, Route]:
    """What each of the bidder's servers answers."""
    wire = WIRES[bidder.adapter]
    server = _Server(cloud, bidder, wire)
    return {
        host: Route(wire.path, server.answer, methods=[wire.method, "OPTIONS"])
        for host in bid_hosts(bidder)
    }


class _Server:
    def __init__(self, cloud: Cloud, bidder: Bidder, wire: Wire) -> None:
        self.cloud = cloud
        self.bidder = bidder
        self.wire = wire
        self.party = cloud.world.parties[bidder.party]

    async def answer(self, request: Request) -> Response:
        """Answer one request of the adapter."""
        if request.method == "OPTIONS":
            return _allowed(Response(status_code=204), request)
        try:
            auction = read(self.wire, request.query_params, await request.body())
        except NotAnAuction as problem:
            return _allowed(JSONResponse({"error": str(problem)}, 400), request)
        publisher = self._publisher(auction)
        if publisher is None:
            return _allowed(JSONResponse(self.wire.answer(auction, [])), request)
        offers = await self._hold(auction, publisher, cookie_of(request, self.party))
        return _allowed(JSONResponse(self.wire.answer(auction, offers)), request)

    async def _hold(self, auction: Auction, publisher: Publisher, uid: str | None) -> list[Offer]:
        offers, late = [], False
        slots = {row.slot: row for row in publisher.slots}
        for opportunity in auction.opportunities:
            row = slots.get(opportunity.slot)
            if row is None:
                continue
            occasion = self._occasion(publisher, opportunity, uid)
            decision = decide(self.cloud.world, occasion, self._interests(occasion, uid))
            self._log(auction, opportunity, occasion, decision, uid)
            late = late or decision.answer == "late"
            if decision.ad is not None:
                offers.append(_offer(self.bidder.bidder, opportunity, row, decision))
        if late:
            await asyncio.sleep(publisher.timeout_ms / 1000 + LATE_BY)
        return offers

    def _publisher(self, auction: Auction) -> Publisher | None:
        host = urlsplit(auction.page).hostname
        mine = (p for p in self.cloud.world.file.publishers if self.bidder.bidder in p.bidders)
        return next((p for p in mine if p.host == host), None)

    def _occasion(
        self, publisher: Publisher, opportunity: Opportunity, uid: str | None
    ) -> Occasion:
        account = self.cloud.party_account(self.party.party, uid)
        cell = "|".join([self.bidder.bidder, publisher.site, opportunity.slot, account or ""])
        turn = self.cloud.store.next_auction(cell)
        site, slot = publisher.site, opportunity.slot
        return Occasion(self.bidder.bidder, site, slot, account, self._known_as(uid), turn)

    def _known_as(self, uid: str | None) -> str | None:
        """The account, if the platform was sent this cookie's identifier."""
        hop = self.cloud.world.platform_hop(self.party.party)
        if uid is None or hop is None:
            return None
        return self.cloud.store.matched_account(self.party.party, encode(uid, hop.encoding))

    def _interests(self, occasion: Occasion, uid: str | None) -> list[str]:
        """What the bidder saw itself, and what the platform tells it."""
        seen = self.cloud.store.noted(self.party.party, uid) if uid else []
        return [*seen, *self.cloud.profile(occasion.known_as)]

    def _log(
        self,
        auction: Auction,
        opportunity: Opportunity,
        occasion: Occasion,
        decision: Decision,
        uid: str | None,
    ) -> None:
        row = {
            "account": occasion.account,
            "browser": uid,
            "site": occasion.site,
            "page": auction.page,
            "slot": occasion.slot,
            "bidder": occasion.bidder,
            "auction": auction.id,
            "request": opportunity.request,
            "turn": occasion.turn,
            "answer": decision.answer,
            "cpm": decision.cpm,
            "currency": CURRENCY,
            "lift": decision.lift,
            "ad": decision.ad.ad if decision.ad else None,
        }
        self.cloud.truth.write("bids", row)


def _offer(bidder: str, opportunity: Opportunity, row: SlotRow, decision: Decision) -> Offer:
    ad = decision.ad
    if ad is None:
        raise ValueError("an offer needs an ad")
    creative = f"{bidder}-{ad.ad}"
    markup = markup_of(ad.advertiser, ad.text, row.size)
    return Offer(opportunity, decision.cpm, row.size, creative, markup, ad.advertiser)


def markup_of(advertiser: str, text: str, size: Size) -> str:
    """An ad as HTML: a link with words, nothing loaded from elsewhere."""
    width, height = size
    box = (
        f"box-sizing:border-box;width:{width}px;height:{height}px;padding:8px;overflow:hidden;"
        "border:1px solid #888;background:#fff;color:#222;font:14px sans-serif"
    )
    return (
        "<style>body{margin:0}</style>"
        f'<a href="https://{escape(advertiser)}/" target="_blank" rel="noopener" '
        f'style="text-decoration:none"><div style="{box}"><b>{escape(advertiser)}</b><br>'
        f"{escape(text)}</div></a>"
    )


def _allowed(response: Response, request: Request) -> Response:
    """Let the page's script read the answer, with cookies sent along."""
    origin = request.headers.get("origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Allow-Headers"] = "content-type"
        response.headers["Vary"] = "Origin"
    return response
