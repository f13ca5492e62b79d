"""Things this machine may lack: named before anything is recorded, with what mends it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from cli_kit import Stranger

from echoaudit.cli import doctor
from echoaudit.errors import BadInput, ExitCode, Unavailable
from echoaudit.study import load_config

ROOT = Path(__file__).parents[2]
LAB = ROOT / "configs" / "lab.yaml"
PI = ROOT / "configs" / "raspberry-pi.yaml"


def require(config: Path, **settings: str) -> None:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    doctor.require(load_config(config, overrides), Path("recordings"))


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is all there is on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr("echoaudit.instruments.browser.chromium.BINARIES", ("chromium",))
    monkeypatch.setattr("echoaudit.instruments.browser.chromium.DRIVERS", ("chromedriver",))
    return programs


def stand_in(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\necho 1.2.3\n")
    (folder / name).chmod(0o755)


@pytest.mark.web
def test_a_missing_browser_is_named(only: Path) -> None:
    with pytest.raises(Unavailable, match=r"Chromium is not installed; fix: apt-get install"):
        require(LAB)
    stand_in(only, "chromium")
    with pytest.raises(Unavailable, match=r"ChromeDriver is not installed; fix: apt-get install"):
        require(LAB)


def test_a_browser_that_is_not_where_the_user_said_is_named() -> None:
    with pytest.raises(Unavailable, match=r"not at /nonexistent \(browser\.binary\); fix: correct"):
        require(LAB, browser__binary="/nonexistent")
    with pytest.raises(Unavailable, match=r"/bin/false --version ends with exit code 1"):
        require(LAB, browser__binary="/bin/false")


@pytest.mark.sound
@pytest.mark.web
def test_a_missing_voice_is_named(only: Path) -> None:
    for name in ("chromium", "chromedriver"):
        stand_in(only, name)
    with pytest.raises(
        Unavailable, match=r"'flite' is not installed; fix: .*apt-get install flite"
    ):
        require(LAB)


@pytest.mark.sound
@pytest.mark.web
def test_a_voice_that_the_engine_lacks_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'nobody' is not a voice of flite; allowed: .*slt"):
        require(LAB, speaker__voice="nobody")


@pytest.mark.sound
@pytest.mark.web
def test_a_missing_interface_is_named() -> None:
    with pytest.raises(Unavailable, match=r"no interface 'nowhere0'; here: .*; fix: set gateway"):
        require(PI, gateway__lan="nowhere0")


def test_a_disk_without_space_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_SPACE", doctor.free_space(Path("recordings")) * 2)
    with pytest.raises(Unavailable, match=r"only \d+ MiB are free for recordings; fix: free \d+"):
        require(LAB)


def test_missing_packages_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "voice", ("pyaudio", "no_such_module"))
    with pytest.raises(
        Unavailable, match=r"missing: no_such_module; fix: pip install 'echoaudit\["
    ):
        require(LAB)


def test_doctor_tells_all_faults_with_their_fix(stranger: Stranger) -> None:
    said = stranger.command("doctor", "--json", "--set", "browser.binary=/nonexistent")
    assert said.code == ExitCode.UNAVAILABLE
    failed = {check["name"]: check for check in said.json if check["state"] == "fail"}
    assert failed["browser"]["fix"] == "correct browser.binary, or leave it out"
    assert all(check["message"] for check in said.json)


def test_doctor_shows_only_what_was_asked_for(stranger: Stranger) -> None:
    said = stranger.command("doctor", "disk", "--json", "--set", "browser.binary=/nonexistent")
    assert (said.code, [check["name"] for check in json.loads(said.out)]) == (0, ["disk"])


def test_a_run_that_lacks_something_leaves_nothing(stranger: Stranger) -> None:
    (stranger.folder / "reports").mkdir()
    line = stranger.refused(
        "run", "personas/fashion.yaml", "--set", "browser.binary=/nonexistent",
        code=ExitCode.UNAVAILABLE,
    )  # fmt: skip
    assert re.search(r"Chromium is not at /nonexistent", line)


def test_a_real_room_that_lacks_something_leaves_nothing(stranger: Stranger) -> None:
    (stranger.folder / "reports").mkdir()
    line = stranger.refused(
        "run", "personas/fashion.yaml", "--config", "configs/raspberry-pi.yaml",
        "--set", "browser.driver=/nonexistent", code=ExitCode.UNAVAILABLE,
    )  # fmt: skip
    assert "ChromeDriver is not at /nonexistent" in line


NULL = "type null"
SLOW = 'type plug slave { pcm { type null } rate 44100 } rate_converter "none"'


@pytest.mark.parametrize(
    ("loudspeaker", "microphone", "said"),
    [
        (NULL, None, r"no sound input device called 'fashion-1-microphone'; there is"),
        (None, NULL, r"no sound output device called 'fashion-1-loudspeaker'; there is"),
        (NULL, SLOW, r"input device 'fashion-1-microphone' cannot be opened at 16 kHz mono"),
    ],
    ids=["no microphone", "no loudspeaker", "another rate"],
)
def test_a_sound_device_that_will_not_do_is_named_before_the_run(
    stranger: Stranger, loudspeaker: str | None, microphone: str | None, said: str
) -> None:
    ends = {"loudspeaker": ("playback", loudspeaker), "microphone": ("capture", microphone)}
    devices = [
        f'pcm."{account}-{name}" {{ type asym {direction}.pcm {{ {pcm} }} '
        f'hint {{ show on description "{account}-{name}" }} }}'
        for account in ("fashion-1", "fashion-2", *(f"vanilla-{n}" for n in range(1, 5)))
        for name, (direction, pcm) in ends.items()
        if pcm is not None
    ]
    sound = stranger.folder / "asound.conf"
    sound.write_text("\n".join(["pcm.default { type null }", *devices]))
    found = stranger.command(
        "doctor", "sound", "--config", "configs/raspberry-pi.yaml", "--json",
        env={"ALSA_CONFIG_PATH": str(sound)},
    )  # fmt: skip
    assert (found.code, found.err) == (ExitCode.UNAVAILABLE, "")
    (check,) = found.json
    assert check["state"] == "fail"
    assert re.search(said, check["message"])
    assert check["fix"]


def test_a_report_folder_that_is_a_file_is_refused_first(stranger: Stranger) -> None:
    stranger.write("reports", "not a folder")
    line = stranger.refused(
        "run", "personas/fashion.yaml", "--config", "configs/raspberry-pi.yaml",
        code=ExitCode.UNAVAILABLE,
    )  # fmt: skip
    assert "output's folder reports cannot be used" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_refused(stranger: Stranger) -> None:
    recording = stranger.recording()
    stranger.folder.chmod(0o500)
    said = stranger.command("report", str(recording))
    stranger.folder.chmod(0o700)
    assert said.code == ExitCode.UNAVAILABLE and "cannot be used" in said.line
