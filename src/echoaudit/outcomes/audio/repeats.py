"""Which segments are the same sound: one creative, song or jingle heard again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from echoaudit.outcomes.audio.cuts import Segment
from echoaudit.outcomes.audio.features import HOP_SECONDS, Features

ALIKE = 0.30
"""Largest share of differing bits; different sounds differ in about half, and Haitsma and Kalker
take 0.35 for 3.3 s."""
OVERLAP = 0.8
"""Least share of the shorter segment that must be compared."""
LENGTHS = 0.8
"""Least ratio of two whole segments' lengths; one at the recording's edge may be a part."""
COMPARED = 2.0
"""Seconds of sound below which nothing is said to be the same."""
TRIED = 6
"""Best alignments that are compared bit by bit."""
CROWD = 64
"""Places of one fingerprint beyond which it tells nothing: held tones, hum."""
GATE = 0.1
"""Frames below this share of their segment's level have no say: the fingerprint of silence is
the noise's."""


@dataclass(frozen=True)
class Print:
    """The fingerprint of a segment."""

    bits: NDArray[np.uint32]
    heard: NDArray[np.bool_]
    """Frames loud enough to count."""
    edge: bool


def fingerprint(stream: Features, segment: Segment) -> Print:
    """The part of a stream's fingerprint that is ``segment``."""
    part = slice(segment.first, segment.last)
    levels = stream.levels[part]
    gate = GATE * float(np.sqrt(np.mean(levels.astype(np.float64) ** 2)))
    return Print(stream.prints[part], levels > gate, segment.edge)


@dataclass
class Catalogue:
    """Sounds known so far; each new one is compared with the first of each kind."""

    known: list[Print] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    _places: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def kind(self, new: Print) -> int:
        """The number of the kind of sound that ``new`` is: an earlier one, or the next."""
        votes: Counter[tuple[int, int]] = Counter()
        for place in np.flatnonzero(new.heard).tolist():
            for number, there in self._places.get(int(new.bits[place]), ()):
                votes[number, place - there] += 1
        for (number, shift), _ in sorted(votes.most_common(TRIED), key=lambda v: (-v[1], v[0])):
            if same(self.known[number], new, shift):
                return self.kinds[number]
        return self._add(new, max(self.kinds, default=-1) + 1)

    def _add(self, new: Print, kind: int) -> int:
        number = len(self.known)
        self.known.append(new)
        self.kinds.append(kind)
        for place in np.flatnonzero(new.heard).tolist():
            places = self._places[int(new.bits[place])]
            if len(places) < CROWD:
                places.append((number, place))
        return kind


def same(old: Print, new: Print, shift: int) -> bool:
    """Whether two segments are one sound, ``new`` beginning ``-shift`` frames after ``old``."""
    first, last = max(0, -shift), min(len(old.bits), len(new.bits) - shift)
    shorter = min(len(old.bits), len(new.bits))
    if last - first < OVERLAP * shorter:
        return False
    if not (old.edge or new.edge) and shorter < LENGTHS * max(len(old.bits), len(new.bits)):
        return False
    heard = old.heard[first:last] & new.heard[first + shift : last + shift]
    if heard.sum() * HOP_SECONDS < COMPARED:
        return False
    differ = old.bits[first:last][heard] ^ new.bits[first + shift : last + shift][heard]
    return float(np.bitwise_count(differ).mean()) / 32 <= ALIKE


def kinds(prints: Iterable[Print]) -> list[int]:
    """The kind of each segment: equal numbers are one sound."""
    catalogue = Catalogue()
    return [catalogue.kind(one) for one in prints]
