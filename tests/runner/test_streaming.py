"""A stream is asked for, recorded in bounded files, stopped and written down; memory stays flat."""

import json
import socket
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echoaudit.errors import Unavailable
from echoaudit.instruments import audio_socket
from echoaudit.instruments.audio import RATE
from echoaudit.instruments.audio_ends import FRAME, rms
from echoaudit.instruments.audio_stream import speech
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.instruments.voices import synthesise
from echoaudit.runner.streaming import listen, write_down
from echoaudit.study.models import Config, SpeakerSettings, Stream
from echoaudit.study.plan import Account, Step

CONFIG = {"config": "test", "streaming": {"part": 1.0, "file": 0.1, "silence": 3.0}}


class Radio:
    """A far end that plays after each odd sentence that it hears and is silent after each even
    one; it may be deaf to the first ones, and hang up."""

    def __init__(self, path: Path, deaf: int = 0, frames: int | None = None, program=None):
        self.sentences = -deaf
        self._frames = frames
        self._program = program if program is not None else np.full(FRAME, 3000, np.int16)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        connection, _ = self._server.accept()
        quiet, speaking, at, passed = 0, False, 0, 0
        with connection:
            while passed != self._frames:
                block = audio_socket.receive(connection)
                if block is None:
                    return
                passed += 1
                quiet = 0 if rms(block) > 60 else quiet + 1
                if not quiet:
                    speaking = True
                elif speaking and quiet > 20:
                    speaking = False
                    self.sentences += 1
                plays = self.sentences > 0 and self.sentences % 2 == 1
                part = self._program[at : at + FRAME] if plays else block * 0
                at = (at + FRAME) % len(self._program) if plays else at
                connection.sendall(np.resize(part, FRAME).astype("<i2").tobytes())


def step(seconds: float) -> Step:
    stream = Stream(service="pandora", hours=1.0)
    account = Account("fashion", 1)
    return Step("fashion-1/streams/01-pandora", "stream", account, stream=stream, seconds=seconds)


@pytest.fixture
def room():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        device = {"device": f"unix:{path}"}
        config = Config.model_validate({**CONFIG, "speaker": device, "microphone": device})
        yield path, config, Speaker(config.speaker, "one"), Microphone(config.microphone, "one")


def test_a_stream_is_recorded_in_files_of_bounded_length(room, tmp_path):
    path, config, speaker, microphone = room
    Radio(path)
    done = listen(step(20), speaker, microphone, config, tmp_path, lambda: True)
    assert [file.file for file in done.files] == [f"stream-0{n}.flac" for n in (1, 2, 3, 4)]
    assert [round(file.seconds, 1) for file in done.files] == [6, 6, 6, 2]
    assert [soundfile.info(tmp_path / f.file).frames / RATE for f in done.files] == [
        pytest.approx(f.seconds) for f in done.files
    ]
    assert [(t["purpose"], t["delivered"]) for t in done.turns] == [("play", True), ("stop", True)]
    assert not list(tmp_path.glob(".*"))
    record = done.to_json("pandora", 20)
    assert (record["planned"], round(record["seconds"])) == (20, 20)


def test_a_sentence_that_was_not_heard_is_said_again(room, tmp_path):
    path, config, speaker, microphone = room
    Radio(path, deaf=1)
    done = listen(step(12), speaker, microphone, config, tmp_path, lambda: True)
    plays = [(t["attempt"], t["delivered"]) for t in done.turns if t["purpose"] == "play"]
    assert plays == [(1, False), (2, True)]
    assert [f.sounding > 0 for f in done.files] == [False, True, True]


def test_it_ends_when_it_is_no_longer_wanted(room, tmp_path):
    path, config, speaker, microphone = room
    Radio(path)
    frames = iter(range(10**9))
    done = listen(step(600), speaker, microphone, config, tmp_path, lambda: next(frames) < 100)
    assert round(done.seconds, 1) == 3.0
    assert done.turns[-1]["purpose"] == "stop"
    assert done.cut


def test_a_part_that_lasted_as_planned_is_whole_though_the_run_stops_then(room, tmp_path):
    path, config, speaker, microphone = room
    Radio(path)
    frames = iter(range(10**9))
    last = round(3 / 0.03) - 1
    done = listen(step(3), speaker, microphone, config, tmp_path, lambda: next(frames) < last)
    assert (round(done.seconds, 1), done.cut) == (3.0, False), "stopped with its last frame"


def test_what_was_heard_before_the_device_broke_is_kept(room, tmp_path):
    path, config, speaker, microphone = room
    Radio(path, frames=500)
    with pytest.raises(Unavailable, match="stopped"):
        listen(step(60), speaker, microphone, config, tmp_path, lambda: True)
    kept = sorted(file.name for file in tmp_path.glob("stream-*.flac"))
    assert kept == ["stream-01.flac", "stream-02.flac"]
    assert all(soundfile.info(tmp_path / name).frames for name in kept)


def test_what_is_said_is_written_down_with_its_place(room, tmp_path):
    path, config, speaker, microphone = room
    said = synthesise("Visit geico dot com today for a free quote", SpeakerSettings())
    silence = np.zeros(2 * RATE, np.int16)
    Radio(path, program=np.concatenate([silence, said, silence]))
    done = listen(step(6), speaker, microphone, config, tmp_path, lambda: True)
    write_down(done, config, tmp_path)
    (passage,) = json.loads((tmp_path / "stream-01.json").read_text())["passages"]
    assert "free quote" in passage["text"].lower()
    assert abs(passage["start"] - 2.0) < 0.8
    assert abs(passage["end"] - passage["start"] - len(said) / RATE) < 0.8


def test_long_runs_of_speech_end_at_a_quiet_moment(tmp_path):
    loud = np.random.default_rng(1).normal(0, 3000, 50 * RATE)
    voice = loud * (1 + np.sin(2 * np.pi * 4 * np.arange(len(loud)) / RATE)) / 2
    voice[17 * RATE : round(17.1 * RATE)] = 0
    soundfile.write(tmp_path / "a.flac", voice.astype(np.int16), RATE)
    runs = [(start, len(sound) / RATE) for start, sound in speech(tmp_path / "a.flac")]
    assert all(seconds <= 20.1 for _, seconds in runs)
    assert any(abs(start - 17) < 0.15 for start, _ in runs)
