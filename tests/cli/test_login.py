"""A person signs an account in: what must be there before a browser opens, and the profile."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def test_an_account_that_nobody_has_is_noted(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path)

    def noted(account: str, config: str) -> bool:
        path = stranger.write("room.yaml", config)
        no_screen = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
        said = stranger.command("login", account, "--config", path, env=no_screen)
        assert said.code == ExitCode.UNAVAILABLE
        return "no persona" in said.err and "did you mean 'fashion'?" in said.err

    plain = "config: room\n" + PAGE + PROFILES
    assert not noted("fasion-1", plain), "there is nothing to know it by"
    stranger.write("personas/fashion.yaml", "persona: fashion\n")
    kitchen = plain + "devices: {kitchen-1: {mac: '02:00:00:00:00:01'}}\n"
    assert noted("fasion-1", kitchen)
    assert not noted("fashion-2", kitchen)
    assert not noted("kitchen-1", kitchen)


@pytest.mark.web
def test_a_profile_is_for_its_owner_only(tmp_path: Path) -> None:
    profile = tmp_path / "profiles" / "fashion-1"
    profile.mkdir(mode=0o755, parents=True)
    form = SignIn(url="https://platform.invalid/signin")
    visit = wait_for_person(BrowserSettings(), form, profile, 1.0)
    assert (visit.state, "cannot be reached" in str(visit.reason)) == ("failed", True)
    assert profile.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def screen() -> Iterator[str]:
    """A screen that nobody looks at."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout
        yield f":{int(server.stdout.readline())}"
        server.terminate()


class Platform(BaseHTTPRequestHandler):
    """A form that its reader sends half a second after it is shown."""

    def do_GET(self) -> None:
        self._answer(
            b"<form method=post><input name=code></form>"
            b"<script>setTimeout(() => document.forms[0].submit(), 500)</script>"
        )

    def do_POST(self) -> None:
        self._answer(b"welcome", ("Set-Cookie", "at-main=token; Max-Age=31536000"))

    def _answer(self, page: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        for name, value in (*headers, ("Content-Type", "text/html")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def platform() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Platform) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/signin"
        server.shutdown()


@pytest.mark.web
def test_a_person_signs_in_once_in_a_visible_window(
    stranger: Stranger, screen: str, platform: str
) -> None:
    page = f"sign_in: {{url: '{platform}'}}\nbrowser: {{settle: 0.5}}\n"
    path = stranger.write("room.yaml", "config: room\n" + page + PROFILES)
    for _ in range(2):
        said = stranger.command(
            "login", "fashion-1", "--config", path, "--patience", "120", env={"DISPLAY": screen}
        )
        assert said.code == ExitCode.OK, said.line
        assert "fashion-1 is signed in" in said.out
