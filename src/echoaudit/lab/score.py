"""How well findings recover a world's planted truth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from echoaudit.domains import registrable

Row = Mapping[str, Any]
Rows = set[tuple[str, ...]]
PRICED = frozenset({"bid", "won", "rendered"})
UNANSWERED = frozenset({"timeout", "requested"})
"""States in which the page waited in vain: to its time limit, or to the visit's end."""
TIMEOUT = "timeout"


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
    uncertain: int = 0
    """Findings that say themselves that they cannot tell: neither right nor wrong."""

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


def compare(outcome: str, found: Rows, planted: Rows) -> Score:
    """How well a set of rows agrees with the planted one."""

    def readable(rows: Rows) -> tuple[str, ...]:
        return tuple(" ".join(row) for row in sorted(rows))

    return Score(
        outcome,
        len(found),
        len(planted),
        len(found & planted),
        readable(found - planted),
        readable(planted - found),
    )


def score_syncs(found: Iterable[Row], log: Iterable[Row]) -> Score:
    """Compare (account, whose identifier, receiver) triples of registrable domains."""
    return compare(
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
    found: Iterable[Row],
    log: Iterable[Row],
    windows: Sequence[tuple[str, str, float, float]],
    unanswered: Mapping[str, int],
) -> Score:
    """Compare every answer of the exchange with what the browsers recorded.

    A price, a no-bid and a timeout are three different answers. When the exchange answered and
    the browser recorded that it waited in vain, the answer came too late for the page: the machine
    was slow. Such pairs are ``uncertain``, neither right nor wrong; a late answer that the browser
    calls a no-bid is wrong. Uncertain is also a timeout that the exchange knows nothing of, when
    the visit has a request without answer for it: on a slow machine it never arrived.

    Args:
        found: rows of the bids outcome (``visit``, ``slot``, ``bidder``, ``state``, ``cpm``).
        log: the exchange's log (``account``, ``time``, ``slot``, ``bidder``, ``answer``, ``cpm``).
        windows: (visit, account, started, ended) of each finished visit.
        unanswered: number of requests without answer by visit, where there are any.
    """
    recorded = Counter((r["visit"], r["slot"], r["bidder"], _recorded(r)) for r in found)
    planted = Counter(
        (visit, entry["slot"], entry["bidder"], _answered(entry))
        for visit, account, started, ended in windows
        for entry in within(log, [(visit, account, started, ended)])
    )
    late = _overdue(recorded, planted)
    recorded -= Counter({(*cell, TIMEOUT): number for cell, number in late.items()})
    lost = _lost(recorded, planted, unanswered)
    score = compare("bids", _numbered(recorded - lost), _numbered(planted))
    return replace(score, uncertain=late.total() + lost.total())


Cell = tuple[str, str, str]
Answer = tuple[str, str, str, str]
"""A cell (visit, slot, bidder) and the answer: a price or a word."""


def _recorded(row: Row) -> str:
    state, cpm = str(row["state"]), row["cpm"]
    if state in PRICED and cpm is not None and not math.isnan(cpm):
        return f"{cpm:.2f}"
    return TIMEOUT if state in UNANSWERED else state


def _answered(entry: Row) -> str:
    if entry["answer"] == "bid":
        return f"{entry['cpm']:.2f}"
    return TIMEOUT if entry["answer"] == "late" else str(entry["answer"])


def _overdue(recorded: Counter[Answer], planted: Counter[Answer]) -> Counter[Cell]:
    """Timeouts beyond the planted ones, at most as many as answers that nobody recorded.

    Those answers are taken out of ``planted``.
    """
    late: Counter[Cell] = Counter()
    for *cell, answer in sorted((planted - recorded).elements()):
        key = (cell[0], cell[1], cell[2])
        timeout = (*key, TIMEOUT)
        if answer != TIMEOUT and recorded[timeout] - planted[timeout] - late[key] > 0:
            late[key] += 1
            planted[*key, answer] -= 1
    return late


def _lost(
    recorded: Counter[Answer], planted: Counter[Answer], unanswered: Mapping[str, int]
) -> Counter[Answer]:
    """Timeouts of which the exchange knows nothing, at most as many as requests went unanswered.

    Planted timeouts leave requests without answer, too.
    """
    left = Counter(unanswered)
    left.subtract(visit for visit, _, _, answer in planted.elements() if answer == TIMEOUT)
    lost: Counter[Answer] = Counter()
    for row in sorted((recorded - planted).elements()):
        if row[3] == TIMEOUT and left[row[0]] > 0:
            left[row[0]] -= 1
            lost[row] += 1
    return lost


def _numbered(answers: Counter[Answer]) -> Rows:
    return {(*key, str(n)) for key, number in answers.items() for n in range(1, number + 1)}


SHOWN = "shown"
"""What is logged of a banner besides the answers to it."""


def score_consents(steps: Sequence[Row], log: Iterable[Row], views: Mapping[str, str]) -> Score:
    """Compare what became of consent banners with what their servers saw.

    A banner that was shown is to be found, answered or not, unless nobody could look; an answer is
    to be found as the one that the server got.

    Args:
        steps: rows of the table (``step``, ``consent``, ``consent_policy``, ``cmp``).
        log: the publishers' log (``view``, ``what``).
        views: the visit of each page view, by the recording.
    """
    seen = [row for row in steps if row["consent"] in ("done", "failed") or _stood(row)]
    unknown = {
        str(row["step"])
        for row in steps
        if row["consent"] in ("unknown", "ignored") and not _stood(row)
    }
    found: Rows = {(str(row["step"]), SHOWN) for row in seen}
    found |= {
        (str(row["step"]), str(row["consent_policy"])) for row in seen if row["consent"] == "done"
    }
    logged = {(views[row["view"]], str(row["what"])) for row in log if row["view"] in views}
    planted: Rows = {row for row in logged if row[1] != SHOWN or row[0] not in unknown}
    return compare("consents", found, planted)


def _stood(row: Row) -> bool:
    """Whether a banner was left standing; older recordings say so of all visits, and name none."""
    return row["consent"] == "ignored" and bool(row["cmp"])


def score_auctions(found: Iterable[Row], log: Iterable[Row], views: Mapping[str, str]) -> Score:
    """Compare auctions on servers that visits are said to have begun with what their servers saw.

    Args:
        found: rows of the contacts outcome (``visit``, ``kind``, ``host``).
        log: the servers' log (``view``, ``kind``, ``host``).
        views: the visit of each page view, by the recording.
    """
    planted: Rows = {
        (views[row["view"]], str(row["kind"]), str(row["host"]))
        for row in log
        if row["view"] in views
    }
    seen: Rows = {(str(r["visit"]), str(r["kind"]), str(r["host"])) for r in found if r["kind"]}
    return compare("auctions", seen, planted)


def score_ads(
    found: Iterable[Row],
    bids: Iterable[Row],
    log: Iterable[Row],
    windows: Sequence[tuple[str, str, float, float]],
) -> Score:
    """Compare the ads that were shown with those that the exchange's prices decide: the highest's.

    A slot in which an answer came too late for the page shows another ad, or none: uncertain.

    Args:
        found: rows of the ads outcome (``visit``, ``slot``, ``kind``, ``creative_id``).
        bids: rows of the bids outcome (``visit``, ``slot``, ``state``).
        log: the exchange's log (``account``, ``time``, ``slot``, ``bidder``, ``answer``, ``cpm``,
            ``ad``).
        windows: (visit, account, started, ended) of each finished visit.
    """
    offered: dict[tuple[str, str], list[Row]] = {}
    for visit, account, started, ended in windows:
        for entry in within(log, [(visit, account, started, ended)]):
            if entry["answer"] == "bid":
                offered.setdefault((visit, str(entry["slot"])), []).append(entry)
    late = {(str(r["visit"]), str(r["slot"])) for r in bids if r["state"] in UNANSWERED}
    shown: Rows = {
        (str(r["visit"]), str(r["slot"]), str(r["creative_id"]))
        for r in found
        if r["kind"] == "prebid" and (r["visit"], r["slot"]) not in late
    }
    planted: Rows = set()
    for slot, entries in offered.items():
        highest = max(entry["cpm"] for entry in entries)
        best = {f"{e['bidder']}-{e['ad']}" for e in entries if e["cpm"] == highest}
        # Of equal prices either may be shown.
        known = [creative for creative in sorted(best) if (*slot, creative) in shown]
        if slot not in late:
            planted.add((*slot, (known or sorted(best))[0]))
    return replace(compare("ads", shown, planted), uncertain=len(late & offered.keys()))


def score_shop_ads(
    found: Iterable[Row],
    log: Iterable[Row],
    windows: Sequence[tuple[str, str, float, float]],
) -> Score:
    """Compare the ads on the platform's own pages with those that it chose for the account.

    Args:
        found: rows of the ads outcome (``visit``, ``slot``, ``channel``, ``advertiser``, ``text``).
        log: the shop's log (``account``, ``time``, ``slot``, ``advertiser``, ``text``).
        windows: (visit, account, started, ended) of each finished visit.
    """
    planted: Rows = {
        (visit, str(entry["slot"]), registrable(str(entry["advertiser"])), str(entry["text"]))
        for visit, account, started, ended in windows
        for entry in within(log, [(visit, account, started, ended)])
    }
    shown: Rows = {
        (str(r["visit"]), str(r["slot"]), str(r["advertiser"]), str(r["text"]))
        for r in found
        if r["channel"] == "platform"
    }
    return compare("platform's ads", shown, planted)


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
