"""A reply is recorded from its first word to its end, kept, and written down."""

import subprocess
import threading
import time

import numpy as np
import pytest
import soundfile

from echoaudit.errors import Unavailable
from echoaudit.instruments import microphone, transcribe, voices
from echoaudit.instruments.audio import RATE
from echoaudit.instruments.audio_ends import (
    FRAME,
    FRAME_SECONDS,
    NOISE_FRAMES,
    BlockClock,
    Ending,
    RecentLevels,
    SpeechDetector,
)
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.lab.air import PCM, Air
from echoaudit.study.models import MicrophoneSettings, SpeakerSettings

REPLY = "Welcome to style check. Take a warm coat with you."


def speech(noise: float) -> np.ndarray:
    """Two seconds of nothing, a reply, two seconds of nothing, in a room with ``noise`` (LSB)."""
    reply = voices.synthesise(REPLY, SpeakerSettings(voice="rms"))
    quiet = np.zeros(2 * RATE)
    sound = np.concatenate([quiet, reply, quiet])
    sound = sound + np.random.default_rng(1).normal(0, noise, len(sound))
    return np.clip(sound, -32768, 32767).astype(np.int16)


def detected(sound: np.ndarray) -> np.ndarray:
    detector = SpeechDetector()
    count = len(sound) // FRAME
    return np.array(
        [detector.hears_speech(sound[i * FRAME : (i + 1) * FRAME]) for i in range(count)]
    )


@pytest.mark.parametrize("noise", [0, 3, 100, 1000])
def test_speech_is_told_from_silence_and_noise(noise):
    heard = detected(speech(noise))
    before, after = round(1.9 / FRAME_SECONDS), round(1.7 / FRAME_SECONDS)
    assert heard[10:before].mean() < 0.02
    assert heard[before:-after].mean() > 0.6
    assert not heard[-after:].any()


def test_the_quantile_of_recent_levels_is_numpys():
    drawn = np.random.default_rng(3).choice([0.0, 5.0, 5.0, 700.0, 31.4159], 3 * NOISE_FRAMES)
    drawn += np.repeat(np.random.default_rng(4).normal(0, 1, NOISE_FRAMES), 3)
    levels = RecentLevels()
    for count, level in enumerate(drawn, 1):
        levels.add(level)
        recent = drawn[max(0, count - NOISE_FRAMES) : count]
        assert levels.quantile(0.1) == pytest.approx(np.quantile(recent, 0.1), abs=1e-9)
    assert len(levels) == NOISE_FRAMES


@pytest.mark.parametrize("noise", [0, 3, 1000, 6000])
def test_noise_alone_is_no_speech(noise):
    sound = np.random.default_rng(2).normal(0, noise, 10 * RATE).astype(np.int16)
    assert detected(sound)[round(1.2 / FRAME_SECONDS) :].mean() < 0.02


@pytest.mark.parametrize("kind", ["beep", "rain"])
def test_a_skill_that_answers_with_other_sounds_is_not_taken_for_silence(kind):
    rng, at = np.random.default_rng(3), np.arange(3 * RATE) / RATE
    sounds = {"beep": 4000 * np.sin(2 * np.pi * 1000 * at), "rain": rng.normal(0, 400, len(at))}
    sound = rng.normal(0, 40, 6 * RATE)
    sound[2 * RATE : 5 * RATE] += sounds[kind]
    heard = detected(sound.astype(np.int16))
    assert heard.sum() * FRAME_SECONDS > 2


def run(ending: Ending, frames: list[bool]) -> float:
    for speaking in frames:
        if ending.over(speaking):
            break
    return ending.elapsed


def seconds(length: float, speaking: bool) -> list[bool]:
    return [speaking] * round(length / FRAME_SECONDS)


def test_a_reply_ends_with_silence_nobody_with_patience_a_monologue_with_the_limit():
    talk = seconds(2, True) + seconds(1, False) + seconds(2, True) + seconds(60, False)
    reply = Ending(silence=1.5, patience=4, limit=30)
    assert run(reply, talk) == pytest.approx(6.5, abs=0.1)
    assert (reply.speech, reply.cut) == (pytest.approx(4, abs=0.1), False)
    nobody = Ending(silence=1.5, patience=4, limit=30)
    assert run(nobody, seconds(60, False)) == pytest.approx(4, abs=0.1)
    assert nobody.speech == 0
    endless = Ending(silence=1.5, patience=4, limit=30)
    assert run(endless, seconds(60, True)) == pytest.approx(30, abs=0.1)
    assert endless.cut


def test_the_clock_tells_late_blocks_from_lost_ones():
    clock = BlockClock(0.1)
    begins = [clock.count(100 + 0.1 * (n + 1) + (0.35 if n % 7 == 3 else 0)) for n in range(60)]
    assert begins[30:] == pytest.approx([100 + 0.1 * n for n in range(30, 60)])
    assert clock.lost == 0
    for n in range(60, 120):
        clock.count(100 + 0.1 * (n + 1) + 0.31)
    assert clock.lost == 3


@pytest.mark.parametrize("engine", ["moonshine", "pocketsphinx"])
def test_a_reply_is_written_down_offline(engine):
    heard = transcribe.transcribe(speech(0), engine)
    assert "coat" in heard.text.lower()
    assert heard.engine.startswith(engine)


def test_threads_share_one_transcriber():
    sound, texts = speech(0), []
    threads = [
        threading.Thread(
            target=lambda: texts.append(transcribe.transcribe(sound, "moonshine").text)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4
    assert len(set(texts)) == 1


@pytest.fixture
def room(tmp_path, monkeypatch):
    accounts = [f"fashion-{number}" for number in range(1, 5)]
    with Air(accounts, tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        yield accounts


def answer(account: str, file: str) -> None:
    subprocess.run(["paplay", f"--device={account}-reply", file], check=True)


@pytest.mark.sound
def test_four_accounts_at_once_lose_nothing_of_replies_that_come_at_once(room, tmp_path):
    reply = voices.synthesise(REPLY, SpeakerSettings(voice="rms"))
    soundfile.write(tmp_path / "reply.wav", reply, RATE)
    outcome = {}

    def talk(account):
        folder = tmp_path / account
        folder.mkdir()
        mouth = Speaker(SpeakerSettings(device="{account}-loudspeaker"), account)
        ears = Microphone(MicrophoneSettings(device="{account}-microphone", silence=1.0), account)
        with ears.open() as ear:
            said = mouth.say("Alexa, open style check", folder)
            threading.Thread(target=answer, args=(account, tmp_path / "reply.wav")).start()
            outcome[account] = ear.listen(folder, said.ended)

    threads = [threading.Thread(target=talk, args=(account,)) for account in room]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome) == room
    for account, heard in outcome.items():
        kept, _ = soundfile.read(tmp_path / account / heard.file, dtype="int16")
        assert np.array_equal(np.trim_zeros(kept), np.trim_zeros(reply))
        assert heard.seconds == pytest.approx(len(kept) / RATE)
        assert (heard.cut, heard.overflows) == (False, 0)
        assert "style check" in heard.text


@pytest.mark.sound
def test_silence_is_heard_as_no_reply(room, tmp_path):
    ears = Microphone(MicrophoneSettings(device="{account}-microphone", silence=0.5), room[0])
    began = time.time()
    heard = ears.listen(tmp_path)
    assert 4.9 < time.time() - began < 9
    assert (heard.speech_seconds, heard.text, heard.level) == (0, "", 0)
    assert heard.seconds == pytest.approx(5, abs=0.1)


@pytest.mark.sound
def test_a_limit_cuts_an_endless_reply(room, tmp_path):
    noise = subprocess.Popen(
        f"flite -voice rms -t '{'one two three four ' * 20}' -o /dev/stdout |"
        f" pacat --playback {PCM} --device={room[0]}-reply",
        shell=True,
    )
    settings = MicrophoneSettings(device="{account}-microphone", silence=1.0, limit=2.0)
    time.sleep(1)
    heard = Microphone(settings, room[0]).listen(tmp_path)
    noise.terminate()
    noise.wait()
    assert heard.cut
    assert heard.seconds == pytest.approx(2, abs=0.1)


@pytest.mark.sound
def test_a_microphone_that_vanishes_is_one_line(tmp_path, monkeypatch):
    with Air(["one"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        microphone.check(MicrophoneSettings(device="{account}-microphone"), "one")
        threading.Timer(1.0, lambda: air.__exit__(None, None, None)).start()
        ears = Microphone(MicrophoneSettings(device="{account}-microphone"), "one")
        with pytest.raises(Unavailable, match="'one-microphone' stopped"):
            ears.listen(tmp_path)
    assert not list(tmp_path.glob("*.flac"))
