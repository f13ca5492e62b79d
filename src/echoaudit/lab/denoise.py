"""Steady noise taken out of a recording, so that recognisers hear the voice.

A Wiener filter whose estimate of the voice follows the last frame's (decision-directed; Ephraim and
Malah, 1984). The noise of each frequency is its level in the recording's quietest moments.

Its spectra are SciPy's (``scipy.signal.stft``), made with NumPy alone: every Echo is a process of
its own, and to import SciPy took half of the time in which one starts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

RATE = 16_000
WINDOW, HOP = 512, 128
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
Sound = NDArray[np.float64]
Spectrum = NDArray[np.complex128]
"""Of each frequency, frame by frame."""

HANN: Sound = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def denoised(sound: Samples) -> Samples:
    """``sound`` (16 kHz) with its steady noise reduced; the same length."""
    spectrum = spectra(sound.astype(np.float64))
    clean = sound_of(spectrum * _gains(np.abs(spectrum) ** 2))
    pcm: Samples = np.clip(np.rint(clean[: len(sound)]), -32768, 32767).astype(np.int16)
    return pcm


def spectra(sound: Sound) -> Spectrum:
    """The spectrum of each ``HOP`` of a sound, as ``scipy.signal.stft`` makes it."""
    edge = WINDOW // 2
    lacking = -len(sound) % HOP
    padded = np.pad(sound, (edge, edge + lacking))
    frames = sliding_window_view(padded, WINDOW)[::HOP] * HANN
    spectrum: Spectrum = np.fft.rfft(frames, axis=1).T / HANN.sum()
    return spectrum


def sound_of(spectrum: Spectrum) -> Sound:
    """The sound that has these spectra, with the silence that filled its last frame."""
    frames = np.fft.irfft(spectrum.T * HANN.sum(), WINDOW, axis=1) * HANN
    count, parts = len(frames), WINDOW // HOP
    sums, weights = np.zeros((2, count + parts - 1, HOP))
    for part in range(parts):
        at = slice(part * HOP, (part + 1) * HOP)
        sums[part : part + count] += frames[:, at]
        weights[part : part + count] += HANN[at] ** 2
    inner = slice(WINDOW // 2, -(WINDOW // 2))
    sound: Sound = sums.ravel()[inner] / weights.ravel()[inner]
    return sound


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
