"""What the simulated Echo plays: items of a streaming service, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from echoaudit.lab.air import RATE
from echoaudit.lab.echo_ear import Samples
from echoaudit.lab.echo_mouth import voice
from echoaudit.lab.programme import Item

MUSIC_LEVEL = 0.12
"""RMS of music as a fraction of full scale; voices have about 0.15."""
BED_LEVEL = 0.015
"""RMS of music under a voice: 20 dB below it."""
FADE = 0.5
CHORDS = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16), (2, 5, 9), (4, 7, 11))
"""In semitones above the key."""


@dataclass(frozen=True)
class Played:
    """An item that was played, or its beginning."""

    item: Item
    at: float
    """Seconds of sound since the stream began."""
    seconds: float
    whole: bool


Ask = Callable[[str, int, Played | None], Item | None]
"""Reports what was played last and asks for the next item of a service; None: no more."""


class Player:
    """One stream from its command to its end; its methods raise what ``ask`` raises."""

    def __init__(self, service: str, lead: float, ask: Ask) -> None:
        """``lead`` are seconds of sound before the first item."""
        self._service = service
        self._at = lead
        self._ask = ask
        self._number = 0
        self._playing: tuple[Item, float] | None = None
        self._played: Played | None = None

    def next(self) -> Samples | None:
        """The sound of the next item; the one before has been played."""
        self.interrupt(0.0)
        item = self._ask(self._service, self._number, self._played)
        self._played = None
        if item is None:
            return None
        sound = sound_of(item)
        self._number += 1
        self._playing = (item, len(sound) / RATE)
        return sound

    def interrupt(self, unplayed: float) -> None:
        """So many seconds of the present item will never be heard."""
        if self._playing is None:
            return
        item, seconds = self._playing
        self._played = Played(item, self._at, seconds - unplayed, unplayed <= item.gap)
        self._at += seconds - unplayed
        self._playing = None

    def end(self) -> None:
        """Report what was played last; nothing more is wanted."""
        self._ask(self._service, -1, self._played)


@lru_cache(maxsize=256)
def sound_of(item: Item) -> Samples:
    """What an item sounds like, with the silence after it; each is made once."""
    gap = np.zeros(round(item.gap * RATE), np.int16)
    if item.text is None:
        return np.concatenate([_pcm(music(item.music or 0, item.seconds) * MUSIC_LEVEL), gap])
    said = voice(item.text, item.voice).astype(np.float64) / 32768
    if item.music is not None:
        said = said + music(item.music, len(said) / RATE)[: len(said)] * BED_LEVEL
    return np.concatenate([_pcm(said), gap])


def music(seed: int, seconds: float) -> Any:
    """Something like music, of RMS 1: a melody over chords with a beat, decided by ``seed``."""
    random = np.random.default_rng(seed)
    beat = 60 / random.uniform(80, 140)
    key = 110 * 2 ** (random.integers(12) / 12)
    length = round(seconds * RATE)
    sound = np.zeros(length + RATE * 3)
    for number in range(int(seconds / beat)):
        start = round(number * beat * RATE)
        if number % 4 == 0:
            chord = CHORDS[random.integers(len(CHORDS))]
            for step in chord:
                _add(sound, start, _note(key * 2 ** (step / 12), 4 * beat, 3) * 0.6)
        step = chord[random.integers(3)] + 12 * int(random.integers(1, 3))
        _add(sound, start, _note(key * 2 ** (step / 12), beat, 5))
        _add(sound, start, random.normal(0, 0.5, 800) * np.exp(-np.arange(800) / 120))
    return _faded(sound[:length])


def _note(frequency: float, seconds: float, harmonics: int) -> Any:
    time = np.arange(round(seconds * RATE)) / RATE
    partials = [
        np.sin(2 * np.pi * frequency * n * time) / n
        for n in range(1, harmonics + 1)
        if frequency * n < RATE / 2
    ]
    return np.sum(partials, axis=0) * np.exp(-2 * time / seconds)


def _add(sound: Any, start: int, part: Any) -> None:
    sound[start : start + len(part)] += part[: len(sound) - start]


def _faded(sound: Any) -> Any:
    ramp = np.linspace(0, 1, min(round(FADE * RATE), len(sound) // 2))
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return sound / (np.sqrt(np.mean(sound**2)) or 1.0)


def _pcm(sound: Any) -> Samples:
    pcm: Samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    return pcm
