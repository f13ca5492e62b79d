"""Sound devices that vanish, refuse or are not there: one line, and the evidence so far stays."""

import fcntl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from echoaudit.errors import Unavailable
from echoaudit.instruments.audio import check, open_stream
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.lab.air import Air
from echoaudit.study.models import MicrophoneSettings, SpeakerSettings

pytestmark = pytest.mark.sound
LOUDSPEAKER = SpeakerSettings(device="{account}-loudspeaker")
LONG = "Alexa, ask style check what to wear when it rains all day."


@pytest.fixture
def air(tmp_path, monkeypatch):
    """Two rooms, found by this process."""
    with Air(["one", "two"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        yield air


def unplug(sink):
    """Take a sink away, as the sound server does when its card is unplugged."""
    modules = subprocess.check_output(["pactl", "list", "short", "modules"], text=True)
    (index,) = [line.split()[0] for line in modules.splitlines() if f"sink_name={sink} " in line]
    subprocess.run(["pactl", "unload-module", index], check=True)


def while_played_into(sink):
    """Unplug a sink half a second after somebody has begun to play into it."""

    def act():
        while not subprocess.check_output(["pactl", "list", "short", "sink-inputs"]).strip():
            time.sleep(0.02)
        time.sleep(0.5)
        unplug(sink)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_a_loudspeaker_unplugged_in_the_middle(air, tmp_path):
    first = Speaker(LOUDSPEAKER, "one").say("Alexa, open style check", tmp_path)
    unplugging = while_played_into("one-room")
    with pytest.raises(Unavailable, match="'one-loudspeaker' stopped") as gone:
        Speaker(LOUDSPEAKER, "one").say(LONG, tmp_path)
    unplugging.join()
    assert "\n" not in str(gone.value)
    assert gone.value.fix == "plug it in again; the same command resumes"
    assert [file.name for file in tmp_path.glob("*.flac")] == [first.file]
    other = Speaker(LOUDSPEAKER, "two").say("Alexa, stop", tmp_path)
    assert other.dropped == 0


def test_a_microphone_unplugged_in_the_middle_is_not_another_rooms(air, tmp_path):
    settings = MicrophoneSettings(device="{account}-microphone", limit=2)
    with (
        pytest.raises(Unavailable, match="'one-microphone' stopped"),
        Microphone(settings, "one").open() as ear,
    ):
        unplug("one-reply")
        ear.listen(tmp_path)
    assert Microphone(settings, "two").listen(tmp_path).speech_seconds == 0


def test_a_device_that_cannot_do_16_khz(tmp_path, monkeypatch):
    config = tmp_path / "asound.conf"
    plug = 'type plug slave { pcm { type null } rate 44100 } rate_converter "none"'
    config.write_text(
        "pcm.default { type null }\n"
        f'pcm."fixed" {{ {plug} hint {{ show on description "fixed" }} }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    with pytest.raises(Unavailable, match="'fixed' cannot be opened at 16 kHz mono"):
        Speaker(SpeakerSettings(device="fixed"), "one").say("Alexa, stop", tmp_path)


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A device of ALSA's that one program may have at a time, as sound cards are; its lock."""
    source, library = Path(__file__).with_name("exclusive_card.c"), tmp_path / "card.so"
    compiler = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-lasound"]
    subprocess.run(compiler, check=True)
    lock, config = tmp_path / "lock", tmp_path / "asound.conf"
    config.write_text(
        "pcm.default { type null }\n"
        "pcm.null { type null }\n"
        f'pcm_type.exclusive {{ lib "{library}" }}\n'
        f'pcm."card" {{ type exclusive lock "{lock}" hint {{ show on description "card" }} }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    return lock


def test_a_card_that_another_program_uses(card, tmp_path):
    with card.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="no sound output device called 'card'") as busy:
            check("card", "output")
    assert busy.value.fix is not None
    assert busy.value.fix.endswith("or, if 'card' is plugged in, end the program that uses it")
    check("card", "output")
    assert Speaker(SpeakerSettings(device="card"), "one").say("Alexa, stop", tmp_path).seconds > 0


def test_a_card_that_is_taken_after_it_was_found(card):
    with open_stream("default", "output", 1024), card.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(
                Unavailable, match=r"'card' cannot be opened .*Device unavailable"
            ) as busy,
            open_stream("card", "output", 1024),
        ):
            pass
    assert busy.value.fix is not None
    assert "end the program that uses it" in busy.value.fix
