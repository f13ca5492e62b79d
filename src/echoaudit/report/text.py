"""Values as the text a reader sees; everything from a recording passes through here."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

LIMIT = 300
"""Longest value shown in a table or a drawing, in characters; what is cut is said."""
PROSE_LIMIT = 4000
"""Longest text shown anywhere."""
NOTHING = "–"


def clean(value: Any, limit: int = LIMIT) -> str:
    """Any value as harmless text: no control or direction marks, no endless strings.

    Characters that would change how the rest of the page reads (controls, direction marks,
    unpaired surrogates) become their visible names. Markup is escaped later, by the template.
    """
    if value is None or type(value).__name__ == "NAType":
        return NOTHING
    if isinstance(value, float) and math.isnan(value):
        return NOTHING
    text = str(value)
    shown = "".join(_visible(character) for character in text[:limit])
    if len(text) > limit:
        return f"{shown}… ({len(text):,} characters)"
    return shown


def _visible(character: str) -> str:
    if character in "\n\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"⟨U+{ord(character):04X}⟩"
    return character


def finalize(value: Any) -> Any:
    """For the templates: every printed value is cleaned, whatever the template's author forgot."""
    return value if isinstance(value, Markup) else clean(value, PROSE_LIMIT)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 account``, ``2 accounts``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def share(part: float, whole: float) -> str:
    """A share in per cent, or a dash when there is no whole."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    # Rounding must not turn "nearly all" into "all", nor "hardly any" into "none".
    if part and percent < 1:
        return "< 1 %"
    if part < whole and percent > 99:
        return "> 99 %"
    return f"{percent:.0f} %"


def treatment(
    sentences: tuple[int, int], topic_visits: tuple[int, int], opt_outs: tuple[int, int]
) -> str:
    """What was delivered of what was planned: ``3 / 3 sentences, 1 / 1 opted out``."""
    kinds = {"sentences": sentences, "topic visits": topic_visits, "opted out": opt_outs}
    parts = [f"{part} / {whole} {kind}" for kind, (part, whole) in kinds.items() if whole]
    return ", ".join(parts) or NOTHING


def money(dollars: float | None) -> str:
    """US dollars with three figures."""
    if dollars is None or math.isnan(dollars):
        return NOTHING
    if dollars >= 100:
        return f"${dollars:,.0f}"
    digits = 2 if dollars >= 1 else 3 if dollars >= 0.01 else 5
    return f"${dollars:.{digits}f}"


def ratio(value: float | None) -> str:
    """A ratio with three figures and its sign."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value:,.0f}×"
    return f"{value:.2f}×" if value < 10 else f"{value:.3g}×"


def size(number: float | None) -> str:
    """A number of bytes in a unit that suits it (1 kB is 1,000 bytes)."""
    if number is None or math.isnan(number):
        return NOTHING
    for unit, digits in (("B", 0), ("kB", 1), ("MB", 1)):
        if number < 1000:
            return f"{number:.{digits}f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def p_value(p: float | None) -> str:
    """A p value with two figures."""
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def moment(seconds: float | None) -> str:
    """A time of the recording in UTC."""
    if seconds is None or math.isnan(seconds):
        return NOTHING
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def duration(seconds: float) -> str:
    """A length of time in words."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return count(round(seconds), "second")
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} minutes"


def listed(items: list[str], most: int = 5) -> str:
    """``a, b and c``; the rest is counted."""
    if not items:
        return "none"
    if len(items) > most:
        items = [*items[:most], f"{len(items) - most:,} more"]
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
