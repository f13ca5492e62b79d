"""How a room changes a sound on its way: distance, reverberation, noise.

A direct sound that falls with distance, and a diffuse one that does not: exponentially fading
noise whose energy equals the direct one's at the critical distance, 0.057 sqrt(V / T60) metres
(Sabine's formula in a diffuse field; Kuttruff, Room Acoustics, 5.1).
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echoaudit.study.models import Room

RATE = 16_000
VOLUME = 50.0
"""Cubic metres: a living room of 20 square metres."""
GAP = 0.005
"""Seconds from the direct sound to the first reflections."""
VOICE_LEVEL = 0.15
"""RMS of the default voice while it speaks, as a fraction of full scale."""

Samples = NDArray[np.int16]
Response = NDArray[np.float64]


@dataclass(frozen=True)
class Acoustics:
    """What a room does to a sound: an impulse response, and noise as a fraction of full scale."""

    response: Response
    noise: float

    @property
    def transparent(self) -> bool:
        """Whether sound arrives as it left."""
        return len(self.response) == 1 and self.response[0] == 1


def acoustics(room: Room) -> Acoustics:
    """The acoustics of a room as its settings describe it."""
    response = impulse_response(room.distance_m, room.reverberation_s)
    if room.snr_db is None:
        return Acoustics(response, room.noise)
    voice = VOICE_LEVEL * float(np.sqrt(np.sum(response**2)))
    return Acoustics(response, voice * 10 ** (-room.snr_db / 20))


def impulse_response(distance: float, reverberation: float) -> Response:
    """What is heard of a click so many metres away; of energy 1 at one metre.

    ``reverberation`` is T60 in seconds.
    """
    direct = np.array([1 / distance])
    if not reverberation:
        return direct
    critical = 0.057 * math.sqrt(VOLUME / reverberation)
    tail = _tail(reverberation) / critical
    # A device turns its gain down in a room that returns more of the sound.
    return np.concatenate([direct, tail]) / math.sqrt(1 + 1 / critical**2)


def _tail(reverberation: float) -> Response:
    """Diffuse reflections of energy 1."""
    times = np.arange(round(reverberation * RATE)) / RATE
    noise = np.random.default_rng(60).normal(size=len(times))
    tail = noise * np.exp(-math.log(1000) * times / reverberation)
    silence = np.zeros(round(GAP * RATE))
    return np.concatenate([silence, tail / np.sqrt(np.sum(tail**2))])


class Path:
    """The way of one stream of sound through a room; the same for the same ``name``."""

    def __init__(self, room: Acoustics, name: str) -> None:
        self._room = room
        self._random = np.random.default_rng(zlib.crc32(name.encode()))
        self._tail = np.zeros(len(room.response) - 1)

    def carry(self, frame: Samples) -> Samples:
        """The next frame as it arrives."""
        if self._room.transparent and not self._room.noise:
            return frame
        arrived = self._reflected(frame) + self._noise(len(frame))
        return np.clip(np.rint(arrived), -32768, 32767).astype(np.int16)

    def whole(self, sound: Samples) -> Samples:
        """A sound with everything that is still heard of it after its end."""
        return self.carry(np.concatenate([sound, np.zeros(len(self._tail), np.int16)]))

    def _reflected(self, frame: Samples) -> Response:
        heard = _convolved(frame.astype(np.float64), self._room.response)
        heard[: len(self._tail)] += self._tail
        self._tail = heard[len(frame) :]
        return heard[: len(frame)]

    def _noise(self, count: int) -> Response:
        return self._random.normal(0, self._room.noise * 32768, count)


def _convolved(sound: Response, response: Response) -> Response:
    if len(response) == 1:
        return sound * float(response[0])
    length = len(sound) + len(response) - 1
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[:length]
