"""What is wrong with something a user wrote, where, and how it becomes one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from echoaudit.errors import BadInput

SHOWN = 60
"""Characters of a user's own text that a message repeats."""

_PASSWORD = re.compile(r"//[^/\s@]+@")
"""Who asks, in an address, and perhaps with what password: never repeated."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written."""

    name: str
    """A file, or the command-line option that set it."""
    line: int | None = None
    column: int | None = None
    folder: Path | None = None
    """What its relative paths start from; the working directory when absent."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    origin: Origin
    found: str
    allowed: str
    example: str

    def __str__(self) -> str:
        return f"{self.found}; allowed: {self.allowed}; example: {self.example}"


def error(faults: Sequence[Fault]) -> BadInput:
    """The error for the first of ``faults`` in reading order, with the number of the others."""
    first = min(faults, key=lambda fault: (fault.origin.line or 0, fault.origin.column or 0))
    others = len(faults) - 1
    more = f" ({others} more fault{'s' if others > 1 else ''})" if others else ""
    where = first.origin
    return BadInput(f"{first}{more}", file=where.name, line=where.line, column=where.column)


def shown(text: object) -> str:
    """``text`` in quotes, short, on one line and safe for a terminal."""
    written = _PASSWORD.sub("//…@", str(text))
    return repr(written if len(written) <= SHOWN else written[: SHOWN - 1] + "…")


def suggestion(word: str, known: Sequence[str]) -> str:
    """`` (did you mean 'x'?)`` for the known word nearest to ``word``, or nothing."""
    near = get_close_matches(word.lower()[:SHOWN], known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
