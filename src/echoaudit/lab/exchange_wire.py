"""The wire formats of genuine Prebid.js 11 adapters, as seen from their servers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from echoaudit.lab.world_model import AdapterName

LARGEST = 1_000_000
"""Bytes of a request after decompression."""
UNREADABLE = (
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What reading a request of another shape raises."""
Size = tuple[int, int]
Json = dict[str, Any]


class NotAnAuction(ValueError):
    """A request that the adapter would not make."""


@dataclass(frozen=True)
class Opportunity:
    """One slot that a bid is wanted for."""

    request: str
    """Prebid's id of this bidder's request for this slot."""
    slot: str


@dataclass(frozen=True)
class Auction:
    """A request of an adapter."""

    id: str
    page: str
    opportunities: tuple[Opportunity, ...]
    fields: Mapping[str, str]
    """Fields of the request that the answer repeats."""


@dataclass(frozen=True)
class Offer:
    """A bid for an opportunity."""

    opportunity: Opportunity
    cpm: float
    size: Size
    creative: str
    markup: str
    advertiser: str


@dataclass(frozen=True)
class Wire:
    """How one adapter asks and is answered."""

    path: str
    method: str
    read: Callable[[Mapping[str, str], bytes], Auction]
    """Query parameters and body to an auction (NotAnAuction when they are none)."""
    answer: Callable[[Auction, Sequence[Offer]], Json]


def read(wire: Wire, query: Mapping[str, str], body: bytes) -> Auction:
    """The auction that a request asks for.

    Raises:
        NotAnAuction: the adapter would not send this.
    """
    try:
        return wire.read(query, body)
    except UNREADABLE as error:
        raise NotAnAuction(f"{type(error).__name__}: {error}") from None


# --- appnexus ---------------------------------------------------------------------------------


def _read_appnexus(_: Mapping[str, str], body: bytes) -> Auction:
    request = json.loads(body)
    tags = [Opportunity(str(tag["uuid"]), _slot(tag["gpid"])) for tag in request["tags"]]
    page = unquote(str(request["referrer_detection"]["rd_ref"]))
    return Auction(tags[0].request, page, tuple(tags), {})


def _answer_appnexus(auction: Auction, offers: Sequence[Offer]) -> Json:
    bids = {offer.opportunity: offer for offer in offers}
    tags = [_appnexus_tag(auction, o, bids.get(o)) for o in auction.opportunities]
    return {"version": "3.0.0", "tags": tags}


def _appnexus_tag(auction: Auction, opportunity: Opportunity, offer: Offer | None) -> Json:
    tag: Json = {"uuid": opportunity.request, "auction_id": auction.id}
    if offer is None:
        return {**tag, "nobid": True}
    width, height = offer.size
    banner = {"content": offer.markup, "width": width, "height": height}
    ad = {
        "content_source": "rtb",
        "ad_type": "banner",
        "media_type_id": 1,
        "creative_id": offer.creative,
        "cpm": offer.cpm,
        "adomain": offer.advertiser,
        "rtb": {"banner": banner},
    }
    return {**tag, "nobid": False, "ads": [ad]}


# --- rubicon ----------------------------------------------------------------------------------

_RUBICON_REPEATED = ("account_id", "site_id", "zone_id", "size_id")


def _read_rubicon(query: Mapping[str, str], _: bytes) -> Auction:
    slot = Opportunity(query["l_pb_bid_id"], _slot(query["p_gpid"]))
    fields = {name: query[name] for name in _RUBICON_REPEATED}
    return Auction(slot.request, query["rf"], (slot,), fields)


def _answer_rubicon(auction: Auction, offers: Sequence[Offer]) -> Json:
    numbers = {name: int(value) for name, value in auction.fields.items()}
    ads = [_rubicon_ad(auction, offer) for offer in offers]
    unfilled = [{"status": "not-ok", "reason": "no-ads"}]
    return {"status": "ok", **numbers, "tracking": "", "inventory": {}, "ads": ads or unfilled}


def _rubicon_ad(auction: Auction, offer: Offer) -> Json:
    return {
        "status": "ok",
        "impression_id": offer.opportunity.request,
        "size_id": auction.fields["size_id"],
        "creative_id": offer.creative,
        "type": "script",
        "script": f"document.write({_script_text(offer.markup)});",
        "cpm": offer.cpm,
        "adomain": [offer.advertiser],
        "targeting": [],
    }


def _script_text(markup: str) -> str:
    # The adapter puts the script into a <script> element, which "</" would end.
    return json.dumps(markup).replace("</", "<\\/")


# --- OpenRTB: ix, openx, pubmatic, adkernel ---------------------------------------------------


def _read_openrtb(_: Mapping[str, str], body: bytes) -> Auction:
    request = json.loads(body)
    slots = [Opportunity(str(imp["id"]), _imp_slot(imp)) for imp in request["imp"]]
    return Auction(
        str(request.get("id", slots[0].request)), request["site"]["page"], tuple(slots), {}
    )


def _read_pubmatic(query: Mapping[str, str], body: bytes) -> Auction:
    return _read_openrtb(query, _gunzip(body) if query.get("gzip") == "1" else body)


def _imp_slot(imp: Json) -> str:
    gpid = imp.get("ext", {}).get("gpid")
    return _slot(gpid) if gpid is not None else str(imp["tagid"])


def _answer_openrtb(auction: Auction, offers: Sequence[Offer]) -> Json:
    return _openrtb(auction, [_openrtb_bid(offer, offer.cpm) for offer in offers])


def _answer_ix(auction: Auction, offers: Sequence[Offer]) -> Json:
    # Index Exchange counts in cents.
    return _openrtb(auction, [_openrtb_bid(offer, round(offer.cpm * 100, 2)) for offer in offers])


def _openrtb(auction: Auction, bids: list[Json]) -> Json:
    return {"id": auction.id, "cur": "USD", "seatbid": [{"seat": "1", "bid": bids}] if bids else []}


def _openrtb_bid(offer: Offer, price: float) -> Json:
    width, height = offer.size
    return {
        "id": offer.opportunity.request,
        "impid": offer.opportunity.request,
        "price": price,
        "adm": offer.markup,
        "crid": offer.creative,
        "adomain": [offer.advertiser],
        "w": width,
        "h": height,
        "mtype": 1,
        "ext": {},
    }


def _gunzip(body: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    text = inflater.decompress(body, LARGEST)
    if inflater.unconsumed_tail:
        raise ValueError(f"more than {LARGEST} bytes")
    return text


def slot_path(site: str, slot: str) -> str:
    """The global placement id (gpid) that pages give their slots."""
    return f"/{site}/{slot}"


def _slot(gpid: str) -> str:
    return str(gpid).rpartition("/")[2]


WIRES: dict[AdapterName, Wire] = {
    "appnexus": Wire("/ut/v3/prebid", "POST", _read_appnexus, _answer_appnexus),
    "rubicon": Wire("/a/api/fastlane.json", "GET", _read_rubicon, _answer_rubicon),
    "ix": Wire("/openrtb/pbjs", "POST", _read_openrtb, _answer_ix),
    "openx": Wire("/openrtbb/prebidjs", "POST", _read_openrtb, _answer_openrtb),
    "pubmatic": Wire("/translator", "POST", _read_pubmatic, _answer_openrtb),
    "adkernel": Wire("/hb", "POST", _read_openrtb, _answer_openrtb),
}
