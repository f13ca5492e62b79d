"""A recorded stream in numbers: how loud it is, and a fingerprint of 32 bits every 32 ms.

Fingerprints are Haitsma and Kalker's ("A highly robust audio fingerprinting system", ISMIR 2002):
each bit says whether the energy difference of two neighbouring bands grew or fell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoaudit.errors import BadInput

RATE = 16_000
HOP = 512
"""Samples from one frame to the next."""
HOP_SECONDS = HOP / RATE
WINDOW = 4096
"""Samples that a fingerprint covers (0.26 s)."""
BANDS = 33
LOWEST, HIGHEST = 300.0, 3400.0
"""Hertz: where loudspeakers, rooms and voices have most in common."""
BLOCK = 1024
"""Frames computed at once: 33 s, so that memory stays flat."""


@dataclass(frozen=True)
class Features:
    """A stream, frame by frame."""

    levels: NDArray[np.float32]
    """RMS as a fraction of full scale."""
    prints: NDArray[np.uint32]

    @property
    def seconds(self) -> float:
        """Length in seconds of sound."""
        return len(self.levels) * HOP_SECONDS


def features(files: Sequence[Path]) -> Features:
    """The features of files that follow each other without a gap.

    Raises:
        BadInput: a file is not FLAC, mono, 16 kHz.
    """
    levels, prints = [], []
    before = np.zeros(BANDS, np.float32)
    for chunk in _chunks(files):
        frames = np.lib.stride_tricks.sliding_window_view(chunk, WINDOW)[::HOP]
        heads = frames[:, :HOP]
        levels.append(np.sqrt(np.mean(heads.astype(np.float64) ** 2, axis=1)).astype(np.float32))
        energies = _energies(frames)
        prints.append(_bits(np.vstack([before, energies])))
        before = energies[-1]
    return Features(
        np.concatenate([np.zeros(0, np.float32), *levels]),
        np.concatenate([np.zeros(0, np.uint32), *prints]),
    )


def _chunks(files: Sequence[Path]) -> Iterator[NDArray[np.float32]]:
    """The sound of all files in pieces that overlap by what a window needs."""
    rest = np.zeros(0, np.float32)
    for path in files:
        for block in _blocks(path):
            rest = np.concatenate([rest, block])
            count = (len(rest) - WINDOW) // HOP + 1
            if count >= BLOCK:
                yield rest[: (count - 1) * HOP + WINDOW]
                rest = rest[count * HOP :]
    if len(rest) >= HOP:
        frames = len(rest) // HOP
        yield np.concatenate([rest, np.zeros(WINDOW, np.float32)])[: (frames - 1) * HOP + WINDOW]


def _blocks(path: Path) -> Iterator[NDArray[np.float32]]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if (file.samplerate, file.channels) != (RATE, 1):
                found = f"{file.samplerate} Hz with {file.channels} channels"
                raise BadInput(f"{found}; allowed: 16000 Hz, mono", file=path)
            yield from file.blocks(blocksize=BLOCK * HOP, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise BadInput(f"no readable sound ({error.error_string})", file=path) from error


def _energies(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.fft import rfft

    spectrum: Any = rfft(frames * _HANN, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.add.reduceat(power[:, : _EDGES[-1]], _EDGES[:-1], axis=1).astype(np.float32)


def _bits(energies: NDArray[np.float32]) -> NDArray[np.uint32]:
    slopes = energies[:, :-1] - energies[:, 1:]
    bits = (slopes[1:] > slopes[:-1]).astype(np.uint32)
    weights = np.left_shift(np.uint32(1), np.arange(BANDS - 1, dtype=np.uint32))
    packed: NDArray[np.uint32] = (bits * weights).sum(axis=1, dtype=np.uint32)
    return packed


_HANN = np.hanning(WINDOW).astype(np.float32)
_EDGES = np.round(np.geomspace(LOWEST, HIGHEST, BANDS + 1) / (RATE / WINDOW)).astype(np.intp)
