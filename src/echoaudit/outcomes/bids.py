"""What bidders offered: one row per bid request of a page's header bidding (Prebid.js).

Rules for values that a page or a bidder may have made up: a CPM that is no number, negative or
above ``MAX_CPM`` is missing, not zero; a latency outside an hour is missing; texts are one
printable line of at most 200 characters; an unknown state is ``error``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import VISIT, describe_step, number, plain

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "bids"
BIDS = "bids.json"
STATES = ("requested", "bid", "no-bid", "timeout", "rejected", "error", "won", "rendered")
MAX_CPM = 100_000.0
"""A hundred in the currency for one view: no honest bid is near it."""
MAX_LATENCY = 3_600_000.0

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
        Column("auction", "string", "Prebid's auction id."),
        Column("time", "float", "When the bid was requested.", "s since 1970"),
        Column("state", "string", f"Last state reached: {', '.join(f'`{s}`' for s in STATES)}."),
        Column("forced", "bool", "Whether echoaudit started the auction, not the page."),
        Column("cpm", "float", "Price as Prebid passed it on.", "currency per 1000 views"),
        Column("currency", "string", "Currency of `cpm`; empty when there is none."),
        Column("cpm_usd", "float", "The same in dollars; missing in others.", "USD per 1000 views"),
        Column("size", "string", "Creative's size, WIDTHxHEIGHT."),
        Column("latency_ms", "float", "Time the bidder took to answer.", "ms"),
        Column("creative", "string", "Bidder's id of the creative."),
        Column("advertiser", "string", "Advertiser domains, comma-separated."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The bid requests of all visits."""
    return TABLE.conform(
        row for step in recording.steps("visit") if step.has(BIDS) for row in _rows(step)
    )


def _rows(step: StepEvidence) -> Iterator[dict[str, Any]]:
    about = step.json(VISIT) if step.has(VISIT) else {}
    bids = step.json(BIDS)
    if not isinstance(bids, list):
        raise BadInput("not a list of bids", file=step.path(BIDS))
    visit = describe_step(step, about if isinstance(about, dict) else {})
    for place, bid in enumerate(bids):
        if not isinstance(bid, dict):
            raise BadInput(f"bid {place} is not an object", file=step.path(BIDS))
        yield {**visit, **_row(bid)}


def _row(bid: Mapping[str, Any]) -> dict[str, Any]:
    price = cpm(bid.get("cpm"))
    currency = currency_of(bid.get("currency"))
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
        "cpm_usd": price if currency == "USD" else None,
        "size": size(bid.get("size")),
        "latency_ms": _within(number(bid.get("latency_ms")), MAX_LATENCY),
        "creative": plain(bid.get("creative")) or "",
        "advertiser": _advertisers(bid.get("advertiser_domains")),
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


def _advertisers(value: Any) -> str:
    names = value if isinstance(value, list) else []
    return ",".join(sorted({name for found in names[:20] if (name := plain(found, 100))}))
