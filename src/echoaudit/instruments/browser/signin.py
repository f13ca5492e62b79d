"""Signing an account's browser in to the platform, as a person would: by its form."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from echoaudit.instruments.browser import chromium
from echoaudit.instruments.browser.errors import BrowserCrashed
from echoaudit.instruments.browser.session import Session
from echoaudit.instruments.browser.visit import State, Visit
from echoaudit.study.models import SignIn

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

POLL = 0.1
_NETWORK_ERROR = re.compile(r"net::ERR_[A-Z0-9_]+")
_READY = "return document.readyState"


def sign_in(session: Session, form: SignIn, username: str, password: str) -> Visit:
    """Fill in the sign-in form and wait for the cookie that shows success.

    A profile that is signed in already is left as it is. Secrets appear in no state or reason.
    ``BrowserCrashed`` when the browser or its driver is gone.
    """
    from selenium.common.exceptions import (
        NoSuchElementException,
        TimeoutException,
        WebDriverException,
    )
    from urllib3.exceptions import HTTPError

    started = time.time()
    timeout = session.settings.page_timeout
    session.driver.set_page_load_timeout(timeout)
    try:
        session.driver.get(form.url)
        if _signed_in(session, form):
            return _result(session, started, "complete", "was signed in already")
        submitted = _fill_in(session.driver, form, username, password)
        if _wait_for_cookie(session, form, timeout):
            _wait_for_landing(session, submitted)
            return _result(session, started, "complete", None)
        return _result(session, started, "failed", f"no cookie {form.signed_in_cookie} was set")
    except NoSuchElementException:
        return _result(
            session, started, "failed", "the sign-in page lacks one of the form's fields"
        )
    except TimeoutException:
        return _result(session, started, "timeout", f"no sign-in page within {timeout:g} s")
    except WebDriverException as error:
        unreachable = _NETWORK_ERROR.search(error.msg or "")
        if unreachable is None:
            raise BrowserCrashed("the browser went away during the sign-in") from error
        return _result(
            session, started, "failed", f"{form.url} cannot be reached: {unreachable[0]}"
        )
    except HTTPError as error:
        raise BrowserCrashed("the browser's driver went away during the sign-in") from error


def _fill_in(driver: Chrome, form: SignIn, username: str, password: str) -> WebElement:
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


def _wait_for_cookie(session: Session, form: SignIn, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not _signed_in(session, form):
        if time.monotonic() >= end:
            return False
        time.sleep(POLL)
    return True


def _signed_in(session: Session, form: SignIn) -> bool:
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


def _result(session: Session, started: float, state: State, reason: str | None) -> Visit:
    return Visit(
        state=state,
        reason=reason,
        started=started,
        ended=time.time(),
        browser=chromium.describe(session.settings, session.chromium),
    )
