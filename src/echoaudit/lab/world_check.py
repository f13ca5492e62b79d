"""Whether the parts of a world fit together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from echoaudit.domains import registrable
from echoaudit.lab.world_model import (
    PLATFORM,
    AdapterName,
    Bidder,
    Contact,
    HostRow,
    ServerAuction,
    WorldFile,
)
from echoaudit.study.faults import shown, suggestion
from echoaudit.study.typed import Place, Problem

BID_HOSTS: dict[AdapterName, tuple[str, ...]] = {
    "appnexus": ("ib.adnxs.com", "ib.adnxs-simple.com"),
    "rubicon": ("fastlane.rubiconproject.com",),
    "ix": ("htlb.casalemedia.com",),
    "openx": ("rtb.openx.net",),
    "pubmatic": ("hbopenbid.pubmatic.com",),
    "adkernel": (),
}
"""Servers that the genuine adapters talk to; the first one carries the bidder's cookie."""

AUCTION_DOMAINS: dict[str, tuple[str, ...]] = {
    "apstag": ("amazon-adsystem.com",),
    "google-ads": ("doubleclick.net", "googlesyndication.com"),
}
"""Domains of servers that hold auctions for a tag; a Prebid Server may be anybody's."""

Named = tuple[Place, str]
"""A name and where it was written."""


def bid_hosts(bidder: Bidder) -> tuple[str, ...]:
    """The servers of ``bidder``; the first one carries its cookie."""
    return (bidder.host,) if bidder.host is not None else BID_HOSTS[bidder.adapter]


def problems(world: WorldFile) -> Iterator[Problem]:
    """What a schema cannot say: names used twice, leading nowhere, or not fitting each other."""
    yield from _doubles(world)
    yield from _unserved(world)
    yield from _dangling(world)
    yield from _behaviours(world)
    rows = {row.host: row for _, row in _rows(world)}
    for place, row in _rows(world):
        yield from _served(row, rows, place)
    yield from _asked(world, rows)
    yield from _streams(world)
    yield from _shop(world)
    for place, contact in _contacts(world):
        yield from _contact(contact, place)
        yield from _wire(contact, rows, place)
    for index, bidder in enumerate(world.bidders):
        yield from _bidder(world, bidder, ("bidders", index))
    for place, auction in _auctions(world):
        domains = AUCTION_DOMAINS.get(auction.kind)
        if domains is not None and registrable(auction.host) not in domains:
            found = f"host {shown(auction.host)} for {auction.kind}"
            allowed = f"a host of {' or '.join(domains)}"
            yield Problem((*place, "host"), found, allowed, f"host: ads.{domains[0]}")


# --- names used twice -------------------------------------------------------------------------


def _doubles(world: WorldFile) -> Iterator[Problem]:
    yield from _twice("host", [((*place, "host"), row.host) for place, row in _rows(world)])
    owners = [o.organisation for o in world.organisations]
    yield from _twice("organisation", _listed(owners, "organisations", "organisation"))
    yield from _twice("party", _listed([p.party for p in world.parties], "parties", "party"))
    yield from _twice("bidder", _listed([b.bidder for b in world.bidders], "bidders", "bidder"))
    yield from _twice("site", _listed([p.site for p in world.publishers], "publishers", "site"))
    yield from _twice(
        "host of a site", _listed([p.host for p in world.publishers], "publishers", "host")
    )
    yield from _twice("ad", _listed([a.ad for a in world.ads], "ads", "ad"))
    for index, publisher in enumerate(world.publishers):
        slots = [
            (("publishers", index, "slots", s), row.slot) for s, row in enumerate(publisher.slots)
        ]
        yield from _twice("slot", slots)
        codes = [(("publishers", index, "bidders", b), c) for b, c in enumerate(publisher.bidders)]
        yield from _twice("bidder", codes)


def _rows(world: WorldFile) -> Iterator[tuple[Place, HostRow]]:
    for o, organisation in enumerate(world.organisations):
        for h, row in enumerate(organisation.hosts):
            yield ("organisations", o, "hosts", h), row


def _listed(names: Iterable[str], *place: str) -> list[Named]:
    first, last = place
    return [((first, index, last), name) for index, name in enumerate(names)]


def _twice(what: str, names: Iterable[Named]) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, name in names:
        if name in seen:
            yield Problem(place, f"{what} {shown(name)} a second time", f"each {what} once", name)
        seen.add(name)


# --- names that lead nowhere ------------------------------------------------------------------


def _unserved(world: WorldFile) -> Iterator[Problem]:
    served = [row.host for _, row in _rows(world)]
    known = set(served)
    for place, name in _hosts_used(world):
        if name not in known:
            found = f"host {shown(name)}, which no organisation has{suggestion(name, served)}"
            yield Problem(place, found, "a host listed under organisations", f"- host: {name}")


def _hosts_used(world: WorldFile) -> Iterator[Named]:
    platform = world.platform
    yield from ((("platform", part), getattr(platform, part)) for part in ("voice", "shop", "ads"))
    yield from (((*place, "host"), contact.host) for place, contact in _contacts(world))
    yield from ((("blocked", index), name) for index, name in enumerate(world.blocked))
    for place, row in _rows(world):
        if row.address_of is not None:
            yield (*place, "address_of"), row.address_of
    yield from _listed([p.host for p in world.parties], "parties", "host")
    yield from _listed([p.host for p in world.publishers], "publishers", "host")
    yield from (((*place, "host"), auction.host) for place, auction in _auctions(world))
    for index, bidder in enumerate(world.bidders):
        yield from ((("bidders", index), host) for host in bid_hosts(bidder))


def _auctions(world: WorldFile) -> Iterator[tuple[Place, ServerAuction]]:
    for p, publisher in enumerate(world.publishers):
        for index, auction in enumerate(publisher.auctions):
            yield ("publishers", p, "auctions", index), auction


def _contacts(world: WorldFile) -> Iterator[tuple[Place, Contact]]:
    for index, contact in enumerate(world.platform.background):
        yield ("platform", "background", index), contact
    for index, behaviour in enumerate(world.behaviours):
        for c, skill_contact in enumerate(behaviour.contacts):
            yield ("behaviours", index, "contacts", c), skill_contact


def _dangling(world: WorldFile) -> Iterator[Problem]:
    parties = [p.party for p in world.parties]
    bidders = [b.bidder for b in world.bidders]
    yield from _unknown("party", _receivers(world), [*parties, PLATFORM])
    yield from _unknown("bidder", _codes(world), bidders)
    pixels = [
        (("publishers", p, "pixels", index), name)
        for p, publisher in enumerate(world.publishers)
        for index, name in enumerate(publisher.pixels)
    ]
    owners = _listed([b.party for b in world.bidders], "bidders", "party")
    yield from _unknown("party", [*pixels, *owners], parties)


def _receivers(world: WorldFile) -> Iterator[Named]:
    for p, party in enumerate(world.parties):
        for s, send in enumerate(party.sends):
            yield ("parties", p, "sends", s, "to"), send.to
    for s, send in enumerate(world.platform.sends):
        yield ("platform", "sends", s, "to"), send.to


def _codes(world: WorldFile) -> Iterator[Named]:
    for p, publisher in enumerate(world.publishers):
        for index, code in enumerate(publisher.bidders):
            yield ("publishers", p, "bidders", index), code
    for a, ad in enumerate(world.ads):
        for index, code in enumerate(ad.bidders):
            yield ("ads", a, "bidders", index), code


def _unknown(what: str, names: Iterable[Named], known: list[str]) -> Iterator[Problem]:
    for place, name in names:
        if name not in known:
            found = f"unknown {what} {shown(name)}{suggestion(name, known)}"
            yield Problem(place, found, ", ".join(known) or "none", f"- {next(iter(known), name)}")


# --- parts that do not fit each other ---------------------------------------------------------


def _behaviours(world: WorldFile) -> Iterator[Problem]:
    for index, behaviour in enumerate(world.behaviours):
        if not behaviour.skills and behaviour.interest is None:
            yield Problem(
                ("behaviours", index),
                "a behaviour of nobody",
                "'skills' or 'interest'",
                "interest: Fashion & Style",
            )
    for index, party in enumerate(world.parties):
        if party.party == PLATFORM:
            found = f"a party called {shown(PLATFORM)}"
            yield Problem(("parties", index, "party"), found, "any other name", "party: adnxs")
        for s, send in enumerate(party.sends):
            if send.to == party.party:
                found = f"{shown(party.party)} sending to itself"
                yield Problem(
                    ("parties", index, "sends", s, "to"), found, "another party", "to: platform"
                )


def _served(row: HostRow, rows: Mapping[str, HostRow], place: Place) -> Iterator[Problem]:
    """Whether a host can be served as it says."""
    if row.http == "3" and row.tls != "1.3":
        what = "tls 1.3, which is part of QUIC"
        yield Problem((*place, "tls"), f"HTTP/3 over TLS {row.tls}", what, 'tls: "1.3"')
    other = rows.get(row.address_of or "")
    if other is None:
        return
    if other.address_of is not None:
        found = f"the address of {shown(other.host)}, which has none of its own"
        example = f"address_of: {other.address_of}"
        yield Problem((*place, "address_of"), found, "a host without address_of", example)
    if (row.tls, row.http) != (other.tls, other.http):
        found = f"the address of {shown(other.host)}, a server of another kind"
        what = "the same tls and http as that host"
        yield Problem((*place, "address_of"), found, what, f'http: "{other.http}"')


def _asked(world: WorldFile, rows: Mapping[str, HostRow]) -> Iterator[Problem]:
    """Whether an address can answer as its hosts say, to whoever asks it or for it."""
    groups: dict[tuple[int, str, str], list[tuple[Place, HostRow]]] = defaultdict(list)
    keys: dict[str, tuple[int, str, str]] = {}
    for o, organisation in enumerate(world.organisations):
        keys |= {row.host: (o, row.tls, row.http) for row in organisation.hosts}
    for place, row in _rows(world):
        groups[keys.get(row.address_of or row.host, keys[row.host])].append((place, row))
    for members in groups.values():
        for key in ("certificate", "reverse"):
            for place, row in [(p, row) for p, row in members if getattr(row, key)][1:]:
                found = f"a second {key} for the address of {shown(row.host)}"
                what = "one among the hosts that share an address"
                yield Problem((*place, key), found, what, f"{key}: once")
        silent = any(row.reverse == "none" for _, row in members)
        for place, row in members:
            if silent and row.cname is not None:
                found = "an alias at an address without reverse DNS"
                what = "no reverse: none where a host has a cname"
                yield Problem((*place, "cname"), found, what, f"reverse: {row.cname}")
            if row.certificate and row.http == "3":
                found = f"a certificate for nobody's name at {shown(row.host)}, which speaks QUIC"
                yield Problem((*place, "certificate"), found, 'http "1.1" or "2"', 'http: "2"')


def _wire(contact: Contact, rows: Mapping[str, HostRow], place: Place) -> Iterator[Problem]:
    """Whether a contact's hello belongs to the protocol that it is made by."""
    row = rows.get(contact.host)
    if row is None or row.http != "3" or (contact.sni and contact.hello == "whole"):
        return
    part = "hello" if contact.sni else "sni"
    found = f"an unusual hello to {shown(row.host)}, which speaks QUIC"
    yield Problem((*place, part), found, 'a host of http "1.1" or "2"', 'http: "2"')


def _contact(contact: Contact, place: Place) -> Iterator[Problem]:
    """Whether what a request is to carry fits into it."""
    inside = [row for row in contact.sends if row.place == "body"]
    if inside and contact.method == "GET":
        what = "method POST, or data in query or header"
        yield Problem((*place, "sends"), "data in the body of a GET", what, "method: POST")
    if contact.gzip and (not inside or contact.body == "multipart"):
        what = "gzip for a body of json, form or protobuf"
        yield Problem((*place, "gzip"), "nothing to compress", what, "body: json")
    for index, row in enumerate(contact.sends):
        if row.data == "voice recording" and (row.place != "body" or row.encoding != "plain"):
            what = "a sound in the body, plain"
            found = "a voice recording outside the body or encoded"
            yield Problem((*place, "sends", index), found, what, "place: body")
    fields = [((*place, "sends", i, "field"), row.field) for i, row in enumerate(contact.sends)]
    yield from _twice("field", fields)


def _streams(world: WorldFile) -> Iterator[Problem]:
    """Whether every service has something to play, and clips and ads belong to services."""
    services = [stream.service for stream in world.streams]
    yield from _twice("service", _listed(services, "streams", "service"))
    names = [
        *_listed([clip.clip for clip in world.clips], "clips", "clip"),
        *_listed([ad.ad for ad in world.audio_ads], "audio_ads", "ad"),
    ]
    yield from _twice("clip or ad", names)
    rows = [
        *(("clips", index, clip.services) for index, clip in enumerate(world.clips)),
        *(("audio_ads", index, ad.services) for index, ad in enumerate(world.audio_ads)),
    ]
    places: list[Named] = [
        ((key, index, "services", s), name)
        for key, index, names_ in rows
        for s, name in enumerate(names_)
    ]
    yield from _unknown("service", places, services)
    for index, stream in enumerate(world.streams):
        if not any(stream.service in (clip.services or services) for clip in world.clips):
            found = f"nothing to play on {shown(stream.service)}"
            yield Problem(("streams", index), found, "a clip for it under clips", "- clip: song")


def _shop(world: WorldFile) -> Iterator[Problem]:
    """Whether the shop has an ad for whoever comes, and names of their own for slots and ads."""
    ads, slots = world.platform.shop_ads, world.platform.shop_slots
    for what, name, values in (
        ("ad", "ad", [("shop_ads", ad.ad) for ad in ads]),
        ("slot", "slot", [("shop_slots", row.slot) for row in slots]),
    ):
        places = [(("platform", list_, n, name), value) for n, (list_, value) in enumerate(values)]
        yield from _twice(what, places)
    if slots and not any(ad.interest is None for ad in ads):
        found = "slots in the shop without an ad that anybody may be shown"
        example = "shop_ads: [{ad: soup, advertiser: www.soup.com, text: Soup.}]"
        yield Problem(("platform", "shop_slots"), found, "an ad without an interest", example)


def _bidder(world: WorldFile, bidder: Bidder, place: Place) -> Iterator[Problem]:
    if (bidder.adapter == "adkernel") != (bidder.host is not None):
        what = "'host' for adapter adkernel and only for it"
        yield Problem(place, f"bidder {shown(bidder.bidder)}", what, "host: bid.shop.com")
        return
    same = [b.bidder for b in world.bidders if set(bid_hosts(b)) & set(bid_hosts(bidder))]
    if same[0] != bidder.bidder:
        found = f"bidder {shown(bidder.bidder)} at the server of {shown(same[0])}"
        yield Problem(place, found, "one bidder per server", "adapter: adkernel")
    party = next((p for p in world.parties if p.party == bidder.party), None)
    server = bid_hosts(bidder)[0]
    if party is not None and registrable(party.host) != registrable(server):
        found = f"cookies of {party.host}, which {server} never sees"
        example = f"host: sync.{registrable(server)}"
        yield Problem((*place, "party"), found, "a party of the same registrable domain", example)
    if not any(ad.interest is None and _shows(ad.bidders, bidder) for ad in world.ads):
        found = f"no ad without an interest for bidder {shown(bidder.bidder)}"
        yield Problem(("ads",), found, "an ad that anybody may be shown", "bidders: []")


def _shows(bidders: tuple[str, ...], bidder: Bidder) -> bool:
    return not bidders or bidder.bidder in bidders
