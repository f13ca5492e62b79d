"""Enabling and disabling a skill on its page in the platform's store, by the account's browser."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from echoaudit.instruments.browser.acting import POLL, act_on, wait_until
from echoaudit.instruments.browser.session import Session
from echoaudit.study.models import EnablingState, StorePage

Action = Literal["enable", "disable"]
Outcome = tuple[EnablingState, str | None]
ERRORS, GONE = 400, (404, 410)
"""Least HTTP status of an error; those of a page that is not there."""
REASON = 200
"""Characters of a store's message that are kept."""

_STATUS = "return performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0"
# Asked in one go: elements found one moment may be gone the next, while a page changes.
_SHOWN = """
const found = [...document.querySelectorAll(arguments[0])];
const seen = found.find(element => element.getClientRects().length);
return seen ? seen.innerText || " " : null;
"""


@dataclass(frozen=True)
class Enabling:
    """What came of one attempt to enable or disable a skill."""

    action: Action
    state: EnablingState
    reason: str | None
    url: str
    started: float
    """Seconds since 1970."""
    ended: float
    picture: str | None
    """File of the page's picture, when there is one."""

    @property
    def done(self) -> bool:
        """Whether the skill is now as it should be."""
        return self.state in (f"{self.action}d", f"already {self.action}d")

    def to_json(self) -> dict[str, Any]:
        """The record kept in ``store.json``."""
        return asdict(self)


def page_of(store: StorePage, skill: str) -> str:
    """The address of a skill's page."""
    return store.url.replace("{id}", quote(skill, safe=""))


def enabling(
    session: Session, store: StorePage, skill: str, action: Action, picture: Path
) -> Enabling:
    """Enable or disable a skill, granting what it asks for, and keep a picture of the page.

    A store without the skill, one that refuses, and one that never answers are results.
    ``BrowserCrashed`` when the browser or its driver is gone.
    """
    url, started = page_of(store, skill), time.time()

    def act() -> Outcome:
        outcome = _Page(session, store, skill).bring(action)
        _keep(session, store, picture)
        return outcome

    state, reason = act_on(session, url, "store", act)
    kept = picture.name if picture.exists() else None
    return Enabling(action, state, reason, url, started, time.time(), kept)


class _Page:
    """A skill's page, loaded."""

    def __init__(self, session: Session, store: StorePage, skill: str) -> None:
        self.driver, self.settings = session.driver, session.settings
        self.store, self.skill = store, skill

    def bring(self, action: Action) -> Outcome:
        """Make the skill enabled or disabled."""
        status = int(self.driver.execute_script(_STATUS))
        if status >= ERRORS:
            state: EnablingState = "not found" if status in GONE else "refused"
            return state, f"the store answered with status {status}"
        wait_until(lambda: self._is("enable") or self._is("disable"), self.settings.settle)
        if self._is(action):
            return ("already enabled" if action == "enable" else "already disabled"), None
        button = self.store.enable if action == "enable" else self.store.disable
        if not self._shows(button):
            return self._without(button)
        self._click(button)
        return self._after(action)

    def _after(self, action: Action) -> Outcome:
        """Wait for what follows the click; leave that the skill asks for is given once."""
        granted = action == "disable"
        end = time.monotonic() + self.settings.page_timeout
        while time.monotonic() < end:
            if self._is(action):
                return ("enabled" if action == "enable" else "disabled"), None
            refusal = self._text(self.store.refused) if self.store.refused else None
            if refusal:
                return "refused", refusal
            if not granted and self._shows(self.store.permissions):
                granted = True
                self._click(self.store.permissions)
            time.sleep(POLL)
        return "timeout", f"not {action}d within {self.settings.page_timeout:g} s of the click"

    def _without(self, button: str) -> Outcome:
        """Why there is nothing to click on."""
        address = urlsplit(self.driver.current_url)
        if quote(self.skill, safe="") not in address.path + address.query:
            return "refused", f"the store led to {address.hostname}{address.path[:REASON]} instead"
        return "failed", f"the page has no {button}; is the account signed in?"

    def _is(self, action: Action) -> bool:
        """Whether the page shows the skill as enabled, or else as one that can be."""
        on = self._shows(self.store.enabled)
        return on if action == "enable" else not on and self._shows(self.store.enable)

    def _shows(self, selector: str) -> bool:
        return self._seen(selector) is not None

    def _text(self, selector: str) -> str:
        return " ".join((self._seen(selector) or "").split())[:REASON]

    def _seen(self, selector: str) -> str | None:
        found = self.driver.execute_script(_SHOWN, selector)
        return None if found is None else str(found)

    def _click(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        buttons = self.driver.find_elements(By.CSS_SELECTOR, selector)
        next(button for button in buttons if button.is_displayed()).click()


def _keep(session: Session, store: StorePage, picture: Path) -> None:
    from selenium.webdriver.common.by import By

    found = session.driver.find_elements(By.CSS_SELECTOR, store.picture)
    if found and found[0].size["height"]:
        picture.write_bytes(found[0].screenshot_as_png)
