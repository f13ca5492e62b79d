"""The simulated Echo's voice."""

from __future__ import annotations

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from echoaudit.lab.echo_ear import Samples

VOICE = "rms"
"""A man's voice, at 16 kHz: nobody shall take the Echo for the speaker, whose default is a
woman's."""


def voice(text: str, name: str = VOICE) -> Samples:
    """``text`` as the Echo says it, or as another of flite's voices does."""
    with tempfile.TemporaryDirectory(prefix="echo-") as folder:
        written, sound = Path(folder) / "text", Path(folder) / "sound.wav"
        written.write_text(text, encoding="utf-8")
        command = ["flite", "-voice", name, "-f", str(written), "-o", str(sound)]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        with wave.open(str(sound), "rb") as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2")
