"""Whether controls differ among themselves: an A/A test of halves that were fixed before the run.

Two divisions of a persona's accounts, in the order of their names, are compared as if one half were
another persona: odd against even places, which tells apart what accounts took in turn (two
machines, two networks), and the first against the last, which tells apart what changed while they
were made (batches). Neither looks at what was measured, so each is a test at its level. Trying all
divisions and counting would be none: over all labelings of the same scores, the share of
rejections is near the level whatever the scores are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from echoaudit.inference.conclusion import ControlCheck, Halves

DIVISIONS = 2
"""Tests that a check makes (Bonferroni)."""
STRICTNESS = 5
"""The check's level is this part of the claim's. Where a claim is tested at one in twenty, a sound
verdict is withheld once in a hundred times: the check costs next to no power."""
FAMILY = DIVISIONS * STRICTNESS
"""Each division is tested at this part of the claim's level."""
MIN_HALF = 2
"""Fewer accounts in a half are a single case."""


def divisions(accounts: Collection[str]) -> tuple[tuple[str, list[str], list[str]], ...]:
    """How accounts are divided, with both halves; numbers in names count as numbers."""
    ordered = sorted(accounts, key=_natural)
    middle = (len(ordered) + 1) // 2
    return (
        ("odd and even", ordered[::2], ordered[1::2]),
        ("first and last", ordered[:middle], ordered[middle:]),
    )


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def control_check(
    planned: Collection[str],
    compared: Collection[str],
    test: Callable[[str, Sequence[str], Sequence[str]], Halves],
    alpha: float,
) -> ControlCheck:
    """Divide the ``planned`` accounts and test the ``compared`` ones of the halves.

    ``test`` takes the division's name and its halves. The check fails when a division is rejected
    at ``alpha / FAMILY``; it has no power when none could have been, whatever was measured.
    """
    found = []
    for name, first, second in divisions(planned):
        halves = [[one for one in half if one in compared] for half in (first, second)]
        if min(map(len, halves)) >= MIN_HALF:
            found.append(test(name, *halves))
    level = alpha / FAMILY
    able = [one for one in found if one.able]
    return ControlCheck(
        halves=tuple(found),
        p=min((min(1.0, DIVISIONS * one.p) for one in able), default=None),
        passed=all(one.p > level for one in able) if able else None,
    )
