"""What a transcript says that advertising says: offers, and brands by name or by sound.

Recognisers mangle names ("Nike" becomes "night"), so a name that is only like a brand counts when
the brand's own words are beside it. The lists are ``lists/brands.yaml`` and
``lists/ad_phrases.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeVar

import jellyfish
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein

from echoaudit.errors import BadInput

NEAR = 85.0
"""Least likeness of spelling, 0 to 100, of a name that is nearly the brand's."""
FAR = 57.0
"""Least likeness of spelling or sound of one that needs two of the brand's own words."""
SHORTEST_CODE = 3
"""Sounds (Metaphone) that must agree before equal sound counts as nearly the name."""
LONGEST_NAME = 4
"""Words."""
SHORTEST = 3
"""Letters below which a name must be exact."""
LONG = 5
"""Letters from which equal sound is nearly the name: "for a" sounds like Ford."""
How = Literal["exact", "near", "far"]
HOWS: tuple[How, ...] = ("exact", "near", "far")
NEEDED: dict[How, int] = {"exact": 1, "near": 1, "far": 2}
"""Words of the brand's own that must be there; an exact name that is no common word needs none."""
_SPELT = {"per cent": "percent", "dot con": "dot com", "dot calm": "dot com"}
M = TypeVar("M", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Phrases(_Strict):
    """Phrases of one kind of offer; ``*`` stands for one word, ``#`` for a number."""

    kind: str
    phrases: tuple[str, ...]


class PhraseList(_Strict):
    """``lists/ad_phrases.yaml``."""

    basis: str
    kinds: tuple[Phrases, ...]


class Brand(_Strict):
    """A brand: how its name is said, and words that go with it."""

    brand: str
    said: tuple[str, ...] = ()
    """Other ways to say it."""
    cues: tuple[str, ...] = ()
    """Its products and slogans, as said."""
    common: bool = False
    """The name is an ordinary word, which alone says nothing."""

    @model_validator(mode="after")
    def _has_letters(self) -> Brand:
        if not any(words(name) for name in (self.brand, *self.said)):
            raise ValueError(f"brand {self.brand!r} cannot be said")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """All ways to say it, as plain words."""
        return tuple(dict.fromkeys(" ".join(words(name)) for name in (self.brand, *self.said)))


class BrandList(_Strict):
    """``lists/brands.yaml``."""

    basis: str
    brands: tuple[Brand, ...]


@dataclass(frozen=True)
class Said:
    """A brand in a transcript."""

    brand: str
    how: How
    times: int
    cues: int
    """Different words of its own that are there too, a web address of its name among them."""

    @property
    def certain(self) -> bool:
        """Whether it is insisted on: said twice, or with words of its own."""
        return self.times > 1 or self.cues > 0


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; web addresses as they are said."""
    plain = re.sub(r"(?<=\w)\.(?=(com|org|net|con)\b)", " dot ", text.lower())
    plain = plain.replace("%", " percent ").replace("$", " dollars ").replace("\u2019", "'")
    plain = " ".join(re.findall(r"[a-z0-9]+", plain.replace("'", "")))
    for heard, meant in _SPELT.items():
        plain = plain.replace(heard, meant)
    return plain.split()


# --- offers -----------------------------------------------------------------------------------


def offers(text: str) -> set[str]:
    """Kinds of offers in a transcript."""
    plain = " ".join(words(text))
    return {kind for kind, pattern in _patterns() if pattern.search(plain)}


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    rows = _read(PhraseList, "ad_phrases.yaml").kinds
    return [(row.kind, re.compile("|".join(map(_pattern, row.phrases)))) for row in rows]


NUMBER = (
    r"(?:\d+|a|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|sixteen|"
    r"twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred)(?: (?:five|hundred))?"
)


def _pattern(phrase: str) -> str:
    parts = {"*": r"\w+", "#": NUMBER}
    return r"\b" + " ".join(parts.get(word) or re.escape(word) for word in phrase.split()) + r"\b"


# --- brands -----------------------------------------------------------------------------------


def brands(text: str) -> list[Said]:
    """Brands in a transcript, the most certain first."""
    spoken = words(text)
    hits: dict[int, list[tuple[int, How]]] = {}
    for brand, end, how in _hits(spoken):
        hits.setdefault(brand, []).append((end, how))
    known = brand_list()
    found = [_said(known[brand], own, spoken) for brand, own in sorted(hits.items())]
    order = {"exact": 0, "near": 1, "far": 2}
    certain = [said for said in found if said is not None]
    return sorted(certain, key=lambda s: (order[s.how], -s.cues, -s.times, s.brand))


def _said(brand: Brand, hits: Sequence[tuple[int, How]], spoken: Sequence[str]) -> Said | None:
    """The brand as its best hits have it, when they and its cues are enough."""
    plain = f" {' '.join(spoken)} "
    cues = sum(f" {' '.join(words(cue))} " in plain for cue in brand.cues)
    for how in HOWS:
        ends = {end for end, found in hits if found == how}
        if not ends:
            continue
        cues += any(list(spoken[end : end + 2]) == ["dot", "com"] for end in ends)
        alone = how == "exact" and (not brand.common or len(ends) > 1)
        if alone or cues >= NEEDED[how]:
            return Said(brand.brand, how, len(ends), cues)
    return None


def _hits(spoken: Sequence[str]) -> Iterator[tuple[int, int, How]]:
    """Words that sound like a name: the brand, the place after them, and how alike they are."""
    places = [
        (start + size, size)
        for size in range(1, LONGEST_NAME + 1)
        for start in range(len(spoken) - size + 1)
    ]
    if not places:
        return
    heard = ["".join(spoken[end - size : end]) for end, size in places]
    spelling, sound = _alike(heard)
    for row, column in np.argwhere((spelling >= FAR / 2) & (spelling + sound >= 2 * FAR)).tolist():
        name = _names()[column]
        end, size = places[row]
        if abs(size - name.length) <= 1:
            how = _how(heard[row], name.compact, spelling[row, column], sound[row, column])
            if how is not None:
                yield name.brand, end, how


def _how(heard: str, name: str, spelling: float, sound: float) -> How | None:
    if heard == name:
        return "exact"
    if min(len(heard), len(name)) < SHORTEST:
        return None
    same = sound == 100 and len(name) >= LONG and len(_code(name)) >= SHORTEST_CODE
    return "near" if spelling >= NEAR or same else "far"


def _alike(heard: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Likeness, 0 to 100, of spelling and of sound to every name."""
    names = _names()
    spelling = process.cdist(heard, [name.compact for name in names], scorer=fuzz.ratio)
    sound = process.cdist(
        [_code(one) for one in heard],
        [_code(name.compact) for name in names],
        scorer=Levenshtein.normalized_similarity,
    )
    return spelling, 100 * sound


@dataclass(frozen=True)
class _Name:
    brand: int
    compact: str
    """Without blanks: recognisers set them as they like."""
    length: int
    """Words."""


@cache
def _names() -> tuple[_Name, ...]:
    return tuple(
        _Name(number, name.replace(" ", ""), len(name.split()))
        for number, brand in enumerate(brand_list())
        for name in brand.names
    )


@cache
def _code(word: str) -> str:
    return str(jellyfish.metaphone(word))


@cache
def brand_list() -> tuple[Brand, ...]:
    """The brands of ``lists/brands.yaml``."""
    return _read(BrandList, "brands.yaml").brands


def _read(model: type[M], name: str) -> M:
    text = resources.files("echoaudit.outcomes.lists").joinpath(name).read_text("utf-8")
    try:
        value: Any = yaml.safe_load(text)
        return model.model_validate(value)
    except (yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"unusable list: {error}", file=f"lists/{name}") from error
