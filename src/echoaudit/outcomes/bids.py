"""What bidders offered: one row per bid request of a page's header bidding (Prebid.js).

Rules for values that a page or a bidder may have made up: a CPM that is no number, negative or
above ``MAX_CPM`` is missing, not zero; a latency outside an hour is missing; texts are one
printable line of at most 200 characters; an unknown state is ``error``. Prices in other currencies
become dollars by the rates that the recording's configuration states, and by no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import VISIT, describe_step, number, plain, requests_of

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "bids"
BIDS = "bids.json"
STATES = ("requested", "bid", "no-bid", "timeout", "rejected", "error", "won", "rendered")
MAX_CPM = 100_000.0
"""A hundred in the currency for one view: no honest bid is near it."""
MAX_LATENCY = 3_600_000.0
MOST_NAMES = 40
DECIMALS = 6
"""Of prices in dollars."""

TABLE = Schema(
    NAME,
    "Header bidding: one row per bid request, with the last state it reached.",
    (
        Column("visit", "string", "Step id of the visit."),
        Column("account", "string", "Account whose profile the browser had."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("round", "int", "Pass over all sites, from 1."),
        Column("site", "string", "The site as the study names it."),
        Column("slot", "string", "Prebid's ad unit code."),
        Column("bidder", "string", "Bidder code."),
        Column(
            "server", "string", "Registrable domain that was asked; empty when no request tells."
        ),
        Column("auction", "string", "Prebid's auction id."),
        Column("time", "float", "When the bid was requested.", "s since 1970"),
        Column("state", "string", f"Last state reached: {', '.join(f'`{s}`' for s in STATES)}."),
        Column("forced", "bool", "Whether echoaudit started the auction, not the page."),
        Column("cpm", "float", "Price as Prebid passed it on.", "currency per 1000 views"),
        Column("currency", "string", "Currency of `cpm`; empty when there is none."),
        Column(
            "cpm_usd",
            "float",
            "The same in dollars; missing when no rate is known.",
            "USD per 1000 views",
        ),
        Column("rate", "float", "Dollars for one unit of `currency` (setting `rates`)."),
        Column("size", "string", "Creative's size, WIDTHxHEIGHT."),
        Column("media_type", "string", "`banner`, `video` or `native`."),
        Column("latency_ms", "float", "Time the bidder took to answer.", "ms"),
        Column("timeout_ms", "float", "Time that the page gave it.", "ms"),
        Column("creative", "string", "Bidder's id of the creative."),
        Column("advertiser", "string", "Advertiser domains, comma-separated."),
        Column("deal", "string", "Id of a deal between bidder and publisher."),
        Column("reason", "string", "Why Prebid rejected the bid, or what the error was."),
        Column("id_systems", "string", "Who made the user ids sent along, comma-separated."),
        Column("user_ids", "string", "Tokens that stand for these ids, comma-separated."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The bid requests of all visits."""
    rates = rates_of(recording.info.get("config"))
    return TABLE.conform(
        row for step in recording.steps("visit") if step.has(BIDS) for row in _rows(step, rates)
    )


def rates_of(config: Any) -> dict[str, float]:
    """Dollars for one unit of each currency, by a recording's configuration.

    Raises:
        BadInput: its rates are none.
    """
    from pydantic import ValidationError

    from echoaudit.study.models import ExchangeRates

    stated = config.get("rates") if isinstance(config, Mapping) else None
    if stated is None:
        return {"USD": 1.0}
    try:
        return {**ExchangeRates.model_validate_json(json.dumps(stated)).usd, "USD": 1.0}
    except ValidationError as error:
        raise BadInput(f"the configuration's rates: {error.errors()[0]['msg']}") from error


def _rows(step: StepEvidence, rates: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    about = step.json(VISIT) if step.has(VISIT) else {}
    bids = step.json(BIDS)
    if not isinstance(bids, list):
        raise BadInput("not a list of bids", file=step.path(BIDS))
    visit = describe_step(step, about if isinstance(about, dict) else {})
    for place, bid in enumerate(bids):
        if not isinstance(bid, dict):
            raise BadInput(f"bid {place} is not an object", file=step.path(BIDS))
    asked = servers(step, {id_ for bid in bids if (id_ := request_id(bid))})
    for bid in bids:
        server = asked.get(request_id(bid), "")
        yield {**visit, **_row(bid, rates), "server": server}


def request_id(bid: Mapping[str, Any]) -> str:
    """Prebid's id of a bid request, when it is one that can be looked for."""
    found = bid.get("request")
    return found if isinstance(found, str) and 6 <= len(found) <= 64 else ""


def servers(step: StepEvidence, ids: Collection[str]) -> dict[str, str]:
    """The site whose request was the first to carry each id, in its address or its body."""
    found: dict[str, str] = {}
    if not ids:
        return found
    pattern = re.compile("|".join(map(re.escape, sorted(ids, key=len, reverse=True))))
    for request in sorted(requests_of(step), key=lambda request: request.time):
        for text in (request.url, request.body):
            for id_ in pattern.findall(text):
                found.setdefault(id_, request.site)
    return found


def _row(bid: Mapping[str, Any], rates: Mapping[str, float]) -> dict[str, Any]:
    price = cpm(bid.get("cpm"))
    currency = currency_of(bid.get("currency"))
    rate = rates.get(currency)
    state = bid.get("state")
    return {
        "slot": plain(bid.get("slot")) or "",
        "bidder": plain(bid.get("bidder")) or "",
        "auction": plain(bid.get("auction")) or "",
        "time": number(bid.get("time")),
        "state": state if state in STATES else "error",
        "forced": bid.get("forced") is True,
        "cpm": price,
        "currency": currency,
        "cpm_usd": None if price is None or rate is None else round(price * rate, DECIMALS),
        "rate": rate,
        "size": size(bid.get("size")),
        "media_type": plain(bid.get("media_type")) or "",
        "latency_ms": _within(number(bid.get("latency_ms")), MAX_LATENCY),
        "timeout_ms": _within(number(bid.get("timeout_ms")), MAX_LATENCY),
        "creative": plain(bid.get("creative")) or "",
        "advertiser": _names(bid.get("advertiser_domains")),
        "deal": plain(bid.get("deal")) or "",
        "reason": plain(bid.get("reason")) or "",
        **_users(bid),
    }


def cpm(value: Any) -> float | None:
    """A price, or nothing when it cannot be one."""
    return _within(number(value), MAX_CPM)


def currency_of(value: Any) -> str:
    """A currency's three letters, or nothing."""
    found = value.strip().upper() if isinstance(value, str) else ""
    return found if re.fullmatch(r"[A-Z]{3}", found) else ""


def size(value: Any) -> str:
    """``WIDTHxHEIGHT``, or nothing."""
    found = value if isinstance(value, str) else ""
    return found if re.fullmatch(r"\d{1,5}x\d{1,5}", found, re.ASCII) else ""


def _within(value: float | None, limit: float) -> float | None:
    return value if value is not None and 0 <= value <= limit else None


def _users(bid: Mapping[str, Any]) -> dict[str, str]:
    eids = [one for one in _list(bid.get("eids")) if isinstance(one, dict)]
    systems = [*(one.get("source") for one in eids), *_list(bid.get("user_ids"))]
    tokens = [token for one in eids for token in _list(one.get("ids"))]
    return {"id_systems": _names(systems), "user_ids": _names(tokens)}


def _names(value: Any) -> str:
    """Short texts in the order of the alphabet."""
    return ",".join(
        sorted({name for found in _list(value)[:MOST_NAMES] if (name := plain(found, 100))})
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
