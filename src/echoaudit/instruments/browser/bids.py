"""What the harvest script reported, folded into one record per bid request.

The messages come out of web pages: any field may be missing, of another type or invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from echoaudit.recording import redact

Json = dict[str, Any]

EVENTS_LIMIT = 20_000
"""Reports taken in per visit; a page that sends more is up to no good."""
TEXT_LIMIT = 500
MOST_EIDS, MOST_IDS = 40, 10
"""Systems of identifiers kept of one request, and identifiers of each."""
VERSION_LIMIT = 40
MAX_TIME = 1e11
"""Seconds since 1970 that any clock may show."""

RANKS = {
    "requested": 0,
    "no-bid": 1,
    "bid": 2,
    "error": 3,
    "timeout": 4,
    "rejected": 5,
    "won": 6,
    "rendered": 7,
}
"""A state replaces those of lower rank: an answer after the timeout leaves the timeout standing."""

STATES = {
    "bidRequested": "requested",
    "noBid": "no-bid",
    "bidResponse": "bid",
    "bidderError": "error",
    "bidTimeout": "timeout",
    "bidRejected": "rejected",
    "bidWon": "won",
    "adRenderSucceeded": "rendered",
}


@dataclass(frozen=True)
class Report:
    """One message of the harvest script."""

    time: float
    frame: str
    instance: str
    event: str
    data: Mapping[str, Any]


@dataclass
class Harvest:
    """The reports of one visit, as they come in; tells which auctions still run."""

    reports: list[Report] = field(default_factory=list)
    instances: set[tuple[str, str]] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    """Version of each instance by its global name."""
    running: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    forced: set[str] = field(default_factory=set)

    def take(self, payload: str) -> None:
        """Take in one message; what is not one of ours is dropped."""
        report = parse(payload)
        if report is None or len(self.reports) >= EVENTS_LIMIT:
            return
        self.reports.append(report)
        auction = str(report.data.get("auction"))
        match report.event:
            case "instance":
                self.instances.add((report.frame, report.instance))
                self.versions[report.instance] = str(report.data.get("version"))[:VERSION_LIMIT]
            case "force":
                self.forced.add(auction)
            case "auctionInit":
                self.started.add(auction)
                self.running.add(auction)
            case "auctionEnd":
                self.running.discard(auction)


def parse(payload: str) -> Report | None:
    """A message of the harvest script, or nothing when it is malformed."""
    try:
        found = json.loads(payload)
        return Report(
            time=_time(found["time"]),
            frame=str(found["frame"])[:TEXT_LIMIT],
            instance=str(found["instance"])[:TEXT_LIMIT],
            event=str(found["event"]),
            data=found["data"] if isinstance(found["data"], dict) else {},
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _time(value: Any) -> float:
    time = float(value)
    if not 0 <= time < MAX_TIME:
        raise ValueError("no time")
    return time


def records(reports: Iterable[Report], forced: set[str]) -> list[Json]:
    """One record per auction, slot, bidder and request, with the last state it reached."""
    book = _Book(forced)
    for report in reports:
        if report.event in STATES:
            for bid in _bids(report.data):
                book.note(report, bid)
    return book.records()


def _bids(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    many = data.get("bids", [data])
    if isinstance(many, list):
        yield from (bid for bid in many if isinstance(bid, dict))


class _Book:
    """Records by request; a request that is answered by several bids has a record for each."""

    def __init__(self, forced: set[str]) -> None:
        self._forced = forced
        self._requests: dict[tuple[str, str, str], list[Json]] = {}

    def note(self, report: Report, bid: Mapping[str, Any]) -> None:
        ad = _text(bid.get("ad"))
        if bid.get("request") is None and ad is not None:
            known = [record for record in self.records() if record["ad"] == ad]
        else:
            request = (report.frame, report.instance, str(bid.get("request")))
            known = self._requests.setdefault(request, [])
        record = _own(known, ad)
        if record is None:
            record = _record(report, bid, str(bid.get("auction")) in self._forced)
            known.append(record)
        _advance(record, _state(report))
        if ad is not None:
            record.update(_answer(bid))
        if report.event in ("bidderError", "bidRejected"):
            record["reason"] = _text(bid.get("reason", report.data.get("reason")))

    def records(self) -> list[Json]:
        return [record for records in self._requests.values() for record in records]


def _own(known: list[Json], ad: Any) -> Json | None:
    """The record an event belongs to: the one of its ad, else one that has no ad yet."""
    if ad is None:
        return known[0] if known else None
    return next((record for record in known if record["ad"] in (ad, None)), None)


def _state(report: Report) -> str:
    """What an event says of its bids.

    A request that Prebid itself cuts off at the time limit ends as an error. When that error comes
    before the auction's own alarm, no other event tells that it was a timeout.
    """
    timed_out = report.event == "bidderError" and report.data.get("timedOut") is True
    return "timeout" if timed_out else STATES[report.event]


def _advance(record: Json, state: str) -> None:
    if RANKS[state] > RANKS[record["state"]]:
        record["state"] = state


def _record(report: Report, bid: Mapping[str, Any], forced: bool) -> Json:
    return {
        "time": report.time,
        "instance": report.instance,
        "frame": report.frame,
        "auction": _text(bid.get("auction")),
        "slot": _text(bid.get("slot")),
        "bidder": _text(bid.get("bidder")),
        "request": _text(bid.get("request")),
        "ad": None,
        "state": "requested",
        "forced": forced,
        "cpm": None,
        "currency": None,
        "original_cpm": None,
        "original_currency": None,
        "size": None,
        "latency_ms": None,
        "creative": None,
        "advertiser_domains": [],
        "advertiser_name": None,
        "deal": None,
        "media_type": None,
        "timeout_ms": _number(bid.get("timeout")),
        "user_ids": [_text(name) for name in _list(bid.get("userIds"))[:MOST_EIDS]],
        "eids": list(_eids(bid.get("eids"))),
        "reason": None,
    }


def _answer(bid: Mapping[str, Any]) -> Json:
    found = {
        "ad": _text(bid.get("ad")),
        "bidder": _text(bid.get("bidder")),
        "cpm": _number(bid.get("cpm")),
        "currency": _text(bid.get("currency")),
        "original_cpm": _number(bid.get("originalCpm")),
        "original_currency": _text(bid.get("originalCurrency")),
        "size": _size(bid),
        "latency_ms": _number(bid.get("latency")),
        "creative": _text(bid.get("creative")),
        "advertiser_domains": [_text(name) for name in _list(bid.get("domains"))[:20]],
        "advertiser_name": _text(bid.get("advertiser")),
        "deal": _text(bid.get("deal")),
        "media_type": _text(bid.get("mediaType")),
    }
    return {key: value for key, value in found.items() if value is not None}


def _eids(value: Any) -> Iterator[Json]:
    """The systems whose identifiers were sent along; of each identifier a token that stands for it.

    The identifiers themselves are in the recording only where the wire has them (``page.har``).
    """
    for one in _list(value)[:MOST_EIDS]:
        if isinstance(one, dict):
            ids = [text for found in _list(one.get("ids")) if (text := _text(found))]
            yield {"source": _text(one.get("source")), "ids": [*map(redact, ids[:MOST_IDS])]}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _size(bid: Mapping[str, Any]) -> str | None:
    width, height = bid.get("width"), bid.get("height")
    return f"{width}x{height}"[:TEXT_LIMIT] if width and height else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:TEXT_LIMIT]


def unseen(found: list[Json], answers: Iterable[Mapping[str, Any]], time: float) -> list[Report]:
    """Answers that ``getBidResponses()`` knows and no event had told, as reports."""
    known = {record["ad"] for record in found}
    return [
        Report(time, str(answer.get("frame")), str(answer.get("instance")), "bidResponse", answer)
        for answer in answers
        if _text(answer.get("ad")) not in known
    ]


def _number(value: Any) -> float | int | str | None:
    """A number as it was sent; anything else as text, for the outcome to judge."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return _text(value)
