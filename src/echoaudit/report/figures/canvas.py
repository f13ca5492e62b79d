"""A drawing surface for static SVG."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from markupsafe import Markup

from echoaudit.report.text import clean

Point = tuple[float, float]


def number(value: float) -> str:
    """A coordinate with one decimal: fine enough for the eye, and equal on all machines."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


class Canvas:
    """Shapes are classed, never coloured: the page's style sheet knows light, dark and print."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width = width
        self.height = height
        self._root = ET.Element(
            "svg",
            {
                "viewBox": f"0 0 {number(width)} {number(height)}",
                "role": "img",
                "aria-label": clean(label),
            },
        )

    def _add(self, tag: str, classes: str, title: str | None, **attributes: str) -> ET.Element:
        element = ET.SubElement(self._root, tag, {"class": classes, **attributes})
        if title:
            ET.SubElement(element, "title").text = clean(title)
        return element

    def line(self, start: Point, end: Point, classes: str, title: str | None = None) -> None:
        """A straight line."""
        ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        self._add("line", classes, title, **{k: number(v) for k, v in ends.items()})

    def path(self, points: Iterable[Point], classes: str, title: str | None = None) -> None:
        """A line through points."""
        drawn = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self._add("path", classes, title, d=f"M{drawn}")

    def curve(self, start: Point, end: Point, classes: str, title: str | None = None) -> None:
        """A curve that leaves and arrives horizontally."""
        half = (end[0] - start[0]) / 2
        points = start, (start[0] + half, start[1]), (end[0] - half, end[1]), end
        self._bezier(points, classes, title)

    def bow(
        self, start: Point, end: Point, bend: float, classes: str, title: str | None = None
    ) -> None:
        """A curve between points above each other, ``bend`` to the right (or left, below 0)."""
        controls = (start[0] + bend, start[1]), (end[0] + bend, end[1])
        self._bezier((start, *controls, end), classes, title)

    def _bezier(self, points: tuple[Point, ...], classes: str, title: str | None) -> None:
        drawn = [f"{number(x)} {number(y)}" for x, y in points]
        self._add("path", classes, title, d=f"M{drawn[0]}C{' '.join(drawn[1:])}")

    def band(
        self, start: Point, end: Point, width: float, classes: str, title: str | None = None
    ) -> None:
        """A band between two upper corners that leaves and arrives horizontally."""
        middle = number((start[0] + end[0]) / 2)
        (x1, y1), (x2, y2) = ([number(v) for v in point] for point in (start, end))
        low1, low2 = (number(point[1] + width) for point in (start, end))
        drawn = (
            f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
            f"L{x2} {low2}C{middle} {low2} {middle} {low1} {x1} {low1}Z"
        )
        self._add("path", classes, title, d=drawn)

    def circle(self, centre: Point, radius: float, classes: str, title: str | None = None) -> None:
        """A dot."""
        x, y = centre
        self._add("circle", classes, title, cx=number(x), cy=number(y), r=number(radius))

    def diamond(self, centre: Point, half: float, classes: str, title: str | None = None) -> None:
        """A square on its corner."""
        x, y = centre
        corners = [(x, y - half), (x + half, y), (x, y + half), (x - half, y), (x, y - half)]
        self.path(corners, classes, title)

    def arrow(self, tip: Point, to_the_right: bool, classes: str) -> None:
        """An arrow's head."""
        x, y = tip
        back = x - 7 if to_the_right else x + 7
        self.path([(x, y), (back, y - 3.5), (back, y + 3.5), (x, y)], classes)

    def rect(self, corner: Point, width: float, height: float, classes: str) -> None:
        """A rectangle."""
        x, y = corner
        sides = {"x": x, "y": y, "width": width, "height": height}
        self._add("rect", classes, None, **{k: number(v) for k, v in sides.items()})

    def text(
        self, at: Point, words: str, classes: str = "label", anchor: str = "start", limit: int = 60
    ) -> None:
        """Words; ``anchor`` is start, middle or end."""
        x, y = at
        element = self._add(
            "text", classes, None, x=number(x), y=number(y), **{"text-anchor": anchor}
        )
        element.text = clean(words, limit)

    def markup(self) -> Markup:
        """The drawing, escaped and ready for the page."""
        return Markup(ET.tostring(self._root, encoding="unicode"))
