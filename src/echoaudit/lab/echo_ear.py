"""The simulated Echo's ear: sleeps until it hears its name, then records one command."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echoaudit.lab.air import RATE

Samples = NDArray[np.int16]

FRAME = RATE * 30 // 1000
FRAME_SECONDS = FRAME / RATE
PRE_ROLL = 1.3
"""Seconds kept from before the moment of waking: the wake word itself and a little more."""
PAUSE = 0.6
"""Seconds of silence that end a command: more than the pause at a comma."""
WAITING = 2.0
"""Seconds to wait for a command to begin."""
LONGEST = 12.0
WINDOW, VOICED = 6, 3
"""Somebody speaks when ``VOICED`` of the last ``WINDOW`` frames are voiced."""
FLOOR = 60.0
"""RMS in LSB below which a frame is silence, whatever the detector says."""


SETTLED = 100
"""Frames of utter silence after which more of it changes nothing in a wake-word model."""


@dataclass(frozen=True)
class Recording:
    """One command, with its wake word."""

    started: float
    """When it woke, seconds since 1970."""
    sound: Samples
    called: bool = True
    """Whether its name was said; False: it had asked and was listening."""


class WakeWord:
    """Listens for "Alexa" (microWakeWord's model); dozes while there is no sound at all."""

    def __init__(self) -> None:
        from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

        self._model: Any = MicroWakeWord.from_builtin(Model.ALEXA)
        self._features: Any = MicroWakeWordFeatures()
        self._silent = 0

    def hears(self, frame: Samples) -> bool:
        """Whether the name has just been said."""
        self._silent = 0 if frame.any() else self._silent + 1
        if self._silent > SETTLED:
            return False
        features = self._features.process_streaming(frame.tobytes())
        return any(self._model.process_streaming(feature) for feature in features)

    def forget(self) -> None:
        """Start afresh."""
        self._silent = 0
        self._model.reset()
        self._features.reset()


class Ending:
    """Tells when a command is over."""

    def __init__(self, waiting: float = WAITING) -> None:
        self._waiting = waiting
        self._vad: Any = import_module("webrtcvad").Vad(3)
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._frames = 0
        self._quiet = 0
        self.spoken = False

    def over(self, frame: Samples) -> bool:
        """Count a frame; whether it was the last."""
        loud = float(np.sqrt(np.mean(frame.astype(np.float64) ** 2))) > FLOOR
        self._recent.append(loud and self._vad.is_speech(frame.tobytes(), RATE))
        speaking = sum(self._recent) >= VOICED
        self.spoken = self.spoken or speaking
        self._frames += self.spoken
        self._quiet = 0 if speaking else self._quiet + 1
        enough = PAUSE if self.spoken else self._waiting
        return self._quiet * FRAME_SECONDS >= enough or self._frames * FRAME_SECONDS >= LONGEST


class Invitation:
    """An Echo's wish to be answered: how long it listens although nobody calls it."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=1)

    def extend(self, seconds: float) -> None:
        """Listen from now on for so many seconds; may be called from another thread."""
        self._seconds.append(seconds)

    def take(self) -> float:
        """The seconds to listen, once; 0 when nobody was invited."""
        return self._seconds.popleft() if self._seconds else 0.0


def commands(
    frames: Iterable[Samples],
    wake: WakeWord,
    woke: Callable[[], None],
    invitation: Invitation | None = None,
) -> Iterator[Recording]:
    """The commands in an endless stream of 30 ms frames.

    ``woke`` is called at once when the name is heard. A name that nothing follows is no command.
    While there is an ``invitation`` whatever is said is one.
    """
    stream = iter(frames)
    before: deque[Samples] = deque(maxlen=round(PRE_ROLL / FRAME_SECONDS))
    for frame in stream:
        before.append(frame)
        if wake.hears(frame):
            started = time.time()
            woke()
            ending = Ending()
            command = list(_until_over(stream, ending))
            if ending.spoken:
                yield Recording(started, np.concatenate([*before, *command]))
            before.clear()
            wake.forget()
        elif invitation and (seconds := invitation.take()):
            started, ending = time.time(), Ending(seconds)
            answer = list(_until_over(stream, ending))
            if ending.spoken:
                yield Recording(started, np.concatenate(answer), called=False)
            before.clear()
            wake.forget()


def _until_over(frames: Iterator[Samples], ending: Ending) -> Iterator[Samples]:
    for frame in frames:
        yield frame
        if ending.over(frame):
            return


def cut_into_frames(sound: Samples) -> Iterator[Samples]:
    """``sound`` as whole 30 ms frames; what is left over at the end is dropped."""
    whole = len(sound) // FRAME
    return islice((sound[i * FRAME : (i + 1) * FRAME] for i in range(whole)), whole)
