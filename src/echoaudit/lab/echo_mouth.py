"""The simulated Echo's mouth: speaks replies aloud, and stops when its name is called."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path

VOICE = "rms"
"""A man's voice: nobody shall take the Echo for the speaker, whose default is a woman's."""


class Mouth:
    """Speaks into one PulseAudio sink."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._player: subprocess.Popen[bytes] | None = None
        self._hushed = threading.Event()

    def speak(self, text: str) -> None:
        """Say ``text`` and return when it is said or hushed."""
        self._hushed.clear()
        with tempfile.TemporaryDirectory(prefix="echo-") as folder:
            sound = _synthesise(text, Path(folder))
            if self._begin(sound):
                self._finish()

    def hush(self) -> None:
        """Stop speaking."""
        with self._lock:
            self._hushed.set()
            if self._player:
                self._player.terminate()

    def _begin(self, sound: Path) -> bool:
        with self._lock:
            if self._hushed.is_set():
                return False
            self._player = subprocess.Popen(
                ["paplay", f"--device={self._sink}", str(sound)], stderr=subprocess.DEVNULL
            )
            return True

    def _finish(self) -> None:
        assert self._player is not None
        self._player.wait()
        with self._lock:
            self._player = None


def _synthesise(text: str, folder: Path) -> Path:
    written, sound = folder / "text", folder / "sound.wav"
    written.write_text(text, encoding="utf-8")
    command = ["flite", "-voice", VOICE, "-f", str(written), "-o", str(sound)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return sound
