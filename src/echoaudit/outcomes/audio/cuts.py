"""Where a stream is cut: at silences, and where its loudness changes for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from echoaudit.outcomes.audio.features import HOP_SECONDS

FLOOR = 30 / 32768
"""RMS below which there is silence (-61 dBFS), however quiet the room."""
ABOVE_ROOM = 2.0
"""Sound is at least this factor (6 dB) above the quiet room."""
SILENCE = 0.5
"""Seconds of silence that end a segment: voices pause less between their sentences."""
BESIDE = 3.0
"""Seconds on either side over which loudness is compared."""
STEP = 9.0
"""Decibels by which loudness must change to end a segment."""
SHORTEST = 1.0
"""Seconds below which a sound is no segment."""


@dataclass(frozen=True)
class Segment:
    """A piece of a stream, in frames."""

    first: int
    last: int
    """The frame after its last one."""
    edge: bool
    """Whether it begins or ends with the recording: it may be a part only."""

    @property
    def start(self) -> float:
        """Seconds of sound from the beginning of the stream."""
        return self.first * HOP_SECONDS

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.last - self.first) * HOP_SECONDS


def segments(levels: NDArray[np.float32], room: float = 0.0) -> list[Segment]:
    """The segments of a stream whose quiet room had the RMS ``room`` (fraction of full scale)."""
    loud = levels > max(FLOOR, ABOVE_ROOM * room)
    found = []
    for first, last in _runs(loud):
        ends = [first, *(first + cut for cut in _steps(levels[first:last])), last]
        for begin, end in pairwise(ends):
            edge = begin == 0 or end == len(levels)
            found.append(Segment(begin, end, edge))
    return [segment for segment in found if segment.seconds >= SHORTEST]


def _runs(loud: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Stretches of sound, with shorter silences inside."""
    sounding = np.flatnonzero(loud)
    if not len(sounding):
        return
    gaps = np.flatnonzero(np.diff(sounding) > SILENCE / HOP_SECONDS)
    firsts = sounding[np.concatenate([[0], gaps + 1])]
    lasts = sounding[np.concatenate([gaps, [len(sounding) - 1]])] + 1
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


def _steps(levels: NDArray[np.float32]) -> list[int]:
    """Frames at which the power of the seconds before and after differs most, and enough."""
    width = round(BESIDE / HOP_SECONDS)
    if len(levels) < 2 * width:
        return []
    sums = np.concatenate([[0.0], np.cumsum(levels.astype(np.float64) ** 2)])
    power = (sums[width:] - sums[:-width]) / width + FLOOR**2
    change = np.abs(10 * np.log10(power[width:] / power[:-width]))
    found = []
    while len(change) and change.max() >= STEP:
        at = int(change.argmax())
        found.append(at + width)
        change[max(0, at - width) : at + width] = 0
    return sorted(found)
