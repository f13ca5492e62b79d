"""Doing something on a page as its visitor would, and what of it is a result and what a fault."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from echoaudit.instruments.browser.errors import BrowserCrashed
from echoaudit.instruments.browser.session import Session

POLL = 0.1
_NETWORK_ERROR = re.compile(r"net::ERR_[A-Z0-9_]+")
S = TypeVar("S", bound=str)


def act_on(
    session: Session, url: str, what: str, act: Callable[[], tuple[S, str | None]]
) -> tuple[S | Literal["failed", "timeout"], str | None]:
    """Load ``url`` and ``act`` there; how it went and why.

    A page that does not come, or is not the one expected, is a result. ``BrowserCrashed`` when
    the browser or its driver is gone.
    """
    from selenium.common.exceptions import (
        ElementNotInteractableException,
        InvalidSelectorException,
        JavascriptException,
        NoSuchElementException,
        StaleElementReferenceException,
        TimeoutException,
        WebDriverException,
    )
    from urllib3.exceptions import HTTPError

    timeout = session.settings.page_timeout
    session.driver.set_page_load_timeout(timeout)
    try:
        session.driver.get(url)
        return act()
    except (InvalidSelectorException, JavascriptException):
        return "failed", f"a selector of the {what} page is no CSS selector"
    except NoSuchElementException:
        return "failed", f"the {what} page lacks one of the fields"
    except (ElementNotInteractableException, StaleElementReferenceException) as error:
        return "failed", f"the {what} page could not be clicked on: {type(error).__name__}"
    except TimeoutException:
        return "timeout", f"no {what} page within {timeout:g} s"
    except WebDriverException as error:
        unreachable = _NETWORK_ERROR.search(error.msg or "")
        if unreachable is None:
            raise BrowserCrashed(f"the browser went away during the {what}") from error
        return "failed", f"{url} cannot be reached: {unreachable[0]}"
    except HTTPError as error:
        raise BrowserCrashed(f"the browser's driver went away during the {what}") from error


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether ``condition`` came true within ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL)
    return True
