"""Who sends identifiers to whom."""

from __future__ import annotations

from dataclasses import dataclass

from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.text import count

WIDTH, ROW, TOP, MOST = 760.0, 27.0, 44.0, 24
COLUMNS = (195.0, 395.0, 590.0)
"""Where the platform's, its partners' and the others' dots are."""


@dataclass(frozen=True)
class Link:
    """Identifiers of ``source`` seen in requests to ``target``."""

    source: str
    target: str
    accounts: int


@dataclass(frozen=True)
class Node:
    """A party: whether the platform's, the platform's partner or neither."""

    name: str
    rank: int


def rank(links: list[Link], platform: set[str]) -> list[Node]:
    """Parties by their distance from the platform: itself 0, its partners 1, the rest 2."""
    names = {name for link in links for name in (link.source, link.target)}
    near = {
        name
        for link in links
        for name in (link.source, link.target)
        if {link.source, link.target} & platform
    } - platform
    order = {name: 0 if name in platform else 1 if name in near else 2 for name in names}
    degree = {n: sum(n in (link.source, link.target) for link in links) for n in names}
    return [Node(n, order[n]) for n in sorted(names, key=lambda n: (order[n], -degree[n], n))]


def draw(links: list[Link], nodes: list[Node], label: str) -> Canvas:
    """Three columns of parties with an arrow per link; what does not fit is counted."""
    columns = [[n for n in nodes if n.rank == r] for r in range(3)]
    shown = max(1, min(MOST, max(len(column) for column in columns)))
    extra = any(len(column) > MOST for column in columns)
    height = TOP + ROW * (shown + extra) + 10
    canvas = Canvas(WIDTH, height, label)
    places: dict[str, tuple[float, float]] = {}
    for column, x in zip(columns, COLUMNS, strict=True):
        start = TOP + ROW * (shown - min(len(column), MOST)) / 2 + ROW / 2
        for i, node in enumerate(column[:MOST]):
            places[node.name] = (x, start + ROW * i)
        if len(column) > MOST:
            words = f"and {len(column) - MOST:,} more"
            canvas.text((x, start + ROW * MOST), words, "tick", "middle")
    _links(canvas, links, places)
    _names(canvas, columns, places)
    return canvas


def _links(canvas: Canvas, links: list[Link], places: dict[str, tuple[float, float]]) -> None:
    for link in sorted(links, key=lambda found: (found.source, found.target)):
        if link.source not in places or link.target not in places:
            continue
        (x1, y1), (x2, y2) = places[link.source], places[link.target]
        rightwards = x2 > x1
        away = 9 if rightwards else -9
        title = f"{link.source} to {link.target} ({count(link.accounts, 'account')})"
        if x1 == x2:
            # Names of the last column are on its right: links inside it go round the left.
            side = -1 if x1 == COLUMNS[-1] else 1
            canvas.bow((x1 + 9 * side, y1), (x2 + 9 * side, y2), 45 * side, "link", title)
            canvas.arrow((x2 + 9 * side, y2), side < 0, "head")
            continue
        end = (x2 - away, y2)
        canvas.curve((x1 + away, y1), end, "link", title)
        canvas.arrow(end, rightwards, "head")


def _names(
    canvas: Canvas, columns: list[list[Node]], places: dict[str, tuple[float, float]]
) -> None:
    heads = ("platform", "exchange ids with it", "further parties")
    for middle, column, head, r in zip(COLUMNS, columns, heads, range(3), strict=True):
        if column:
            canvas.text((middle, 20), head, "name", "middle")
        for node in column[:MOST]:
            x, y = places[node.name]
            canvas.circle((x, y), 6, f"node rank{r}", node.name)
            if r == 0:
                canvas.text((x - 14, y + 4), node.name, "label", "end", limit=26)
            elif r == 2:
                canvas.text((x + 14, y + 4), node.name, "label", limit=22)
            else:
                canvas.text((x, y - 9), node.name, "label halo", "middle", limit=28)
