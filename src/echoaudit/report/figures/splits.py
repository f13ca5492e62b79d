"""How large differences become where there is nothing to find."""

from __future__ import annotations

from echoaudit.inference import Conclusion
from echoaudit.inference.conclusion import SplitCheck
from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Column, Figure, Key, Table
from echoaudit.report.text import ratio, share

WIDTH, LEFT, RIGHT, TOP, FOOT = 440.0, 16.0, 424.0, 34.0, 46.0
DOT, LEAST, MOST = 4.0, 70.0, 150.0
"""Radius of a dot; smallest and largest height of the stacks."""


def splits(conclusion: Conclusion, colours: dict[str, str]) -> Figure | None:
    """The claim's effect against all divisions of the controls; ``None`` when there are none."""
    check, effect = conclusion.diagnostics.splits, conclusion.effect
    if check is None or effect is None:
        return None
    colour = colours[conclusion.treated.persona]
    low, high = min(check.ratios), max(check.ratios)
    persona = conclusion.control.persona
    return Figure(
        id=f"controls-{conclusion.claim}",
        title=_title(effect.ratio, low, high, persona),
        description=(
            f"Each dot divides the {persona} accounts into two halves that were treated alike and "
            "compares them as if one were a persona. Whatever lies among the dots can be chance. "
            f"The accounts' scores call {check.rejected} of {check.splits} divisions different "
            f"({share(check.rejected, check.splits)})." + _pooled(check)
        ),
        drawing=_draw(check.ratios, effect.ratio, conclusion.treated.persona, colour).markup(),
        table=Table(
            "Ratio of one half of the controls to the other",
            (Column("division, in order"), Column("ratio", numeric=True)),
            tuple((str(i + 1), ratio(r)) for i, r in enumerate(check.ratios)),
        ),
        keys=(
            Key(f"halves of {persona}", "pc", "dot"),
            Key(conclusion.treated.persona, colour, "line"),
        ),
    )


def _pooled(check: SplitCheck) -> str:
    if check.pooled_rejected is None:
        return ""
    called = f"{check.pooled_rejected} ({share(check.pooled_rejected, check.splits)})"
    return f" Pooling bids, as published studies do, calls {called}."


def _draw(ratios: tuple[float, ...], effect: float, persona: str, colour: str) -> Canvas:
    scale = Log.around([1.0, effect, *ratios], LEFT + 8, RIGHT - 8)
    dots = _stacked([scale(r) for r in ratios])
    base = TOP + max(LEAST, (max(level for _, level in dots) + 3) * DOT * 2)
    canvas = Canvas(WIDTH, base + FOOT, "Differences between halves of the controls")
    axes.below(
        canvas, scale, (TOP, base), axes.times, "one half over the other, or the claim's effect"
    )
    canvas.line((scale(1), TOP), (scale(1), base), "reference")
    for x, level in dots:
        canvas.circle((x, base - 8 - level * DOT * 2), DOT, "chance")
    x = scale(effect)
    canvas.line((x, TOP), (x, base), f"thick s-{colour}")
    to_the_left = x > (LEFT + RIGHT) / 2
    at = x + 8 if to_the_left else x - 8
    words = f"{persona}: {ratio(effect)}"
    canvas.text((at, TOP - 12), words, f"strong f-{colour}", "end" if to_the_left else "start")
    return canvas


def _stacked(places: list[float]) -> list[tuple[float, int]]:
    """Dots that would touch are put on top of each other; stacks never leave the drawing."""
    highest = int(MOST / (2 * DOT))
    columns: dict[int, int] = {}
    dots = []
    for x in places:
        column = round(x / (2 * DOT))
        level = min(columns.get(column, 0), highest)
        columns[column] = level + 1
        dots.append((column * 2 * DOT, level))
    return dots


def _title(effect: float, low: float, high: float, persona: str) -> str:
    if low <= effect <= high:
        return f"An effect like this arises among the {persona} accounts by chance"
    return f"{persona.capitalize()} accounts alone never differ as much as the claim's effect"
