"""Ads that only one persona's accounts heard: more than chance deals out?

Of ten personas that are treated alike, each has many ads that no other heard. So an ad counts as a
persona's own only when at least two of its accounts heard it and no other account did, and that is
tested by dealing the persona labels out anew: accounts keep what they heard. An ad heard by k of N
accounts falls into one persona with n accounts with probability C(n, k) / C(N, k), which is what
permuting all labels gives. Benjamini and Hochberg's correction is over all ads that could count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import false_discovery_control

FEWEST = 2
"""Accounts that must have heard an ad."""
ALPHA = 0.05


@dataclass(frozen=True)
class Exclusive:
    """One ad: whose it is, if it is one persona's only."""

    ad: str
    accounts: int
    persona: str
    """The only persona that heard it, when enough of its accounts did; else empty."""
    p: float | None
    """Chance that an ad of so many accounts falls into one treated persona; 1 when it did not.
    None: untested."""
    adjusted: float | None
    claimed: bool


def exclusive(
    heard: Mapping[str, frozenset[str]], persona_of: Mapping[str, str], treated: Sequence[str]
) -> list[Exclusive]:
    """Judge all ads.

    Args:
        heard: the accounts that heard each ad.
        persona_of: the persona of each account that listened at all.
        treated: personas of which it is asked whether they have ads of their own.
    """
    sizes = [sum(p == persona for p in persona_of.values()) for persona in treated]
    own = {ad: _only_persona(accounts, persona_of) for ad, accounts in heard.items()}
    # What happened to fall to one treated persona has the chance of that; all others have p = 1, or
    # the family would take every ad that could have fallen so for one that did.
    tested = {
        ad: chance(len(accounts), sizes, len(persona_of)) if own[ad] in treated else 1.0
        for ad, accounts in heard.items()
        if FEWEST <= len(accounts) <= max(sizes, default=0)
    }
    adjusted = dict(zip(tested, _corrected(list(tested.values())), strict=True))
    found = []
    for ad, accounts in sorted(heard.items()):
        q = adjusted.get(ad)
        claimed = own[ad] in treated and q is not None and q <= ALPHA
        found.append(Exclusive(ad, len(accounts), own[ad], tested.get(ad), q, claimed))
    return found


def _only_persona(accounts: frozenset[str], persona_of: Mapping[str, str]) -> str:
    """The only persona of enough accounts; empty when there are several, or too few accounts."""
    personas = {persona_of[account] for account in accounts}
    return personas.pop() if len(personas) == 1 and len(accounts) >= FEWEST else ""


def chance(accounts: int, sizes: Sequence[int], total: int) -> float:
    """Probability that ``accounts`` of ``total``, drawn at random, are of one persona."""
    ways = sum(math.comb(size, accounts) for size in sizes)
    return ways / math.comb(total, accounts)


def _corrected(p_values: list[float]) -> list[float]:
    return [float(q) for q in false_discovery_control(p_values)] if p_values else []
