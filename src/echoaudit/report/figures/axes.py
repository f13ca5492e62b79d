"""Axes that several figures share."""

from __future__ import annotations

from collections.abc import Callable

from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log


def below(
    canvas: Canvas, scale: Log, span: tuple[float, float], show: Callable[[float], str], name: str
) -> None:
    """A logarithmic axis under the drawing, with its name.

    ``span`` is where its grid lines begin and end, from top to bottom.
    """
    top, base = span
    for value in scale.ticks():
        x = scale(value)
        canvas.line((x, top), (x, base), "grid")
        canvas.text((x, base + 17), show(value), "tick", "middle")
    canvas.line((scale.start, base), (scale.end, base), "axis")
    canvas.text(((scale.start + scale.end) / 2, base + 36), name, "name", "middle")


def dollars(value: float) -> str:
    """A tick's price without trailing zeros."""
    return f"${value:.10g}"


def times(value: float) -> str:
    """A tick's ratio."""
    return f"{value:.10g}×"
