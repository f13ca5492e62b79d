"""From skills to the hosts contacted in their sessions to the organisations behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.text import count

Purpose = Literal["functional", "tracking", "unknown"]
COLOURS: Mapping[Purpose, str] = {"functional": "p1", "tracking": "p2", "unknown": "pc"}

WIDTH, TOP, FOOT, GAP, BAR = 880.0, 40.0, 12.0, 6.0, 10.0
COLUMNS = (180.0, 425.0, 680.0)
"""Left edges of the bars of skills, hosts and organisations."""
HEADS = ("skill", "host", "organisation")
MARK = " · tracks"
LABELS = (24, 35, 27)
"""Characters of a name in each column."""
SLOT = 17.0
"""Least height of a row, for its name."""
HEIGHT, WIDEST = 420.0, 12.0
"""Height that all accounts together take, at most, and what one of them takes, at most."""
MOST = 18
"""Rows of a column; the rest are drawn as one."""


@dataclass(frozen=True)
class Flow:
    """A host contacted in sessions of a skill."""

    skill: str
    host: str
    organisation: str
    purpose: Purpose
    certain: bool
    """Whether it counts for the skill; else it could also be the speaker's own talk."""
    accounts: int

    @property
    def names(self) -> tuple[str, str, str]:
        """What it leads through, from left to right."""
        return self.skill, self.host, self.organisation


@dataclass
class _Bar:
    """A node: where it is, and how much of its sides is taken."""

    top: float
    height: float
    left: float = 0.0
    right: float = 0.0


def draw(flows: list[Flow], label: str) -> Canvas:
    """Bands as wide as the number of accounts; those that are not certain are outlines."""
    shown = sorted(_folded(flows), key=lambda f: (f.names, f.purpose, not f.certain))
    unit = min(WIDEST, HEIGHT / sum(flow.accounts for flow in shown))
    columns, height = _columns(shown, unit)
    canvas = Canvas(WIDTH, height + FOOT, label)
    for x, bars in zip(COLUMNS, columns, strict=True):
        for bar in bars.values():
            canvas.rect((x, bar.top), BAR, max(bar.height, 1.5), "stop")
    for side in (0, 1):
        _bands(canvas, shown, (columns[side], columns[side + 1]), side, unit)
    _names(canvas, columns, shown)
    return canvas


def _folded(flows: list[Flow]) -> list[Flow]:
    """The same with the smallest names of each column as one."""
    for column in range(3):
        weights = _weights(flows, column)
        if len(weights) <= MOST:
            continue
        order = sorted(weights, key=lambda name: (-weights[name], name))
        rest = set(order[MOST - 1 :])
        one = f"{len(rest):,} more {HEADS[column]}s"
        field = HEADS[column]
        flows = [
            replace(flow, **{field: one}) if flow.names[column] in rest else flow  # type: ignore[arg-type]
            for flow in flows
        ]
    sums: dict[Flow, int] = defaultdict(int)
    for flow in flows:
        sums[replace(flow, accounts=0)] += flow.accounts
    return [replace(flow, accounts=accounts) for flow, accounts in sums.items()]


def _weights(flows: list[Flow], column: int) -> dict[str, int]:
    weights: dict[str, int] = defaultdict(int)
    for flow in flows:
        weights[flow.names[column]] += flow.accounts
    return weights


def _columns(flows: list[Flow], unit: float) -> tuple[list[dict[str, _Bar]], float]:
    """Bars of each column, centred beside the tallest."""
    skills, hosts, owners = (_weights(flows, column) for column in range(3))
    by_owner = {flow.host: flow.organisation for flow in flows}
    orders = [
        (weights, sorted(weights, key=lambda n, w=weights: (" more " in n, -w[n], n)))  # type: ignore[misc]
        for weights in (skills, owners)
    ]
    rank = {name: place for place, name in enumerate(orders[1][1])}
    of_hosts = sorted(hosts, key=lambda n: (rank[by_owner[n]], -hosts[n], n))
    stacks = [orders[0], (hosts, of_hosts), orders[1]]
    heights = [sum(max(w[n] * unit, SLOT) + GAP for n in order) for w, order in stacks]
    columns = []
    for (weights, order), total in zip(stacks, heights, strict=True):
        top = TOP + (max(heights) - total) / 2
        bars = {}
        for name in order:
            height = weights[name] * unit
            slot = max(height, SLOT)
            bars[name] = _Bar(top + (slot - height) / 2, height)
            top += slot + GAP
        columns.append(bars)
    return columns, TOP + max(heights)


def _bands(
    canvas: Canvas,
    flows: list[Flow],
    ends: tuple[dict[str, _Bar], dict[str, _Bar]],
    side: int,
    unit: float,
) -> None:
    left, right = ends
    # In the order of where they arrive, bands leave without crossing each other.
    for flow in sorted(
        flows, key=lambda f: (right[f.names[side + 1]].top, left[f.names[side]].top)
    ):
        start, end = left[flow.names[side]], right[flow.names[side + 1]]
        width = flow.accounts * unit
        canvas.band(
            (COLUMNS[side] + BAR, start.top + start.right),
            (COLUMNS[side + 1], end.top + end.left),
            width,
            f"band f-{COLOURS[flow.purpose]} s-{COLOURS[flow.purpose]}"
            + ("" if flow.certain else " uncertain"),
            f"{' – '.join(flow.names)}: {flow.purpose}, {count(flow.accounts, 'account')}"
            + ("" if flow.certain else ", uncertain"),
        )
        start.right += width
        end.left += width


def _names(canvas: Canvas, columns: list[dict[str, _Bar]], flows: list[Flow]) -> None:
    tracking = {flow.host for flow in flows if flow.purpose == "tracking"}
    for column, (x, bars) in enumerate(zip(COLUMNS, columns, strict=True)):
        anchor = "end" if column == 0 else "start"
        at = x - 8 if column == 0 else x + BAR + 6
        canvas.text((at, 20), HEADS[column] + "s", "name", anchor)
        for name, bar in bars.items():
            mark = MARK if column == 1 and name in tracking else ""
            most = LABELS[column] - len(mark)
            shown = name if len(name) <= most else name[: most - 1] + "…"
            middle = bar.top + bar.height / 2 + 4
            canvas.text((at, middle), shown + mark, "label halo small", anchor)
