"""What an account's owner does on the platform's pages: signing in, opting out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from echoaudit.instruments.browser import chromium
from echoaudit.instruments.browser.acting import POLL, act_on, wait_until
from echoaudit.instruments.browser.session import Session
from echoaudit.instruments.browser.visit import State, Visit
from echoaudit.study.models import OptOut, SignIn

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

_READY = "return document.readyState"


def sign_in(session: Session, form: SignIn, username: str, password: str) -> Visit:
    """Fill in the sign-in form and wait for the cookie that shows success.

    A profile that is signed in already is left as it is. Secrets appear in no state or reason.
    ``BrowserCrashed`` when the browser or its driver is gone.
    """

    def act() -> tuple[State, str | None]:
        if signed_in(session, form):
            return "complete", "was signed in already"
        submitted = _fill_in(session.driver, form, username, password)
        if wait_until(lambda: signed_in(session, form), session.settings.page_timeout):
            _wait_for_landing(session, submitted)
            return "complete", None
        return "failed", f"no cookie {form.signed_in_cookie} was set"

    return _on_page(session, form.url, "sign-in", act)


def await_sign_in(session: Session, form: SignIn, patience: float) -> Visit:
    """Show the sign-in page and wait until a person has signed in there.

    A profile that is signed in already is left as it is. The state is ``failed`` when nobody has
    signed in within ``patience`` seconds; ``BrowserCrashed`` when the window was closed before.
    """

    def act() -> tuple[State, str | None]:
        if signed_in(session, form):
            return "complete", "was signed in already"
        if wait_until(lambda: signed_in(session, form), patience):
            # The pages behind the form tell the platform's other domains who signed in.
            time.sleep(session.settings.settle)
            return "complete", None
        return "failed", f"no cookie {form.signed_in_cookie} is there"

    return _on_page(session, form.url, "sign-in", act)


def opt_out(session: Session, page: OptOut) -> Visit:
    """Click on the platform's opt-out and wait until the page shows it.

    An account that has opted out already is left as it is. ``BrowserCrashed`` when the browser or
    its driver is gone.
    """
    from selenium.webdriver.common.by import By

    def shown() -> bool:
        return bool(session.driver.find_elements(By.CSS_SELECTOR, page.opted_out))

    def act() -> tuple[State, str | None]:
        if shown():
            return "complete", "had opted out already"
        session.driver.find_element(By.CSS_SELECTOR, page.submit).click()
        if wait_until(shown, session.settings.page_timeout):
            return "complete", None
        return "failed", f"the page never showed {page.opted_out}"

    return _on_page(session, page.url, "opt-out", act)


def _on_page(
    session: Session, url: str, what: str, act: Callable[[], tuple[State, str | None]]
) -> Visit:
    started = time.time()
    state, reason = act_on(session, url, what, act)
    browser = chromium.describe(session.settings, session.chromium)
    return Visit(state=state, reason=reason, started=started, ended=time.time(), browser=browser)


def _fill_in(driver: WebDriver, form: SignIn, username: str, password: str) -> WebElement:
    """Send the form; returns its button."""
    from selenium.webdriver.common.by import By

    for selector, text in ((form.username_field, username), (form.password_field, password)):
        found = driver.find_element(By.CSS_SELECTOR, selector)
        found.clear()
        found.send_keys(text)
    button = driver.find_element(By.CSS_SELECTOR, form.submit)
    button.click()
    return button


def _wait_for_landing(session: Session, submitted: WebElement) -> None:
    """Wait for the page behind the form: its redirects tell the platform's other domains.

    A platform that stays on the form's page is taken as landed after the settling time.
    """
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.expected_conditions import staleness_of
    from selenium.webdriver.support.wait import WebDriverWait

    wait = WebDriverWait(session.driver, session.settings.settle, POLL)
    with suppress(TimeoutException):
        wait.until(staleness_of(submitted))
        wait.until(lambda driver: driver.execute_script(_READY) == "complete")


def signed_in(session: Session, form: SignIn) -> bool:
    """Whether the sign-in page's own site has set its cookie."""
    host = urlsplit(form.url).hostname or ""
    cookies = session.devtools.call("Storage.getCookies")["cookies"]
    return any(
        cookie["name"] == form.signed_in_cookie and _belongs(str(cookie["domain"]), host)
        for cookie in cookies
    )


def _belongs(domain: str, host: str) -> bool:
    bare = domain.lstrip(".")
    return host == bare or host.endswith(f".{bare}") or bare.endswith(f".{host}")
