"""A person signs an account in: what must be there before a browser opens, and the profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import Stranger

from echoaudit.cli.login import wait_for_person
from echoaudit.errors import ExitCode
from echoaudit.study.models import BrowserSettings, SignIn

PAGE = "sign_in: {url: 'https://platform.example/signin'}\n"
PROFILES = "folders: {profiles: profiles}\n"


@pytest.mark.parametrize(
    ("config", "account", "line"),
    [
        (PAGE + PROFILES, "../x", "found '../x' for ACCOUNT; allowed: a persona's name"),
        (PAGE, "fashion-1", "room.yaml: no folders.profiles: without it"),
        (PROFILES, "fashion-1", "room.yaml: no sign_in: nothing says where to sign in"),
    ],
)
def test_what_is_missing_is_named(stranger: Stranger, config: str, account: str, line: str) -> None:
    path = stranger.write("room.yaml", "config: room\n" + config)
    assert line in stranger.refused("login", account, "--config", path)


def test_without_a_screen_nothing_opens(stranger: Stranger) -> None:
    path = stranger.write("room.yaml", "config: room\n" + PAGE + PROFILES)
    said = stranger.command(
        "login", "fashion-1", "--config", path, env={"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    )
    assert said.code == ExitCode.UNAVAILABLE
    assert "no screen to show a browser on" in said.line
    assert not (stranger.folder / "profiles").exists()


@pytest.mark.web
def test_a_profile_is_for_its_owner_only(tmp_path: Path) -> None:
    profile = tmp_path / "profiles" / "fashion-1"
    profile.mkdir(mode=0o755, parents=True)
    form = SignIn(url="https://platform.invalid/signin")
    visit = wait_for_person(BrowserSettings(), form, profile, 1.0)
    assert (visit.state, "cannot be reached" in str(visit.reason)) == ("failed", True)
    assert profile.stat().st_mode & 0o777 == 0o700
