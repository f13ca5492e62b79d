"""Steady noise taken out of a recording, so that recognisers hear the voice.

A Wiener filter whose estimate of the voice follows the last frame's (decision-directed; Ephraim and
Malah, 1984). The noise of each frequency is its level in the recording's quietest moments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import istft, stft

RATE = 16_000
WINDOW, OVERLAP = 512, 384
QUIET = 0.15
"""Share of a recording that is taken for noise alone: its beginning, pauses and end."""
SMOOTHING = 0.92
"""Weight of the last frame in the estimate of the voice."""
LEAST = 0.25
"""Amplitude that is left of noise: less would leave tones that sound like speech."""
BINS = 9
"""Neighbouring frequencies over which the noise is averaged."""
SILENCE = 1e-4
"""Power below which there is no noise to take out."""

Samples = NDArray[np.int16]
Power = NDArray[np.float64]


def denoised(sound: Samples) -> Samples:
    """``sound`` (16 kHz) with its steady noise reduced; the same length."""
    _, _, spectrum = stft(sound.astype(np.float64), RATE, nperseg=WINDOW, noverlap=OVERLAP)
    gains = _gains(np.abs(spectrum) ** 2)
    _, clean = istft(spectrum * gains, RATE, nperseg=WINDOW, noverlap=OVERLAP)
    pcm: Samples = np.clip(np.rint(clean[: len(sound)]), -32768, 32767).astype(np.int16)
    return pcm


def _gains(power: Power) -> Power:
    """The filter: a gain for each frequency and frame."""
    noise = _noise(power)
    gains = np.ones_like(power)
    before = np.zeros(len(power))
    for frame in range(power.shape[1]):
        ratio = power[:, frame] / noise
        voice = SMOOTHING * before + (1 - SMOOTHING) * np.maximum(ratio - 1, 0)
        gains[:, frame] = np.maximum(voice / (1 + voice), LEAST)
        before = gains[:, frame] ** 2 * ratio
    return gains


def _noise(power: Power) -> Power:
    # Power of noise is distributed exponentially: from a quantile follows the mean.
    mean = np.quantile(power, QUIET, axis=1) / -math.log(1 - QUIET)
    smooth: Power = np.convolve(mean, np.ones(BINS) / BINS, mode="same")
    return np.maximum(smooth, SILENCE)
