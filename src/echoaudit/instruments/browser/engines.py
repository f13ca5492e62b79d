"""Where a browser runs: on this machine, or on a node of a Selenium Grid."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import chromium, processes
from echoaudit.instruments.browser.errors import BrowserCrashed
from echoaudit.study.models import BrowserSettings

if TYPE_CHECKING:
    from selenium.webdriver import ChromeOptions, ChromeService
    from selenium.webdriver.remote.webdriver import WebDriver

CLOSING = 20.0
"""Seconds a browser gets to write its profile to disk."""


class Engine(Protocol):
    """A started browser with its driver."""

    driver: WebDriver
    address: str
    """Of the browser's DevTools socket."""

    def wait_for_end(self) -> bool:
        """Wait until a browser that was told to close has written its profile; whether it has."""

    def end(self) -> None:
        """End whatever is left of it."""


def start(
    settings: BrowserSettings, found: chromium.Chromium, profile: Path, flags: Sequence[str]
) -> Engine:
    """Start a browser where the settings say.

    Raises ``Unavailable`` when Selenium is missing or the grid is not as it must be, and
    ``BrowserCrashed`` when the browser goes away while it starts.
    """
    options = _options(settings, found, flags)
    if settings.grid is not None:
        processes.remove_locks(profile)  # of a browser on a node that was lost
        return GridEngine(settings.grid, options, found)
    return LocalEngine(settings, found, profile, options)


class LocalEngine:
    """ChromeDriver and Chromium in a process session of their own on this machine."""

    def __init__(
        self,
        settings: BrowserSettings,
        found: chromium.Chromium,
        profile: Path,
        options: ChromeOptions,
    ) -> None:
        processes.release_profile(profile)
        self._profile = profile
        self._service = _service(found, chromium.environment(settings, profile))
        self.driver = _start(self._service, options)
        self.processes = self._service.process.pid
        try:
            self.address = _socket_address(self.driver)
        except BaseException:
            self.end()
            raise

    def wait_for_end(self) -> bool:
        """Wait until only the driver is left; whether that was so in time."""
        driver = {self.processes}
        return processes.wait_until(
            lambda: set(processes.members(self.processes)) <= driver, CLOSING
        )

    def end(self) -> None:
        """End all processes at once."""
        processes.end_session(self.processes, patience=1.0)
        self._service.process.wait(timeout=processes.KILLING)
        processes.remove_locks(self._profile)


class GridEngine:
    """A session of a Selenium Grid; the node ends the browser when the session ends.

    The node must run the same Chromium and see the profiles' folder under the same path.
    """

    def __init__(self, url: str, options: ChromeOptions, found: chromium.Chromium) -> None:
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver import Remote
        from urllib3.exceptions import HTTPError

        try:
            self.driver = Remote(command_executor=url, options=options)
        except (WebDriverException, HTTPError, OSError) as error:
            raise BrowserCrashed(f"the grid at {url} gives no browser: {_reason(error)}") from error
        told = self.driver.capabilities
        self.address = _through(url, str(told.get("se:cdp", "")))
        version = str(told.get("browserVersion", ""))
        if not self.address or _major(version) != _major(found.version):
            self.end()
            raise Unavailable(
                f"the grid at {url} runs Chromium {version or 'of no known version'}"
                + ("" if self.address else " without DevTools (se:cdp)")
                + f"; here it is {found.version}",
                fix="give the grid nodes the same Chromium, with their own DevTools proxy",
            )

    def wait_for_end(self) -> bool:
        """The node waits."""
        return True

    def end(self) -> None:
        """End the session, unless its node is lost."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        with suppress(WebDriverException, HTTPError, OSError):
            self.driver.quit()


def _through(grid: str, address: str) -> str:
    """The DevTools socket's address by way of the grid: it names itself as its nodes see it."""
    if not address:
        return ""
    parts = urlsplit(grid)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, urlsplit(address).path, "", ""))


def _major(version: str) -> str:
    return version.split(".", maxsplit=1)[0]


def _reason(error: Exception) -> str:
    text = getattr(error, "msg", None) or str(error) or "no reason given"
    return str(text).splitlines()[0][:300]


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


def _start(service: ChromeService, options: ChromeOptions) -> WebDriver:
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver import Chrome
    from urllib3.exceptions import HTTPError

    try:
        return Chrome(options=options, service=service)
    except (WebDriverException, HTTPError, OSError) as error:
        started = getattr(service, "process", None)
        if started is not None:
            processes.end_session(started.pid, patience=1.0)
        raise BrowserCrashed(f"Chromium does not start: {_reason(error)}") from error


def _socket_address(driver: WebDriver) -> str:
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
