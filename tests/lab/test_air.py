"""The virtual rooms: apart from each other, found by name, gone afterwards."""

import os
import subprocess
import sys

import numpy as np
import pytest

from echoaudit.errors import Unavailable
from echoaudit.lab import air
from echoaudit.lab.air import PCM, RATE, Air


def record(room: Air, source: str, seconds: float) -> np.ndarray:
    account = source.rpartition("-")[0]
    server = f"--server=unix:{room.server(account)}"
    command = f"timeout {seconds} parec {PCM} {server} --latency-msec=50 --device={source}"
    environment = {**os.environ, **room.environment()}
    done = subprocess.run(command.split(), capture_output=True, env=environment, check=False)
    return np.frombuffer(done.stdout, np.int16)


@pytest.mark.sound
def test_forty_rooms_open_together_and_each_is_silent(tmp_path):
    accounts = [f"fashion-{number}" for number in range(1, 41)]
    with Air(accounts, tmp_path / "air") as room:
        script = (
            "from echoaudit.instruments.audio import devices\n"
            "for d in devices(): print(d.name, d.inputs > 0, d.outputs > 0)"
        )
        environment = {**os.environ, **room.environment()}
        listed = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        assert listed.stderr == ""
        names = dict(line.split(" ", 1) for line in listed.stdout.splitlines())
        for account in accounts:
            assert names[air.loudspeaker(account)] == "False True"
            assert names[air.microphone(account)] == "True False"
        assert len(names) == 2 * 40 + 1
        quiet = record(room, air.ear("fashion-40"), 1)
    assert len(quiet) > RATE / 2
    assert not quiet.any()


@pytest.mark.sound
def test_noise_is_at_every_microphone_at_its_level_and_ends_with_the_air(tmp_path):
    with Air(["one", "two"], tmp_path / "air", noise=0.02) as room:
        heard = record(room, "two-reply.monitor", 1.5)
        quiet = record(room, air.ear("two"), 0.7)
    assert np.std(heard[RATE // 2 :] / 32768) == pytest.approx(0.02, rel=0.1)
    assert not quiet.any()
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False)
    assert left.stdout == b""


@pytest.mark.sound
def test_what_loses_its_room_is_led_nowhere(tmp_path):
    with Air(["one", "two"], tmp_path / "air") as room:
        environment = {**os.environ, **room.environment()}
        noise = np.random.default_rng(1).integers(-9000, 9000, 6 * RATE).astype("<i2")
        play = f"pacat --playback {PCM} --device={air.mouth('one')}"
        listen = f"parec {PCM} --latency-msec=50 --device={air.mouth('one')}.monitor"
        with (
            subprocess.Popen(play.split(), stdin=subprocess.PIPE, env=environment) as orphan,
            subprocess.Popen(listen.split(), stdout=subprocess.PIPE, env=environment) as deaf,
        ):
            assert orphan.stdin is not None
            assert deaf.stdout is not None
            orphan.stdin.write(noise[: 2 * RATE].tobytes())
            orphan.stdin.flush()
            assert np.frombuffer(deaf.stdout.read(2 * RATE), np.int16).any()
            unload_sink("one-reply", environment)
            at = {kind: where_streams_are(kind, environment) for kind in ("sink", "source")}
            heard = [record(room, f"two-{kind}.monitor", 0.5) for kind in ("room", "reply")]
            orphan.kill()
            deaf.kill()
    assert at == {"sink": {air.NOWHERE}, "source": {f"{air.NOWHERE}.monitor"}}
    assert not any(sound.any() for sound in heard)


def unload_sink(name, environment):
    modules = pactl("modules", environment)
    (index,) = [line[0] for line in modules if f"sink_name={name} " in " ".join(line)]
    subprocess.run(["pactl", "unload-module", index], env=environment, check=True)


def where_streams_are(kind, environment):
    """The sinks that are played into, or the sources that are recorded from."""
    names = {line[0]: line[1] for line in pactl(f"{kind}s", environment)}
    streams = "sink-inputs" if kind == "sink" else "source-outputs"
    return {names[line[1]] for line in pactl(streams, environment)}


def pactl(what, environment):
    command = ["pactl", "list", "short", what]
    listed = subprocess.check_output(command, env=environment, text=True)
    return [line.split() for line in listed.splitlines()]


@pytest.mark.parametrize("name", ["x" * 120, "two words"])
def test_a_folder_that_cannot_hold_a_socket_is_one_line(tmp_path, name):
    with (
        pytest.raises(Unavailable, match="cannot be a sound server's socket"),
        Air(["one"], tmp_path / name),
    ):
        pass


def test_without_pulseaudio_the_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="apt-get install pulseaudio"), Air(["one"], tmp_path):
        pass
