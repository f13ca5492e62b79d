"""Sound devices, a sentence and the gain, by the commands a user gives."""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.lab.air import Air, socket_of
from echoaudit.study import load_config
from echoaudit.study.edit import with_setting

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
from loopback_cloud import LoopbackCloud

CONFIG = """\
# Our own room.
config: kitchen
speaker:
  device: "{account}-loudspeaker"   # the big one
microphone:
  device: "{account}-microphone"
  silence: 1.0
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("speaker:\n  gain: 1.0   # loud\n", "speaker:\n  gain: 0.2   # loud\n"),
        ("speaker: {gain: 1, speed: 1.0}\n", "speaker: {gain: 0.2, speed: 1.0}\n"),
        ("speaker:\n    speed: 1.0\na: b\n", "speaker:\n    gain: 0.2\n    speed: 1.0\na: b\n"),
        ("config: x # y\n", "config: x # y\n\nspeaker:\n  gain: 0.2\n"),
    ],
)
def test_one_setting_changes_and_every_comment_stays(before, after):
    assert with_setting(before, "speaker", "gain", "0.2") == after


@pytest.mark.parametrize(
    "text", ["", "- a\n", "a: [b\n", "speaker: {speed: 1.0}\n", "speaker: x\n"]
)
def test_what_cannot_be_edited_is_refused(text):
    with pytest.raises(BadInput):
        with_setting(text, "speaker", "gain", "0.2")


def echoaudit(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "echoaudit", "voice", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@contextmanager
def an_echo(cloud, folder, *options):
    """A real simulated Echo of account ``one``."""
    (folder / "token").write_text("secret\n")
    errors = folder / "echo.err"
    command = [sys.executable, "-m", "echoaudit.lab.echo", "--account=one", "--serial=S1"]
    command += [f"--token-file={folder / 'token'}", f"--cloud={cloud.host}", f"--ca={cloud.ca}"]
    command += [f"--log={folder / 'contacts-one.jsonl'}", *options]
    with errors.open("w") as stderr, subprocess.Popen(command, stderr=stderr) as echo:
        try:
            while "ready" not in errors.read_text():
                assert echo.poll() is None, errors.read_text()
                time.sleep(0.1)
            yield
        finally:
            echo.kill()


@pytest.mark.sound
def test_devices_are_listed_and_one_of_them_speaks(tmp_path, monkeypatch):
    (tmp_path / "kitchen.yaml").write_text(CONFIG)
    with Air(["one"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        listed = json.loads(echoaudit(tmp_path, "devices", "--json").stdout)
        assert {"name": "one-microphone", "inputs": 32, "outputs": 0} in [
            {**device, "inputs": min(device["inputs"], 32)} for device in listed
        ]
        said = echoaudit(tmp_path, "say", "Hello.", "--config=kitchen.yaml", "--account=one")
    assert (said.returncode, said.stdout) == (0, "said 'Hello.' by flite slt\n")


def test_the_gain_is_found_and_written_down(tmp_path):
    config = tmp_path / "kitchen.yaml"
    cloud = LoopbackCloud(tmp_path / "ca", [{"id": "time", "phrase": "what time is it"}])
    cloud.speak = "It is half past nine in the morning."
    far = json.dumps({"distance_m": 5.0})
    with tempfile.TemporaryDirectory() as short:
        socket = socket_of("one", Path(short))
        text = CONFIG.replace("{account}-loudspeaker", f"unix:{socket}")
        text = text.replace("{account}-microphone", f"unix:{socket}")
        config.write_text(text)
        with cloud, an_echo(cloud, tmp_path, f"--socket={socket}", f"--room={far}"):
            options = ("--config=kitchen.yaml", "--account=one", "--json")
            done = echoaudit(tmp_path, "calibrate", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 0.05 < found["least"] < found["gain"] == 2 * found["least"]
    assert [trial["answered"] for trial in found["trials"]][-4:] == [True, True, True, False]
    assert not found["loudspeaker_heard"], "this room has no way from one to the other"
    assert load_config(config).speaker.gain == found["gain"]
    gain = f"  gain: {found['gain']:g}\n"
    assert config.read_text() == text.replace("  device", f"{gain}  device", 1)


@pytest.mark.sound
def test_without_the_device_it_is_one_line_and_the_file_stays(tmp_path, monkeypatch):
    config = tmp_path / "kitchen.yaml"
    config.write_text(CONFIG)
    with Air(["two"], tmp_path / "air") as air:
        for name, value in air.environment().items():
            monkeypatch.setenv(name, value)
        done = echoaudit(tmp_path, "calibrate", "--config=kitchen.yaml", "--account=one")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "no sound output device called 'one-loudspeaker'; there is" in done.stderr
    assert config.read_text() == CONFIG
