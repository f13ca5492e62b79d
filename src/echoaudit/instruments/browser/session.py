"""A running browser: ChromeDriver, Chromium and our own DevTools connection."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import chromium, processes
from echoaudit.instruments.browser.devtools import DevTools
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.targets import Target, Targets
from echoaudit.study.models import BrowserSettings

if TYPE_CHECKING:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

OPENING = 5.0
"""Seconds a new tab gets."""
CLOSING = 8.0
"""Seconds a browser gets to write its profile to disk."""


class Session:
    """One start of the browser on a profile, until ``close``."""

    def __init__(
        self, settings: BrowserSettings, profile: Path, extra_arguments: Sequence[str] = ()
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.chromium = chromium.find(settings)
        processes.release_profile(profile)
        flags = chromium.arguments(settings, self.chromium, profile, extra_arguments)
        self._service = _service(self.chromium, chromium.environment(settings, profile))
        self.driver = _start(self._service, _options(settings, self.chromium, flags))
        self._processes = self._service.process.pid
        self.binding = f"_{secrets.token_hex(6)}"
        self.targets = Targets(
            self.binding, harvest_script(self.binding), package_text("inspect.js")
        )
        self.stuck = False
        """Whether a page could not be closed: the browser should be replaced."""
        try:
            self.devtools = DevTools(_socket_address(self.driver), self.targets.handle)
            self.targets.start(self.devtools.post).result(10)
            self.devtools.call("Browser.setDownloadBehavior", {"behavior": "deny"})
        except BaseException:
            processes.end_session(self._processes, patience=1.0)
            raise

    @property
    def alive(self) -> bool:
        """Whether the browser still holds its DevTools connection."""
        return self.devtools.is_open

    def close(self) -> None:
        """Let the browser write its profile, then end all its processes."""
        with suppress(BrowserCrashed, CommandFailed, TimeoutError):  # gone or hung: ended by force
            self.devtools.call("Browser.close", timeout=CLOSING)
            driver = {self._processes}
            processes.wait_until(lambda: set(processes.members(self._processes)) <= driver, CLOSING)
        self.devtools.close()
        self.kill()

    def kill(self) -> None:
        """End all processes at once."""
        processes.end_session(self._processes, patience=1.0)
        self._service.process.wait(timeout=5)
        for name in processes.LOCKS:
            (self.profile / name).unlink(missing_ok=True)


def open_tab(session: Session) -> Target:
    """A new empty tab in which recording is on; ``BrowserCrashed`` when there is none in time."""
    try:
        answer = session.devtools.call("Target.createTarget", {"url": "about:blank"}, "", OPENING)
        tab = str(answer["targetId"])
        if not processes.wait_until(lambda: session.targets.find(tab) is not None, OPENING):
            raise BrowserCrashed("the browser does not let its new tab be recorded")
        target = session.targets.find(tab)
        if target is None:
            raise BrowserCrashed("the browser closed its new tab at once")
        target.ready.result(OPENING)
    except (TimeoutError, CommandFailed) as error:
        raise BrowserCrashed(f"the browser opens no new tab: {error}") from error
    return target


def harvest_script(binding: str) -> str:
    """The script that every document starts with."""
    return f"{package_text('harvest.js').rstrip()}({json.dumps(binding)});"


def package_text(name: str) -> str:
    """One of the scripts that come along."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _service(found: chromium.Chromium, environment: dict[str, str]) -> ChromeService:
    try:
        from selenium.webdriver import ChromeService
    except ImportError as error:
        raise Unavailable(
            "Selenium is not installed", fix="pip install 'echoaudit[web]'"
        ) from error
    return ChromeService(
        executable_path=str(found.driver),
        env=environment,
        popen_kw={"start_new_session": True},
    )


def _options(
    settings: BrowserSettings, found: chromium.Chromium, flags: Sequence[str]
) -> ChromeOptions:
    from selenium.webdriver import ChromeOptions

    options = ChromeOptions()
    options.binary_location = str(found.binary)
    for flag in flags:
        options.add_argument(flag)
    options.add_experimental_option("excludeSwitches", ["enable-automation", "enable-logging"])
    options.add_experimental_option("prefs", chromium.preferences(settings))
    options.add_experimental_option("localState", chromium.local_state())
    options.unhandled_prompt_behavior = "dismiss"
    return options


def _start(service: ChromeService, options: ChromeOptions) -> Chrome:
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import Chrome
    from urllib3.exceptions import HTTPError

    try:
        return Chrome(options=options, service=service)
    except (WebDriverException, HTTPError, OSError) as error:
        started = getattr(service, "process", None)
        if started is not None:
            processes.end_session(started.pid, patience=1.0)
        reason = (getattr(error, "msg", None) or str(error) or "no reason given").splitlines()[0]
        raise BrowserCrashed(f"Chromium does not start: {reason[:300]}") from error


def _socket_address(driver: Chrome) -> str:
    """The address of the browser's own DevTools socket."""
    options: dict[str, Any] = driver.capabilities["goog:chromeOptions"]
    address = f"http://{options['debuggerAddress']}/json/version"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as answer:
            found = json.load(answer)
    except (OSError, ValueError) as error:
        raise BrowserCrashed(f"the browser does not tell its DevTools address: {error}") from error
    return str(found["webSocketDebuggerUrl"])
