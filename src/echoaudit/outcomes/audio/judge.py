"""Whether a sound that was heard once or often is an ad: stated rules on what is known of it.

Points: one for each kind of offer (at most three), one for a brand, one for a brand that is
insisted on (said twice, or with words of its own), one when the sound was heard more than once. An
ad is as long as ads are, has words, at least ``ENOUGH`` points, and either an offer or a brand that
is said at least twice. So a host who names a brand is no ad, nor is a jingle, however often
repeated; a single play of an ad needs more of the other points.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from echoaudit.outcomes.audio.words import Said, brands, offers, words

LENGTHS = (4.0, 75.0)
"""Seconds: ads of 5 to 60 s, and what cutting adds or takes."""
FEWEST_WORDS = 6
ENOUGH = 3
MOST_OFFERS = 3
HIGH, MEDIUM = 5, 4
"""Points from which a verdict is sure."""
HEARD = 1 / 3
"""Share of the plays in which a kind of offer must be understood: recognisers invent words."""


@dataclass(frozen=True)
class Play:
    """One time that a sound was heard."""

    account: str
    seconds: float
    text: str
    edge: bool


@dataclass(frozen=True)
class Verdict:
    """Whether a sound is an ad, whose, and why."""

    is_ad: bool
    brand: str
    confidence: str
    """high, medium, low; empty for what is none."""
    basis: str


def judge(plays: Sequence[Play]) -> Verdict:
    """The verdict on all plays of one sound together: what one transcript lacks another has."""
    whole = [play for play in plays if not play.edge] or list(plays)
    length = statistics.median(play.seconds for play in whole)
    most_words = max(len(words(play.text)) for play in plays)
    kinds = _offers([play.text for play in whole])
    said = _brand([play.text for play in plays])
    points = (
        min(len(kinds), MOST_OFFERS)
        + (said is not None)
        + (said is not None and said.certain)
        + (len(plays) > 1)
    )
    spoken = LENGTHS[0] <= length <= LENGTHS[1] and most_words >= FEWEST_WORDS
    cue = bool(kinds) or (said is not None and said.times > 1)
    is_ad = spoken and cue and points >= ENOUGH
    level = "high" if points >= HIGH else "medium" if points >= MEDIUM else "low"
    return Verdict(
        is_ad,
        said.brand if said else "",
        level if is_ad else "",
        _basis(kinds, said, plays, length),
    )


def _offers(texts: Sequence[str]) -> list[str]:
    counts = Counter(kind for text in texts for kind in offers(text))
    return sorted(kind for kind, count in counts.items() if count >= HEARD * len(texts))


def _brand(texts: Sequence[str]) -> Said | None:
    """The brand that most plays agree on; of equals, the one heard most certainly."""
    found = [brands(text)[:1] for text in texts]
    firsts = [said for some in found for said in some]
    if not firsts:
        return None
    counts = Counter(said.brand for said in firsts)
    best = max(firsts, key=lambda s: (counts[s.brand], s.how == "exact", s.cues, s.times, s.brand))
    return best if counts[best.brand] >= HEARD * len(texts) else None


def _basis(kinds: Sequence[str], said: Said | None, plays: Sequence[Play], length: float) -> str:
    parts = [f"offer:{kind}" for kind in kinds]
    if said is not None:
        parts.append(f"brand:{said.how}")
        parts += ["brand:insisted"] if said.certain else []
    if len(plays) > 1:
        parts.append(f"plays:{len(plays)}")
        parts.append(f"accounts:{len({play.account for play in plays})}")
    return " ".join([*parts, f"length:{length:.1f}"])
