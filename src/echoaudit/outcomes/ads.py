"""Ads that filled slots of the visited pages: whose they are, where they lead, which are the same.

Nothing is clicked: where an ad leads is read from the links in its markup, through the addresses
that click trackers carry in their own. Who advertises is what the bidder declares, else whose page
the ad leads to. Texts and addresses come from pages and are kept short; addresses lose their query,
which may hold identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.domains import registrable
from echoaudit.errors import BadInput
from echoaudit.outcomes.ads_links import bare, landing
from echoaudit.outcomes.ads_same import Seen, picture, same
from echoaudit.outcomes.organisations import directory, is_platform, party
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import skills_in
from echoaudit.outcomes.visits import VISIT, describe_step, host_of, number, plain

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "ads"
ADS, BIDS = "ads.json", "bids.json"
TEXT = 500
"""Characters kept of what an ad says."""
TABLE = Schema(
    NAME,
    "Ads on the visited pages: one row per filled slot.",
    (
        Column("visit", "string", "Step id of the visit."),
        Column("index", "int", "Place among the visit's ads, from 0."),
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("round", "int", "Pass over all sites, from 1."),
        Column("site", "string", "The site as the study names it."),
        Column("channel", "string", "`platform` on the platform's own pages, else `publisher`."),
        Column("kind", "string", "`prebid`, `gpt`, `tag` or `frame` (see `ads.json`)."),
        Column("slot", "string", "Name of the slot."),
        Column("size", "string", "As it was drawn, WIDTHxHEIGHT.", "CSS pixels"),
        Column("creative", "string", "Equal for ads that are the same (below)."),
        Column("bidder", "string", "Whose bid it is; empty when no script tells."),
        Column("creative_id", "string", "The bidder's or the ad server's id of the creative."),
        Column("cpm_usd", "float", "What was bid for it.", "USD per 1000 views"),
        Column("advertiser", "string", "Registrable domain of the advertiser; empty when unknown."),
        Column("basis", "string", "What tells the advertiser: `bid`, `link`; else empty."),
        Column("landing", "string", "Where it leads, without query; read, not visited."),
        Column("party", "string", "`platform`: its own products; `vendor`: of an installed skill."),
        Column("vendor_skills", "string", "Ids of the installed skills of that vendor."),
        Column("text", "string", "What it says: visible text, then alternative texts."),
        Column("image", "string", "Its picture in the visit's folder; empty without one."),
        Column("picture_hash", "string", "Perceptual hash of the picture (dHash, 256 bits)."),
        Column("markup_sha256", "string", "SHA-256 of its markup."),
    ),
)  # fmt: skip


def derive(recording: Recording) -> pd.DataFrame:
    """The ads of all visits, those that are the same under one name."""
    from echoaudit.outcomes.bids import rates_of

    rates = rates_of(recording.info.get("config"))
    makers = _makers(recording.study)
    rows = [
        row
        for step in recording.steps("visit")
        if step.has(ADS)
        for row in _rows(step, rates, makers)
    ]
    seen = [
        Seen(
            row["advertiser"],
            (row["bidder"] or row["kind"], row["creative_id"]),
            row["text"],
            row["size"],
            row["picture_hash"],
            row["markup_sha256"],
            f"{row['visit']} {row['index']}",
        )
        for row in rows
    ]
    return TABLE.conform(
        {**row, "creative": name} for row, name in zip(rows, same(seen), strict=True)
    )


def _rows(
    step: StepEvidence, rates: Mapping[str, float], makers: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    about = step.json(VISIT) if step.has(VISIT) else {}
    visit = describe_step(step, about if isinstance(about, dict) else {})
    vendors = makers.get(step.persona, {})
    bids = {str(bid.get("ad")): bid for bid in _records(step, BIDS) if bid.get("ad")}
    for place, ad in enumerate(_records(step, ADS)):
        yield {**visit, **_row(step, ad, place, bids, rates), **_whose(ad, bids, vendors)}


def _records(step: StepEvidence, name: str) -> list[dict[str, Any]]:
    found = step.json(name) if step.has(name) else []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput("not a list of objects", file=step.path(name))
    return found


def _row(
    step: StepEvidence,
    ad: Mapping[str, Any],
    place: int,
    bids: Mapping[str, Mapping[str, Any]],
    rates: Mapping[str, float],
) -> dict[str, Any]:
    from echoaudit.outcomes.bids import cpm, currency_of

    bid = bids.get(str(ad.get("ad")), {})
    price, rate = cpm(bid.get("cpm")), rates.get(currency_of(bid.get("currency")))
    told = ad.get("gpt")
    google = told if isinstance(told, dict) else {}
    named = ad.get("image")
    image = named if isinstance(named, str) and step.has(named) else ""
    return {
        "index": place,
        "channel": "platform" if _on_platform(ad) else "publisher",
        "kind": plain(ad.get("kind")) or "",
        "slot": plain(ad.get("slot")) or "",
        "size": _size(ad.get("rect")),
        "bidder": plain(bid.get("bidder")) or "",
        "creative_id": plain(bid.get("creative")) or plain(google.get("creative")) or "",
        "cpm_usd": None if price is None or rate is None else round(price * rate, 6),
        "text": _text(ad),
        "image": plain(image) or "",
        "picture_hash": picture(step.path(image)) if image else "",
        "markup_sha256": plain(ad.get("html_sha256")) or "",
    }


def _whose(
    ad: Mapping[str, Any], bids: Mapping[str, Mapping[str, Any]], vendors: Mapping[str, str]
) -> dict[str, str]:
    bid = bids.get(str(ad.get("ad")), {})
    stated = [registrable(name) for found in _list(bid.get("advertiser_domains"))
              if (name := host_of(f"//{plain(found, 200)}"))]  # fmt: skip
    links = [link for link in _list(ad.get("links")) if isinstance(link, str)]
    leads_to = landing(links, stated, registrable(host_of(str(ad.get("page")))))
    if not leads_to and _on_platform(ad):
        # What a shop advertises on its own pages it may well sell itself.
        leads_to = landing(links, stated, "")
    advertiser = stated[0] if stated else registrable(host_of(leads_to)) if leads_to else ""
    skills = sorted(skill for skill, vendor in vendors.items() if _is_of(advertiser, vendor))
    own = bool(advertiser) and is_platform(advertiser)
    return {
        "advertiser": advertiser,
        "basis": "bid" if stated else "link" if advertiser else "",
        "landing": bare(leads_to),
        "party": "platform" if own else "vendor" if skills else "",
        "vendor_skills": ",".join(skills),
    }


def _is_of(advertiser: str, vendor: str) -> bool:
    return bool(advertiser) and party(directory().attribute(advertiser), vendor) == "vendor"


def _makers(study: Any) -> dict[str, dict[str, str]]:
    """Persona to the vendors of its skills, by skill id."""
    personas = study.get("personas") if isinstance(study, dict) else None
    return {
        str(persona.get("persona")): {
            str(skill.get("id")): str(skill["vendor"])
            for skill in skills_in(persona)
            if isinstance(skill, dict) and skill.get("vendor")
        }
        for persona in _list(personas)
        if isinstance(persona, dict)
    }


def _on_platform(ad: Mapping[str, Any]) -> bool:
    host = host_of(str(ad.get("page")))
    return bool(host) and is_platform(registrable(host))


def _text(ad: Mapping[str, Any]) -> str:
    said = [ad.get("text"), *_list(ad.get("alts"))]
    lines = (" ".join((plain(one, 4096) or "").split()) for one in said)
    return " | ".join(dict.fromkeys(line for line in lines if line))[:TEXT].strip()


def _size(rect: Any) -> str:
    sides = (
        [number(rect.get(side)) for side in ("width", "height")] if isinstance(rect, dict) else []
    )
    known = [round(side) for side in sides if side is not None and 0 < side < 1e5]
    return "x".join(map(str, known)) if len(known) == 2 else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
