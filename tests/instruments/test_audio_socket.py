"""Sockets as loudspeaker and microphone: sound in lock-step, counted in samples."""

import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echoaudit.errors import Unavailable
from echoaudit.instruments import audio_socket, microphone, speaker
from echoaudit.instruments.audio import RATE
from echoaudit.instruments.audio_ends import FRAME, FRAME_SECONDS
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.study.models import MicrophoneSettings, SpeakerSettings

DELAY = 3 * RATE
"""Samples after which the far end gives back what it heard: after the sentence has ended."""


class Canyon:
    """A far end that gives back what it heard, later; it may hang up after some frames."""

    def __init__(self, path: Path, frames: int | None = None) -> None:
        self.heard: list[np.ndarray] = []
        self._frames = frames
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            while len(self.heard) != self._frames:
                block = audio_socket.receive(connection)
                if block is None:
                    return
                self.heard.append(block)
                late = len(self.heard) - 1 - DELAY // FRAME
                connection.sendall((self.heard[late] if late >= 0 else 0 * block).tobytes())


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "sound"


@contextmanager
def conversation(path, **settings):
    mouth = Speaker(SpeakerSettings(device=f"unix:{path}"), "one")
    ears = Microphone(MicrophoneSettings(device=f"unix:{path}", **settings), "one")
    with ears.open() as ear:
        yield mouth, ear


def test_what_is_said_passes_whole_and_what_comes_back_is_heard_faster_than_it_lasts(
    path, tmp_path
):
    canyon = Canyon(path)
    began = time.time()
    with conversation(path, silence=0.9) as (mouth, ear):
        said = mouth.say("Alexa, open style check", tmp_path)
        heard = ear.listen(tmp_path, said.ended)
    over = time.time()
    kept, _ = soundfile.read(tmp_path / said.file, dtype="int16")
    reply, _ = soundfile.read(tmp_path / heard.file, dtype="int16")
    assert np.array_equal(np.concatenate(canyon.heard)[: len(kept)], kept)
    assert np.array_equal(np.trim_zeros(reply), np.trim_zeros(kept))
    assert said.seconds == len(kept) / RATE
    assert heard.seconds == len(reply) / RATE
    assert began <= said.started < said.ended <= heard.started < over
    assert (said.dropped, heard.overflows, heard.cut) == (0, 0, False)
    assert "style check" in heard.text.lower()


def test_the_same_conversation_gives_the_same_sound(path, tmp_path):
    files = []
    for number in range(2):
        here = path.with_name(str(number))
        Canyon(here)
        with conversation(here, silence=0.9) as (mouth, ear):
            said = mouth.say("Alexa, stop", tmp_path)
            files.append(ear.listen(tmp_path, said.ended).file)
    first, second = ((tmp_path / file).read_bytes() for file in files)
    assert first == second


@pytest.mark.parametrize(("silence", "patience"), [(7.0, 5.0), (0.9, 7.0)])
def test_waits_are_counted_in_samples(path, tmp_path, silence, patience):
    canyon = Canyon(path)
    began = time.monotonic()
    with conversation(path, silence=silence, patience=patience) as (_, ear):
        ear.rest(60)
        heard = ear.listen(tmp_path)
    assert time.monotonic() - began < 60, "less than it lasts"
    assert (heard.seconds, heard.speech_seconds) == (pytest.approx(7, abs=0.1), 0)
    assert len(canyon.heard) * FRAME_SECONDS == pytest.approx(67, abs=0.1)


def test_a_speaker_alone_is_heard_too(path, tmp_path):
    canyon = Canyon(path)
    said = Speaker(SpeakerSettings(device=f"unix:{path}"), "one").say("hello", tmp_path)
    assert len(canyon.heard) * FRAME == pytest.approx(said.seconds * RATE, abs=FRAME)


def test_a_far_end_that_hangs_up_is_one_line(path, tmp_path):
    Canyon(path, frames=50)
    with (
        conversation(path) as (_, ear),
        pytest.raises(Unavailable, match=r"'unix:.*' stopped \(the other end hung up\)"),
    ):
        ear.listen(tmp_path)
    assert not list(tmp_path.glob("*.flac"))


def test_a_far_end_that_thinks_too_long_is_one_line(path, tmp_path, monkeypatch):
    monkeypatch.setattr(audio_socket, "ANSWER_PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with conversation(path) as (_, ear), pytest.raises(Unavailable, match="timed out"):
            ear.listen(tmp_path)


def test_an_absent_far_end_is_one_line(path, tmp_path, monkeypatch):
    monkeypatch.setattr(audio_socket, "START_PATIENCE", 0.1)
    device = f"unix:{path}"
    with pytest.raises(Unavailable, match="nobody listens at the sound device 'unix:"):
        Speaker(SpeakerSettings(device=device), "one").say("hello", tmp_path)
    for check, settings in (
        (speaker.check, SpeakerSettings(device=device)),
        (microphone.check, MicrophoneSettings(device=device)),
    ):
        with pytest.raises(Unavailable, match="nobody listens"):
            check(settings, "one")
