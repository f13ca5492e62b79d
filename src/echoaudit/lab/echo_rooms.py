"""Where a simulated Echo hears and speaks: a room of the sound server, or a socket's."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from echoaudit.lab import acoustics, air
from echoaudit.lab.acoustics import Acoustics
from echoaudit.lab.air import PCM, RATE
from echoaudit.lab.echo_ear import FRAME, Samples
from echoaudit.lab.echo_mouth import voice

LATENCY_MS = 60
RESTART_PAUSE = 0.5


Source = Callable[[], Samples | None]
"""The next sound to play; None: no more."""


class Room(Protocol):
    """An Echo's ear and mouth."""

    waits: bool
    """Whether sound stands still until the Echo has thought."""

    def frames(self) -> Iterator[Samples]:
        """What the ear hears, in frames of 30 ms, for ever."""

    def speak(self, text: str) -> float:
        """Say ``text``, or begin to; the seconds that are still to be heard."""

    def play(self, source: Source) -> None:
        """Begin to play what ``source`` gives, sound after sound, until it is hushed."""

    def hush(self) -> float:
        """Stop speaking and playing; returns the seconds of the present sound left unplayed."""


class ServerRoom:
    """A room of a sound server of the lab, whose socket is ``server``.

    Its noise at the microphone is the server's.
    """

    waits = False

    def __init__(
        self, account: str, room: Acoustics, log: Callable[[str], None], server: Path
    ) -> None:
        self._server = f"--server=unix:{server}"
        self._source, self._sink = air.ear(account), air.mouth(account)
        self._way_in = acoustics.Path(room, f"{account} ear")
        self._way_out = acoustics.Path(Acoustics(room.response, 0.0), f"{account} mouth")
        self._log = log
        self._lock = threading.Lock()
        self._player: subprocess.Popen[bytes] | None = None
        self._hushed = threading.Event()
        self._until = 0.0
        self._stream = 0

    def frames(self) -> Iterator[Samples]:
        """A recorder that ends is started again."""
        latency, device = f"--latency-msec={LATENCY_MS}", f"--device={self._source}"
        command = ["parec", *PCM.split(), self._server, latency, device]
        while True:
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as recorder:
                try:
                    yield from map(self._way_in.carry, _frames(recorder))
                finally:
                    recorder.kill()
            self._log("the ear stopped; listening again")
            time.sleep(RESTART_PAUSE)

    def speak(self, text: str) -> float:
        """Return when it is said or hushed."""
        self._hushed.clear()
        with tempfile.TemporaryDirectory(prefix="echo-") as folder:
            self._sound(voice(text), Path(folder))
        return 0.0

    def play(self, source: Source) -> None:
        """In a thread of its own."""
        self._hushed.clear()
        self._stream += 1
        threading.Thread(target=self._play, args=(source, self._stream), daemon=True).start()

    def _play(self, source: Source, stream: int) -> None:
        with tempfile.TemporaryDirectory(prefix="echo-") as folder:
            while stream == self._stream and (sound := source()) is not None:
                self._sound(sound, Path(folder))

    def _sound(self, sound: Samples, folder: Path) -> None:
        path, whole = folder / "sound.wav", self._way_out.whole(sound)
        _write(whole, path)
        if self._begin(path, len(whole) / RATE):
            self._finish()

    def hush(self) -> float:
        """End the player."""
        with self._lock:
            self._hushed.set()
            self._stream += 1
            if not self._player:
                return 0.0
            self._player.terminate()
            return max(0.0, self._until - time.monotonic())

    def _begin(self, sound: Path, seconds: float) -> bool:
        with self._lock:
            if self._hushed.is_set():
                return False
            self._until = time.monotonic() + seconds
            self._player = subprocess.Popen(
                ["paplay", self._server, f"--device={self._sink}", str(sound)],
                stderr=subprocess.DEVNULL,
            )
            return True

    def _finish(self) -> None:
        assert self._player is not None
        self._player.wait()
        with self._lock:
            self._player = None


def _frames(recorder: subprocess.Popen[bytes]) -> Iterator[Samples]:
    assert recorder.stdout is not None
    while len(data := recorder.stdout.read(2 * FRAME)) == 2 * FRAME:
        yield np.frombuffer(data, dtype="<i2")


def _write(sound: Samples, path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.astype("<i2").tobytes())


class SocketRoom:
    """The far end of a socket: each frame that comes is answered with one, once it is thought over.

    See ``docs/voice.md``, "Sockets as sound devices".
    """

    waits = True

    def __init__(self, path: Path, room: Acoustics) -> None:
        self._path = path
        self._way_in = acoustics.Path(room, f"{path.name} ear")
        self._way_out = acoustics.Path(room, f"{path.name} mouth")
        self._saying = np.zeros(0, np.int16)
        self._source: Source | None = None

    def frames(self) -> Iterator[Samples]:
        """One caller after the other; between two, sound stands still."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(str(self._path))
            server.listen()
            while True:
                connection, _ = server.accept()
                with connection:
                    yield from self._call(connection)

    def _call(self, connection: socket.socket) -> Iterator[Samples]:
        try:
            while len(data := connection.recv(2 * FRAME, socket.MSG_WAITALL)) == 2 * FRAME:
                yield self._way_in.carry(np.frombuffer(data, dtype="<i2"))
                connection.sendall(self._spoken().astype("<i2").tobytes())
        except ConnectionError:
            return  # the caller was killed

    def _spoken(self) -> Samples:
        if len(self._saying) < FRAME and self._source:
            sound = self._source()
            self._source = self._source if sound is not None else None
            self._saying = np.concatenate([self._saying, *([] if sound is None else [sound])])
        frame, self._saying = self._saying[:FRAME], self._saying[FRAME:]
        silence = np.zeros(FRAME - len(frame), np.int16)
        return self._way_out.carry(np.concatenate([frame, silence]))

    def speak(self, text: str) -> float:
        """Begin: it is heard as sound passes."""
        self._saying = voice(text)
        return len(self._saying) / RATE

    def play(self, source: Source) -> None:
        """Begin when nothing is left to say."""
        self._source = source

    def hush(self) -> float:
        """Forget the rest."""
        left, self._source = len(self._saying) / RATE, None
        self._saying = self._saying[:0]
        return left
