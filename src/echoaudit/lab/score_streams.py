"""How well the audio ads of findings recover what streaming services played."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from echoaudit.lab.score import Row, Score, compare

Window = tuple[str, str, float, float]
"""Account, service, first and last moment."""


def score_audio_ads(
    found: Iterable[Row], log: Iterable[Row], windows: Mapping[str, Window]
) -> Score:
    """Compare (account, service, creative) triples.

    Args:
        found: rows of the table audio_ads (``segment``, ``at``, ``seconds``, ``creative``).
        log: what Echos reported as played (``account``, ``service``, ``item``, ``kind``, ``at``,
            ``seconds``, ``whole``, ``time``).
        windows: recorded steps.

    A creative of the findings is the planted ad in whose time most of its segments lie; a second
    one for the same ad is wrong, and so is one that lies in content. An ad that was stopped in
    its middle may or may not be found.
    """
    played = _played(log, windows)
    matched: dict[str, list[tuple[str, Row | None]]] = defaultdict(list)
    for row in found:
        step = str(row["segment"]).partition("@")[0]
        if step in windows:
            matched[str(row["creative"])].append((step, _there(row, played[step])))
    names = _names(matched)
    claimed: set[tuple[str, ...]] = set()
    for creative, places in matched.items():
        for step, item in places:
            here = names.get(creative)
            right = item is not None and item["kind"] == "ad" and item["item"] == here
            other = f"{creative}, which is {item['item'] if item else 'nothing'}"
            claimed.add((*windows[step][:2], here if right and here else other))
    planted: set[tuple[str, ...]] = set()
    parts: set[tuple[str, ...]] = set()
    for step, items in played.items():
        for item in (item for item in items if item["kind"] == "ad"):
            (planted if item["whole"] else parts).add((*windows[step][:2], str(item["item"])))
    return compare("audio ads", claimed - (parts - planted), planted)


def _played(log: Iterable[Row], windows: Mapping[str, Window]) -> dict[str, list[Row]]:
    """What was played in each step, as its Echo reported it when it ended."""
    rows = list(log)
    return {
        step: [
            row
            for row in rows
            if row["account"] == account
            and row["service"] == service
            and first <= row["time"] <= last
        ]
        for step, (account, service, first, last) in windows.items()
    }


def _there(row: Row, items: Iterable[Row]) -> Row | None:
    """The item that was played for most of a segment's time."""

    def overlap(item: Mapping[str, Any]) -> float:
        end = min(row["at"] + row["seconds"], item["at"] + item["seconds"])
        return float(end - max(row["at"], item["at"]))

    best = max(items, key=overlap, default=None)
    return best if best is not None and overlap(best) > 0 else None


def _names(matched: Mapping[str, Iterable[tuple[str, Row | None]]]) -> dict[str, str]:
    """The ad that each creative is; each ad is one creative's, that with most segments."""
    votes = Counter(
        (creative, str(item["item"]))
        for creative, places in matched.items()
        for _, item in places
        if item is not None and item["kind"] == "ad"
    )
    names: dict[str, str] = {}
    for (creative, ad), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if creative not in names and ad not in names.values():
            names[creative] = ad
    return names
