"""A running browser: its engine, and our own DevTools connection to all that it opens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

from echoaudit.instruments.browser import chromium, consent, engines, processes
from echoaudit.instruments.browser.devtools import DevTools
from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed
from echoaudit.instruments.browser.targets import Target, Targets
from echoaudit.study.models import BrowserSettings

OPENING = 15.0
"""Seconds a new tab, or the beginning of a recording, gets."""


class Session:
    """One start of the browser on a profile, until ``close``."""

    def __init__(
        self, settings: BrowserSettings, profile: Path, extra_arguments: Sequence[str] = ()
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.chromium = chromium.find(settings)
        self.binding = f"_{secrets.token_hex(6)}"
        banners = banner_scripts(settings)
        flags = chromium.arguments(settings, self.chromium, profile, extra_arguments)
        self.engine = engines.start(settings, self.chromium, profile, flags)
        self.driver = self.engine.driver
        self.targets = Targets(
            self.binding, harvest_script(self.binding), package_text("inspect.js"), banners
        )
        self.stuck = False
        """Whether a page could not be closed: the browser should be replaced."""
        self.proxy_said: str | None = None
        """What the page at ``browser.proxy_probe`` said when it was loaded through the proxy."""
        try:
            self.devtools = DevTools(self.engine.address, self.targets.handle)
            self.targets.start(self.devtools.post).result(OPENING)
            self.devtools.call("Browser.setDownloadBehavior", {"behavior": "deny"}, "", OPENING)
        except (CommandFailed, TimeoutError) as error:
            self.engine.end()
            reason = str(error) or f"no answer within {OPENING:g} s"
            raise BrowserCrashed(
                f"the browser does not let itself be recorded: {reason}"
            ) from error
        except BaseException:
            self.engine.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether the browser still holds its DevTools connection."""
        return self.devtools.is_open

    def close(self) -> bool:
        """Let the browser write its profile, then end all its processes; whether it wrote it."""
        written = False
        with suppress(BrowserCrashed, CommandFailed, TimeoutError):  # gone or hung: ended by force
            self.devtools.call("Browser.close", timeout=engines.CLOSING)
            written = self.engine.wait_for_end()
        self.devtools.close()
        self.engine.end()
        return written


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


def banner_scripts(settings: BrowserSettings) -> consent.Scripts | None:
    """What answers consent banners; ``Unavailable`` when the rule set has not been fetched."""
    if settings.consent == "ignore":
        return None
    return consent.scripts(settings.consent, f"_{secrets.token_hex(6)}", package_text("consent.js"))


def package_text(name: str) -> str:
    """One of the scripts that come along."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
