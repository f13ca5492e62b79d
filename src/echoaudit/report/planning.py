"""What a study would find and cost, as a page of its own in the report's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Column, Figure, Key, Section, Table
from echoaudit.report.text import clean, ratio

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BASE = 440.0, 330.0, 52.0, 430.0, 14.0, 284.0
COLOURS = ("p1", "p2", "p3", "p4", "p5")


@dataclass(frozen=True)
class Curve:
    """Power of one design over effects."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Effect (ratio) and power."""


def page(
    kind: str, title: str, facts: Sequence[str], words: Sequence[str], *sections: Section
) -> str:
    """A short page as HTML without script; ``words`` are sentences below the first section."""
    from echoaudit.report.render import environment

    template = environment().get_template("short.html.jinja")
    return template.render(
        kind=kind, title=clean(title), meta=list(facts), words=list(words), sections=sections
    )


def curves(found: Sequence[Curve], wanted: float, effect: float) -> Figure:
    """Power over effect, a line per design."""
    canvas = Canvas(WIDTH, HEIGHT, "Power of designs over the size of the effect")
    scale = Log.around([x for curve in found for x, _ in curve.points], LEFT, RIGHT)
    for percent in (0, 25, 50, 75, 100):
        y = _height(percent / 100)
        canvas.line((LEFT, y), (RIGHT, y), "grid")
        canvas.text((LEFT - 8, y + 4), f"{percent}%", "tick", "end")
    axes.below(canvas, scale, (TOP, BASE), axes.times, "true effect, treated over control")
    canvas.line((LEFT, _height(wanted)), (RIGHT, _height(wanted)), "reference")
    for curve, colour in zip(found, COLOURS, strict=False):
        canvas.path([(scale(x), _height(y)) for x, y in curve.points], f"thick s-{colour}")
        for x, y in curve.points:
            words = f"{curve.name}: {y:.0%} at {ratio(x)}"
            canvas.circle((scale(x), _height(y)), 3, f"dot f-{colour}", words)
    effects = [x for x, _ in found[0].points]
    return Figure(
        id="power",
        title=_title(found, wanted, effect),
        description=(
            "Each line is a design: accounts with the persona + controls. Vertical: the chance "
            "that a true claim comes out supported, all claims of the family being true and "
            f"corrected for. The dotted line is the {wanted:.0%} that is wanted."
        ),
        drawing=canvas.markup(),
        table=Table(
            "Power by effect",
            (Column("design"), *(Column(ratio(x), numeric=True) for x in effects)),
            tuple((c.name, *(f"{y:.0%}" for _, y in c.points)) for c in found),
        ),
        keys=tuple(
            Key(curve.name, colour, "line") for curve, colour in zip(found, COLOURS, strict=False)
        ),
    )


def _height(share: float) -> float:
    return BASE - share * (BASE - TOP)


def _title(found: Sequence[Curve], wanted: float, effect: float) -> str:
    enough = [curve.name for curve in found if dict(curve.points).get(effect, 0.0) >= wanted]
    if enough:
        return f"{enough[0]} accounts find {ratio(effect)} with a chance of {wanted:.0%} or more"
    return f"None of these designs finds {ratio(effect)} with a chance of {wanted:.0%}"
