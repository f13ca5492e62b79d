"""Distribution of prices, persona against control, with every account visible."""

from __future__ import annotations

import numpy as np
import pandas as pd

from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Column, Figure, Key, Table
from echoaudit.report.text import count, money

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BASE = 440.0, 330.0, 52.0, 430.0, 14.0, 284.0
PERSONA_STEPS = np.linspace(0, 1, 81)
ACCOUNT_STEPS = np.linspace(0, 1, 33)
TABLE_STEPS = (0.1, 0.25, 0.5, 0.75, 0.9)


def ecdf(bids: pd.DataFrame, treated: str, control: str, colours: dict[str, str]) -> Figure | None:
    """Prices after the treatment (``account, persona, cpm_usd`` of real bids).

    ``None`` unless both personas have bids.
    """
    prices = {persona: bids[bids["persona"] == persona] for persona in (control, treated)}
    if any(frame.empty for frame in prices.values()):
        return None
    canvas = Canvas(WIDTH, HEIGHT, f"Distribution of bid prices of {treated} and {control}")
    ends = bids["cpm_usd"].quantile([0.002, 0.998])
    scale = Log.around(ends, LEFT, RIGHT)
    _frame(canvas, scale)
    for persona, frame in prices.items():
        _curves(canvas, scale, frame, colours[persona], control=persona == control)
    medians = {persona: float(frame["cpm_usd"].median()) for persona, frame in prices.items()}
    return Figure(
        id=f"prices-{treated}",
        title=_title(treated, control, medians),
        description=(
            "Share of bids (vertical) at or below a price (horizontal, logarithmic), after the "
            "conversations. Thick: the persona's accounts together. Thin, with a dot at the "
            "median: each account alone; if accounts of one persona lie apart, few accounts "
            "prove little."
        ),
        drawing=canvas.markup(),
        table=_table(prices),
        keys=(Key(treated, colours[treated], "line"), Key(control, colours[control], "dashes")),
    )


def _frame(canvas: Canvas, scale: Log) -> None:
    for percent in (0, 25, 50, 75, 100):
        y = _height(percent / 100)
        canvas.line((LEFT, y), (RIGHT, y), "grid")
        canvas.text((LEFT - 8, y + 4), f"{percent}%", "tick", "end")
    axes.below(
        canvas, scale, (TOP, BASE), axes.dollars, "bid, US dollars per 1,000 impressions (CPM)"
    )


def _height(share: float) -> float:
    return BASE - share * (BASE - TOP)


def _curves(canvas: Canvas, scale: Log, frame: pd.DataFrame, colour: str, *, control: bool) -> None:
    dashes = " dashed" if control else ""
    for account, own in frame.groupby("account", sort=True):
        values = own["cpm_usd"].to_numpy()
        canvas.path(_points(scale, values, ACCOUNT_STEPS), f"thin s-{colour}{dashes}")
        median = float(np.median(values))
        mark = f"ring s-{colour}" if control else f"dot f-{colour}"
        canvas.circle((scale(median), _height(0.5)), 4, mark, f"{account}: {money(median)}")
    values = frame["cpm_usd"].to_numpy()
    canvas.path(_points(scale, values, PERSONA_STEPS), f"thick s-{colour}{dashes}")


def _points(
    scale: Log, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], steps: np.ndarray
) -> list[tuple[float, float]]:
    quantiles = np.quantile(values, steps, method="inverted_cdf")
    return [
        (scale(float(value)), _height(float(step)))
        for value, step in zip(quantiles, steps, strict=True)
    ]


def _title(treated: str, control: str, medians: dict[str, float]) -> str:
    return (
        f"After the conversations the median bid for {treated} is {money(medians[treated])}, "
        f"for {control} {money(medians[control])}"
    )


def _table(prices: dict[str, pd.DataFrame]) -> Table:
    rows = []
    for persona, frame in prices.items():
        groups = [("all accounts", frame), *frame.groupby("account", sort=True)]
        for name, own in groups:
            quantiles = own["cpm_usd"].quantile(list(TABLE_STEPS))
            rows.append(
                (persona, str(name), f"{len(own):,}", *(money(float(q)) for q in quantiles))
            )
    steps = tuple(Column(f"{step:.0%}", numeric=True) for step in TABLE_STEPS)
    return Table(
        f"Quantiles of bid prices after the conversations ({count(len(rows), 'row')})",
        (Column("persona"), Column("account"), Column("bids", numeric=True), *steps),
        tuple(rows),
    )
