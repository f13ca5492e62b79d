"""Whether two names sound alike, by their Metaphone codes (Philips 1990, as jellyfish has them)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

NEAR_SOUND = 0.9
NEAR_LETTERS = 0.85
"""Similarities (of 1) from which two names that differ in a sound or two are alike."""
LENGTH = 9
"""Metaphone codes shorter than this must be equal: one sound of few tells names apart."""


@dataclass(frozen=True)
class Sound:
    """A name as it is heard: no blanks, no plurals, no stops between letters."""

    letters: str
    code: str

    @classmethod
    def of(cls, name: str) -> Self:
        """The sound of a name."""
        import jellyfish

        words = [_singular(word) for word in re.findall(r"[^\W_]+", name.casefold())]
        letters = "".join(words)
        return cls(letters, jellyfish.metaphone(letters))


def alike(first: Sound, second: Sound) -> bool:
    """Whether a recogniser is likely to take one for the other.

    True when their codes are equal and most letters are, or when long names differ in hardly a
    sound and hardly a letter.
    """
    from rapidfuzz.distance import Levenshtein

    if first.letters == second.letters:
        return True
    letters = Levenshtein.normalized_similarity(first.letters, second.letters)
    if first.code and first.code == second.code:
        return letters >= 0.5
    if min(len(first.code), len(second.code)) < LENGTH:
        return False
    sound = Levenshtein.normalized_similarity(first.code, second.code)
    return sound >= NEAR_SOUND and letters >= NEAR_LETTERS


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
