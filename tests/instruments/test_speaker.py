"""Sentences become sound, and exactly that sound is played and kept."""

import socket
import subprocess

import numpy as np
import pytest
import soundfile

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments import audio, audio_files, speaker, voices
from echoaudit.instruments.audio import RATE, Device
from echoaudit.instruments.speaker import Speaker
from echoaudit.lab.air import PCM, Air
from echoaudit.study.models import SpeakerSettings

SENTENCE = "Alexa, open style check"


def test_flite_speaks_at_16_khz_and_speed_shortens():
    normal = voices.synthesise(SENTENCE, SpeakerSettings())
    fast = voices.synthesise(SENTENCE, SpeakerSettings(speed=1.5))
    assert normal.dtype == np.int16
    assert 1.5 * RATE < len(normal) < 3.5 * RATE
    assert 0.55 < len(fast) / len(normal) < 0.8


def test_espeak_is_resampled_to_16_khz():
    sound = voices.synthesise(SENTENCE, SpeakerSettings(engine="espeak-ng"))
    assert 1.2 * RATE < len(sound) < 3.5 * RATE
    assert np.abs(sound).max() > 3000


def test_text_is_never_an_option_nor_a_control_sequence():
    assert len(voices.synthesise("-lv open it", SpeakerSettings())) > RATE / 2
    assert voices.sayable("Alexa open  it") == "Alexa, open it"
    assert voices.sayable("Alexa,\n stop\x1b[2J") == "Alexa, stop [2J"


@pytest.mark.parametrize("text", ["", "…", " - \n"])
def test_nothing_to_say_is_bad_input(text):
    with pytest.raises(BadInput, match="nothing to say"):
        voices.synthesise(text, SpeakerSettings())


@pytest.mark.parametrize("engine", ["flite", "espeak-ng"])
def test_unknown_voice_names_what_is_allowed(engine):
    with pytest.raises(BadInput, match=r"'nobody' is not a voice of .*; allowed: "):
        voices.check(SpeakerSettings(engine=engine, voice="nobody"))


@pytest.mark.parametrize("voice", [None, "slt", "/nonexistent/voice.onnx"])
def test_piper_needs_the_file_of_a_voice(voice):
    with pytest.raises(BadInput, match=r"for speaker\.voice; allowed: the file of a piper voice"):
        voices.check(SpeakerSettings(engine="piper", voice=voice))


def test_piper_is_installed_by_the_user(tmp_path, monkeypatch):
    model = tmp_path / "en.onnx"
    model.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = SpeakerSettings(engine="piper", voice=str(model))
    assert voices.voice_of(settings) == "en.onnx"
    with pytest.raises(Unavailable, match=r"'piper' is not installed; fix: pip install piper-tts"):
        voices.check(settings)


def test_missing_engine_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        Unavailable, match=r"'flite' is not installed; fix: .*apt-get install flite"
    ):
        voices.check(SpeakerSettings())


def test_gtts_without_network_is_one_line_with_the_remedy(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"'gtts' cannot be reached .*'flite'") as refused:
            voices.synthesise(SENTENCE, SpeakerSettings(engine="gtts"))
    assert "\n" not in str(refused.value)


def test_gtts_in_a_black_hole_ends_at_the_timeout(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Unavailable, match="cannot be reached"):
            voices.synthesise(SENTENCE, SpeakerSettings(engine="gtts", timeout=0.5))


def test_gtts_checks_what_it_cannot_do_without_asking_the_network():
    with pytest.raises(BadInput, match="speed"):
        voices.check(SpeakerSettings(engine="gtts", speed=1.2))
    with pytest.raises(BadInput, match="no language of gTTS"):
        voices.check(SpeakerSettings(engine="gtts", voice="klingon"))


def test_gain_scales_clips_and_silences():
    sound = np.array([100, -200, 30000], np.int16)
    assert speaker.amplified(sound, 0.5).tolist() == [50, -100, 15000]
    assert speaker.amplified(sound, 2.0).tolist() == [200, -400, 32767]
    assert not speaker.amplified(sound, 0.0).any()


def test_kept_files_are_numbered_whole_and_lossless(tmp_path):
    sound = np.arange(-500, 500, dtype=np.int16)
    assert audio_files.keep(sound, tmp_path, "said") == "said-01.flac"
    assert audio_files.keep(sound, tmp_path, "said") == "said-02.flac"
    assert audio_files.keep(sound, tmp_path, "heard") == "heard-01.flac"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "heard-01.flac",
        "said-01.flac",
        "said-02.flac",
    ]
    read, rate = soundfile.read(tmp_path / "said-02.flac", dtype="int16")
    assert rate == RATE
    assert np.array_equal(read, sound)


CARDS = (
    Device(0, "HDMI 0", 0, 2),
    Device(1, "USB Audio: one", 1, 2),
    Device(2, "USB Audio: two", 1, 0),
    Device(3, "USB", 2, 2),
)


def test_devices_are_found_by_name_then_by_beginning_within_their_direction():
    assert audio.find("USB", "input", CARDS) == CARDS[3]
    assert audio.find("USB Audio", "output", CARDS) == CARDS[1]
    assert audio.find("HDMI", "input", CARDS) is None
    with pytest.raises(BadInput, match="'USB Audio: one', 'USB Audio: two'"):
        audio.find("USB A", "input", CARDS)


@pytest.mark.sound
def test_the_room_hears_every_sample_that_was_kept(tmp_path, monkeypatch):
    with Air(["one"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        raw = tmp_path / "room.raw"
        with raw.open("wb") as file:
            room = subprocess.Popen(["parec", *PCM.split(), "-d", "one-room.monitor"], stdout=file)
            settings = SpeakerSettings(device="{account}-loudspeaker")
            speaker.check(settings, "one")
            said = Speaker(settings, "one").say("Alexa, stop", tmp_path)
            silent = Speaker(settings.model_copy(update={"gain": 0.0}), "one")
            nothing = silent.say("Alexa, stop", tmp_path)
            room.terminate()
            room.wait()
    kept, _ = soundfile.read(tmp_path / said.file, dtype="int16")
    assert said.dropped == 0
    assert said.seconds == pytest.approx(len(kept) / RATE)
    assert said.ended - said.started == pytest.approx(len(kept) / RATE - 0.8, abs=0.3)
    heard = np.trim_zeros(np.fromfile(raw, np.int16))
    assert np.array_equal(heard, np.trim_zeros(kept))
    assert nothing.seconds == said.seconds
    assert not soundfile.read(tmp_path / nothing.file, dtype="int16")[0].any()


@pytest.mark.sound
def test_a_missing_device_is_one_line_with_the_names_there_are(tmp_path, monkeypatch, capfd):
    with Air(["one"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Unavailable, match=r"called 'two-loudspeaker'.*'one-loudspeaker'") as no:
            Speaker(SpeakerSettings(device="{account}-loudspeaker"), "two").say("hello", tmp_path)
    assert "\n" not in str(no.value)
    assert capfd.readouterr().err == ""
    assert not list(tmp_path.glob("*.flac"))
