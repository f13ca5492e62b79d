"""How well findings recover a world's planted truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

BOUNDARY = 0.5
"""Seconds around a session's ends in which a connection may or may not leave a packet inside."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """Agreement of a set of findings with the set that was planted."""

    outcome: str
    found: int
    planted: int
    right: int
    wrong: tuple[str, ...]
    """Found but not planted, readable."""
    missed: tuple[str, ...]
    """Planted but not found, readable."""

    @property
    def precision(self) -> float:
        """Share of what was found that is true; 1 when nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the truth that was found; 1 when there was nothing to find."""
        return self.right / self.planted if self.planted else 1.0

    @property
    def perfect(self) -> bool:
        """Whether nothing was missed and nothing invented."""
        return not self.wrong and not self.missed

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**asdict(self), "precision": self.precision, "recall": self.recall}


@dataclass(frozen=True)
class EffectScore:
    """An estimated effect beside the planted one."""

    claim: str
    planted: float
    effect: float | None
    low: float | None
    high: float | None

    @property
    def covered(self) -> bool:
        """Whether the interval holds the planted ratio."""
        return (
            self.low is not None and self.high is not None and self.low <= self.planted <= self.high
        )

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**asdict(self), "covered": self.covered}


def _compare(outcome: str, found: set[tuple[str, ...]], planted: set[tuple[str, ...]]) -> Score:
    def readable(rows: set[tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(" ".join(row) for row in sorted(rows))

    return Score(
        outcome,
        len(found),
        len(planted),
        len(found & planted),
        readable(found - planted),
        readable(planted - found),
    )


def score_endpoints(
    found: Iterable[Row], contacts: Iterable[Row], windows: Mapping[str, tuple[str, float, float]]
) -> Score:
    """Compare (session, host) pairs.

    Args:
        found: rows of the endpoints outcome that were truly contacted (``session``, ``host``).
        contacts: the Echos' own logs (``account``, ``host``, ``started``, ``ended``).
        windows: session -> (account, first and last second of its capture).

    A connection that only touches a window's end is left out on both sides: whether one of its
    packets fell inside cannot be told from the Echo's log. An unnamed server claims nothing, so it
    is not wrong; if it hides a planted host, that host is missed.
    """
    planted: set[tuple[str, ...]] = set()
    unsure: set[tuple[str, ...]] = set()
    contacts = list(contacts)
    for session, (account, first, last) in windows.items():
        for contact in contacts:
            if contact["account"] != account:
                continue
            inside = contact["started"] < last - BOUNDARY and contact["ended"] > first + BOUNDARY
            touching = contact["started"] < last + BOUNDARY and contact["ended"] > first - BOUNDARY
            if inside:
                planted.add((session, contact["host"]))
            elif touching:
                unsure.add((session, contact["host"]))
    pairs: set[tuple[str, ...]] = {(str(r["session"]), str(r["host"])) for r in found if r["host"]}
    return _compare("endpoints", pairs - (unsure - planted), planted)


def score_data_types(
    found: Iterable[Row], contacts: Iterable[Row], windows: Mapping[str, tuple[str, float, float]]
) -> Score:
    """Compare (session, host, kind of data) triples.

    Args:
        found: rows of the data types outcome (``session``, ``host``, ``data_type``).
        contacts: the Echos' own logs (``account``, ``host``, ``ended``, ``open``, ``error``,
            ``data``).
        windows: session -> (account, first and last second), decrypted sessions only.

    A request belongs to the session in which it ended. One that failed or ended at a session's
    end is left out on both sides: what of it came through cannot be told from the Echo's log.
    """
    planted: set[tuple[str, ...]] = set()
    unsure: set[tuple[str, ...]] = set()
    told = [contact for contact in contacts if contact.get("data")]
    for session, (account, first, last) in windows.items():
        for contact in told:
            ended = contact["ended"]
            if contact["account"] != account or not first - BOUNDARY < ended < last + BOUNDARY:
                continue
            inside = first + BOUNDARY < ended < last - BOUNDARY
            whole = not contact["open"] and contact["error"] is None
            rows = {(session, contact["host"], kind) for kind in contact["data"]}
            if inside and whole:
                planted |= rows
            else:
                unsure |= rows
    triples: set[tuple[str, ...]] = {
        (str(r["session"]), str(r["host"]), str(r["data_type"])) for r in found
    }
    return _compare("data types", triples - (unsure - planted), planted)


def score_syncs(found: Iterable[Row], log: Iterable[Row]) -> Score:
    """Compare (account, whose identifier, receiver) triples of registrable domains."""
    return _compare(
        "syncs",
        {(str(r["account"]), str(r["source"]), str(r["target"])) for r in found},
        {(str(r["account"]), str(r["from_domain"]), str(r["to_domain"])) for r in log},
    )


def within(log: Iterable[Row], windows: Sequence[tuple[str, str, float, float]]) -> Iterator[Row]:
    """The log's rows that fall into a finished visit of their account.

    What a killed visit caused is in the world's logs too, but was never to be found.
    """
    for row in log:
        if any(row["account"] == a and s <= row["time"] <= e for _, a, s, e in windows):
            yield row


def score_bids(
    found: Iterable[Row], log: Iterable[Row], windows: Sequence[tuple[str, str, float, float]]
) -> Score:
    """Compare every answer of the exchange with what the browsers recorded.

    Args:
        found: rows of the bids outcome (``visit``, ``slot``, ``bidder``, ``cpm``).
        log: the exchange's log (``account``, ``time``, ``slot``, ``bidder``, ``answer``, ``cpm``).
        windows: (visit, account, started, ended) of each finished visit.
    """
    counted: dict[tuple[str, str, str, str], int] = {}

    def numbered(visit: str, slot: str, bidder: str, cpm: float | None) -> tuple[str, ...]:
        price = "no-bid" if cpm is None or math.isnan(cpm) else f"{cpm:.2f}"
        key = (visit, slot, bidder, price)
        counted[key] = counted.get(key, 0) + 1
        return (*key, str(counted[key]))

    recorded = {numbered(r["visit"], r["slot"], r["bidder"], r["cpm"]) for r in found}
    counted.clear()
    planted = set()
    for visit, account, started, ended in windows:
        for entry in within(log, [(visit, account, started, ended)]):
            cpm = entry["cpm"] if entry["answer"] == "bid" else None
            planted.add(numbered(visit, entry["slot"], entry["bidder"], cpm))
    return _compare("bids", recorded, planted)


def planted_effect(
    log: Iterable[Row],
    phases: Sequence[tuple[str, str, float, float]],
    treated: str,
    control: str,
) -> float:
    """The ratio that the exchange truly applied between two personas.

    Args:
        log: the exchange's log, with the factor ``lift`` of each bid.
        phases: (account, phase, started, ended) of each finished visit.
        treated: persona whose bids were lifted.
        control: persona it is compared with.

    Returns:
        The geometric mean of the lifts of ``treated`` after its treatment, relative to before
        and to ``control``.
    """
    sums: dict[tuple[str, str], list[float]] = {}
    for entry in log:
        if entry["answer"] != "bid":
            continue
        for account, phase, started, ended in phases:
            if entry["account"] == account and started <= entry["time"] <= ended:
                persona = account.rpartition("-")[0]
                sums.setdefault((persona, phase), []).append(math.log(entry["lift"]))

    def mean(persona: str, phase: str) -> float:
        values = sums.get((persona, phase), [])
        return sum(values) / len(values) if values else 0.0

    change = mean(treated, "after") - mean(treated, "before")
    return math.exp(change - (mean(control, "after") - mean(control, "before")))
