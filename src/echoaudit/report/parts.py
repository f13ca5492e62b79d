"""What a page is made of: tables, figures, meters, notices. Templates know no other types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Column:
    """A column's heading; numbers are set flush right, a matrix's cells in the middle."""

    label: str
    numeric: bool = False
    centred: bool = False


@dataclass(frozen=True)
class Shade:
    """A cell of a matrix: its text and how strongly it is filled, 0 to 5."""

    text: str
    level: int


Cell = str | Shade


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str | None = None


@dataclass(frozen=True)
class Key:
    """One entry of a figure's legend: ``colour`` is a persona's class, ``mark`` how it is drawn."""

    label: str
    colour: str
    mark: Literal["line", "dashes", "dot", "ring", "diamond", "band", "outline"]


@dataclass(frozen=True)
class Figure:
    """A drawing whose title says the finding, with a description and its data."""

    id: str
    title: str
    description: str
    drawing: Markup
    table: Table
    keys: tuple[Key, ...] = ()
    wide: bool = False


@dataclass(frozen=True)
class Meter:
    """A share of what was planned."""

    label: str
    part: int
    whole: int
    note: str = ""
    good: bool = True

    @property
    def percent(self) -> float:
        """Length of the bar."""
        return round(100 * self.part / self.whole, 1) if self.whole else 0.0


@dataclass(frozen=True)
class Notice:
    """Something a reader must not miss."""

    title: str
    text: str
    loud: bool = True


@dataclass(frozen=True)
class Card:
    """A picture with what is known of it."""

    title: str
    image: Markup
    """A ``data:`` address made of pixels alone."""
    alt: str
    facts: tuple[str, ...] = ()
    mark: str = ""
    """What sets it apart, shown first; empty for most."""


@dataclass(frozen=True)
class Section:
    """A part of the page with its own heading."""

    id: str
    title: str
    short: str
    """Its name in the page's navigation."""
    lead: str = ""
    figures: tuple[Figure, ...] = ()
    cards: tuple[Card, ...] = ()
    cards_title: str = ""
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    """Tables that open on demand."""
