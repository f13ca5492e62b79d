"""Floats cut to the digits that evidence can carry."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

DIGITS = 6
"""Significant digits kept: more would show the machine's arithmetic, not the evidence."""
T = TypeVar("T")


def rounded(value: T) -> T:
    """The same value with every float in it, also in tuples and dataclasses, cut to ``DIGITS``."""
    return cast("T", _rounded(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, tuple):
        return tuple(_rounded(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rounded(getattr(value, f.name)) for f in fields(value)})
    return value
