"""Where speech begins and ends in a stream of sound: pure decisions, frame by frame."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from importlib import import_module
from typing import Any

import numpy as np

from echoaudit.errors import Unavailable
from echoaudit.instruments.audio import RATE, Samples

FRAME = RATE * 30 // 1000
"""Samples in one 30 ms frame."""
FRAME_SECONDS = FRAME / RATE

MODE = 2
"""WebRTC's second strictest: mode 3 loses two thirds of a voice 10 dB above noise."""
FLOOR = 30.0
"""RMS in LSB below which nothing is speech (-61 dBFS): digital silence, dither, a quiet room."""
ABOVE_NOISE = 1.5
"""Speech is at least this factor (3.5 dB) above the noise: WebRTC's detector alone calls loud,
steady noise speech."""
NOISE_FRAMES = round(10 / FRAME_SECONDS)
"""Frames from which the noise level is estimated: ten seconds hold pauses even in fluent speech."""
NOISE_QUANTILE = 0.1
WINDOW, VOICED = 6, 3
"""Speech is ``VOICED`` voiced frames within the last ``WINDOW`` (0.18 s): clicks are not."""


class SpeechDetector:
    """Tells frames with speech from silence and noise."""

    def __init__(self) -> None:
        self._vad = _vad()
        self._levels = RecentLevels()
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    def hears_speech(self, frame: Samples) -> bool:
        """Whether speech is going on in the 0.18 s that end with this 30 ms frame."""
        level = rms(frame)
        self._levels.add(level)
        self._recent.append(
            level > self._threshold() and self._vad.is_speech(frame.tobytes(), RATE)
        )
        return sum(self._recent) >= VOICED

    def _threshold(self) -> float:
        noise = self._levels.quantile(NOISE_QUANTILE)
        # A quiet frame of speech heard first is no noise: wait for a second of evidence.
        known = len(self._levels) > 1 / FRAME_SECONDS
        return max(FLOOR, ABOVE_NOISE * noise) if known else FLOOR


class RecentLevels:
    """The last ``NOISE_FRAMES`` levels, kept in order: NumPy would sort them for each frame."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, level: float) -> None:
        """Count a level, and forget the oldest when there are too many."""
        if len(self._recent) == NOISE_FRAMES:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(level)
        insort(self._sorted, level)

    def quantile(self, share: float) -> float:
        """As ``numpy.quantile`` gives it: linear between two levels. There must be a level."""
        place = share * (len(self._sorted) - 1)
        below = int(place)
        low, high = self._sorted[below], self._sorted[min(below + 1, len(self._sorted) - 1)]
        return low + (high - low) * (place - below)


class Ending:
    """Decides when a reply has ended. All times in seconds."""

    def __init__(self, silence: float, patience: float, limit: float) -> None:
        self._silence, self._patience, self._limit = silence, patience, limit
        self.elapsed = 0.0
        self.speech = 0.0
        self._quiet = 0.0

    def over(self, speaking: bool) -> bool:
        """Count one frame; whether it was the last.

        A reply ends after ``silence`` without speech, or after ``patience`` when there was none
        at all; at the latest after ``limit``.
        """
        self.elapsed += FRAME_SECONDS
        self.speech += FRAME_SECONDS if speaking else 0.0
        self._quiet = 0.0 if speaking else self._quiet + FRAME_SECONDS
        return self._quiet >= (self._silence if self.speech else self._patience) or self.cut

    @property
    def cut(self) -> bool:
        """Whether the limit ended it."""
        return self.elapsed >= self._limit


class BlockClock:
    """Tells when blocks of samples began, and how many were lost, from when they arrived.

    Blocks arrive in bursts and late, never early: over a few seconds the earliest arrival, less
    the sound before it, says when block 0 began. When that moment moves on, samples are missing.
    """

    WINDOW = 24

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._origins: deque[float] = deque(maxlen=self.WINDOW)
        self._first: float | None = None
        self.blocks = 0

    def count(self, arrived: float) -> float:
        """Count one block that arrived just now; returns the time of its first sample."""
        self.blocks += 1
        self._origins.append(arrived - self.blocks * self._seconds)
        origin = min(self._origins)
        if self._first is None and len(self._origins) == self.WINDOW:
            self._first = origin
        return origin + (self.blocks - 1) * self._seconds

    @property
    def lost(self) -> int:
        """Blocks' worth of samples that never came."""
        if self._first is None:
            return 0
        return max(0, int((min(self._origins) - self._first) / self._seconds))


def rms(samples: Samples) -> float:
    """Root mean square in LSB; 0 for no samples."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0


def _vad() -> Any:
    try:
        webrtcvad = import_module("webrtcvad")
    except ImportError as missing:
        raise Unavailable(
            f"hearing needs webrtcvad ({missing})", fix="pip install 'echoaudit[voice]'"
        ) from missing
    return webrtcvad.Vad(MODE)
