"""Which ads are the same creative.

The same ad comes from several bidders under several ids. Of one advertiser, ads are the same when a
bidder calls them the same, when they say the same, or when they look the same: a perceptual hash
alone does not tell brands in one layout apart (six bits of 64), the advertiser does. Where no
advertiser is known, markup must be equal, or words and looks both.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SIDE = 16
"""The hash compares neighbours in a picture of so many rows."""
ALIKE = 10
"""Of 256 bits, those in which pictures of one advertiser may differ."""
LEAST_WORDS = 3
"""Fewer words ("Ad", "Shop now") say nothing."""
NAME = 12


@dataclass(frozen=True)
class Seen:
    """What is known of one shown ad."""

    advertiser: str
    creative: tuple[str, str]
    """Who names it, and the name; an empty name tells nothing."""
    text: str
    size: str
    picture: str
    markup: str
    place: str = ""
    """Where it was shown: tells ads apart of which nothing is known."""


def picture(path: Path) -> str:
    """The perceptual hash (dHash) of a PNG as hexadecimal digits; empty when it is none.

    Whole-number arithmetic from end to end, so that every machine finds the same.
    """
    import imagehash
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return str(imagehash.dhash(image.convert("RGB"), SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


def same(ads: Sequence[Seen]) -> list[str]:
    """A name for each ad, equal for those that are the same creative.

    The name is made of what the creative's ads have in common, so that it does not depend on their
    order or number.
    """
    groups = _Groups(len(ads))
    for places in _sharing(ads):
        for place in places[1:]:
            groups.join(places[0], place)
    for places in _by(ads, lambda ad: (ad.advertiser, ad.size) if _shows(ad) else None):
        _join_alike(ads, places, groups)
    members: dict[int, list[int]] = defaultdict(list)
    for place in range(len(ads)):
        members[groups.root(place)].append(place)
    names = {root: _name([ads[place] for place in places]) for root, places in members.items()}
    return [names[groups.root(place)] for place in range(len(ads))]


def _sharing(ads: Sequence[Seen]) -> Iterable[list[int]]:
    yield from _by(ads, lambda ad: (ad.advertiser, *ad.creative) if ad.creative[1] else None)
    yield from _by(ads, lambda ad: (ad.advertiser, _words(ad.text)) if _says(ad) else None)
    yield from _by(ads, lambda ad: ad.markup or None)


def _shows(ad: Seen) -> bool:
    return bool(ad.picture and (ad.advertiser or _words(ad.text)))


def _says(ad: Seen) -> bool:
    return bool(ad.advertiser) and _words(ad.text).count(" ") >= LEAST_WORDS - 1


def _by(ads: Sequence[Seen], key: Callable[[Seen], Hashable]) -> list[list[int]]:
    """Places of ads with equal keys; those without a key are left out."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, ad in enumerate(ads):
        value = key(ad)
        if value is not None:
            found[value].append(place)
    return list(found.values())


def _join_alike(ads: Sequence[Seen], places: list[int], groups: _Groups) -> None:
    """Join ads that look the same and do not say different things.

    Where no advertiser is known, they must say something.
    """
    looks: dict[tuple[int, str], int] = {}
    for place in places:
        ad = ads[place]
        groups.join(looks.setdefault((int(ad.picture, 16), _words(ad.text)), place), place)
    kinds = sorted(looks)
    for first, (one, words) in enumerate(kinds):
        for other, said in kinds[first + 1 :]:
            speaks = words == said if words and said else bool(ads[places[0]].advertiser)
            if speaks and (one ^ other).bit_count() <= ALIKE:
                groups.join(looks[one, words], looks[other, said])


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _name(ads: Sequence[Seen]) -> str:
    """Digits of a hash of the smallest description among a creative's ads."""
    smallest = min(
        (ad.advertiser, _words(ad.text), *ad.creative, ad.markup)
        + (() if ad.advertiser or ad.markup or len(ads) > 1 else (ad.place,))
        for ad in ads
    )
    return hashlib.sha256("\0".join(smallest).encode("utf-8", "replace")).hexdigest()[:NAME]


class _Groups:
    """Disjoint sets of places."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def root(self, place: int) -> int:
        while self._above[place] != place:
            self._above[place] = self._above[self._above[place]]
            place = self._above[place]
        return place

    def join(self, one: int, other: int) -> None:
        self._above[self.root(other)] = self.root(one)
