"""The loudspeaker: sentences become sound, are played, and what was played is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echoaudit.instruments import audio, audio_socket, voices
from echoaudit.instruments.audio import RATE, Samples, to_pcm
from echoaudit.instruments.audio_files import keep, soundfile_module
from echoaudit.instruments.audio_socket import Played
from echoaudit.study.models import SpeakerSettings

LEAD_IN = 0.6
"""Seconds of silence before a sentence: sound servers swallow up to 0.32 s at the start."""
LEAD_OUT = 0.8
"""Seconds of silence after it: the end is cut too when a stream closes."""
BLOCK = 2048
"""Frames written at once: smaller blocks drop samples when the machine is busy."""


@dataclass(frozen=True)
class Said:
    """One sentence as it was played."""

    text: str
    file: str
    """FLAC in the step's folder: exactly the samples that were played, silence included."""
    started: float
    """When playing began, seconds since 1970."""
    seconds: float
    """Length of the file."""
    gain: float
    engine: str
    voice: str
    dropped: int
    """Blocks that came too late, so that the loudspeaker fell silent in between."""
    ended: float
    """When the last word had left the loudspeaker, seconds since 1970: hear from then on."""


class Speaker:
    """Speaks through one loudspeaker. One per account; several may speak at once."""

    def __init__(self, settings: SpeakerSettings, account: str) -> None:
        self._settings = settings
        self._device = audio.device_name(settings.device, account)

    def say(self, text: str, into: Path) -> Said:
        """Speak ``text`` aloud and return when it has been heard.

        Keeps what was played as ``into/said-NN.flac``. ``BadInput`` for a text or voice that
        cannot be spoken; ``Unavailable`` when engine, network or device is missing.
        """
        sound = padded(amplified(voices.synthesise(text, self._settings), self._settings.gain))
        played = self._play(sound)
        file = keep(sound, into, "said")
        return Said(
            text=text,
            file=file,
            started=played.started,
            seconds=len(sound) / RATE,
            gain=self._settings.gain,
            engine=self._settings.engine,
            voice=voices.voice_of(self._settings),
            dropped=played.dropped,
            ended=played.ended,
        )

    def _play(self, sound: Samples) -> Played:
        if audio_socket.is_socket(self._device):
            with audio_socket.open_line(self._device) as line:
                return line.play(sound, len(sound) - round(LEAD_OUT * RATE))
        with audio.open_stream(self._device, "output", BLOCK) as stream:
            started = time.time()
            dropped, left = write(stream, sound)
            ended = time.time() + left - LEAD_OUT
            # Stopping throws away what is still buffered.
            time.sleep(left)
            stream.stop_stream()
            return Played(started, ended, dropped)


def check(settings: SpeakerSettings, account: str = "account") -> None:
    """Raise ``Unavailable`` or ``BadInput`` when ``Speaker(settings, account)`` could not speak."""
    device = audio.device_name(settings.device, account)
    if audio_socket.is_socket(device):
        audio_socket.check(device)
    else:
        audio.check(device, "output")
    soundfile_module()
    voices.check(settings)


def amplified(samples: Samples, gain: float) -> Samples:
    """``samples`` times ``gain``, clipped to 16 bit; gain 0 is digital silence."""
    return to_pcm(samples * float(gain))


def padded(samples: Samples) -> Samples:
    """``samples`` between the silences that protect their ends."""
    before, after = (np.zeros(round(seconds * RATE), np.int16) for seconds in (LEAD_IN, LEAD_OUT))
    return np.concatenate([before, samples, after])


def write(stream: Any, sound: Samples) -> tuple[int, float]:
    """Write ``sound`` in blocks.

    Returns how many blocks came too late, and the seconds that are still to be played.
    """
    late = 0
    capacity = stream.get_write_available()
    for start in range(0, len(sound), BLOCK):
        # An empty buffer after the first block: the loudspeaker ran dry before this one.
        late += start > BLOCK and stream.get_write_available() >= capacity
        stream.write(sound[start : start + BLOCK].tobytes(), exception_on_underflow=False)
    return late, (capacity - stream.get_write_available()) / RATE
