"""The browser that carries an account's profile: visits, sign-in, and its own health check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from echoaudit.errors import EchoauditError, Unavailable
from echoaudit.instruments.browser.errors import BrowserCrashed
from echoaudit.study.models import BrowserSettings, OptOut, SignIn, StorePage

if TYPE_CHECKING:
    from echoaudit.instruments.browser.cookies import Cookie, Restored
    from echoaudit.instruments.browser.robots import Refusal, Robots
    from echoaudit.instruments.browser.session import Session
    from echoaudit.instruments.browser.storepage import Action, Enabling
    from echoaudit.instruments.browser.visit import Visit

__all__ = ["Browser", "BrowserCrashed", "check"]

STARTS = 3
"""How often a browser that crashes while it starts is started."""

Check = tuple[str, str, str, str | None]
"""Name, state (ok, warn, fail, not here), what was found, and the fix."""


class Browser:
    """Chromium on one account's profile; a context manager.

    ``profile`` is made when absent (0700) and keeps cookies from one use to the next. Raises
    ``Unavailable`` when Chromium, its driver or Selenium is missing or odd, or when third-party
    cookies are not as configured; ``BrowserCrashed`` when the browser goes away or hangs.
    """

    def __init__(
        self,
        settings: BrowserSettings,
        profile: Path,
        *,
        extra_arguments: Sequence[str] = (),
        account: str = "",
        cookies: Sequence[Cookie] | None = None,
    ) -> None:
        """``account`` tells which proxy is its own; the settings' common one is used without.

        ``cookies`` are those that the profile must begin with, as DevTools listed them: an earlier
        browser was ended before it had written them. Without them the profile stays as it is.
        """
        self._settings = settings.of(account)
        self._account = account
        self._profile = profile.absolute()
        self._extra = tuple(extra_arguments)
        self._running: Session | None = None
        self._robots: Robots | None = None
        self._cookies = cookies
        self.restored: Restored | None = None
        """What was done to bring the profile's cookies to what they must be."""
        self.in_order = True
        """Whether the browser had written its profile when it was closed the last time."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def visit(self, url: str, folder: Path) -> Visit:
        """Visit ``url``; page.har, bids.json, cookies.json and page.png go into ``folder``.

        A site that fails, blocks or never ends is a result, not an error; so is one whose
        robots.txt does not allow the page, where the settings obey it. A browser that a previous
        page had left hung is replaced first.
        """
        refusal = self.refusal(url) if self._settings.robots == "obey" else None
        if refusal is None:
            return self._visit(url, folder)
        from echoaudit.instruments.browser.visit import leave_out

        return leave_out(self._session(), url, folder, refusal)

    def _visit(self, url: str, folder: Path) -> Visit:
        from echoaudit.instruments.browser.visit import visit

        return visit(self._session(), url, folder)

    def refusal(self, url: str) -> Refusal | None:
        """Why ``url`` must not be visited by its site's robots.txt, which a visit asks for."""
        from echoaudit.instruments.browser.robots import Robots

        self._robots = self._robots or Robots(self._visit)
        return self._robots.refusal(url)

    def sign_in(self, sign_in: SignIn, username: str, password: str) -> Visit:
        """Sign the account in by the platform's form; nothing of it is written."""
        from echoaudit.instruments.browser.signin import sign_in as fill_in

        return fill_in(self._session(), sign_in, username, password)

    def await_sign_in(self, sign_in: SignIn, patience: float) -> Visit:
        """Wait on the sign-in page until a person has signed the account in, or ``patience``."""
        from echoaudit.instruments.browser.signin import await_sign_in

        return await_sign_in(self._session(), sign_in, patience)

    def opt_out(self, page: OptOut) -> Visit:
        """Opt the signed-in account out of interest-based advertising, by the platform's page."""
        from echoaudit.instruments.browser.signin import opt_out

        return opt_out(self._session(), page)

    def enabling(self, store: StorePage, skill: str, action: Action, picture: Path) -> Enabling:
        """Enable or disable a skill in the platform's store; its page's picture is kept."""
        from echoaudit.instruments.browser.storepage import enabling

        return enabling(self._session(), store, skill, action, picture)

    def close(self) -> None:
        """Save the profile and end the browser with all its processes."""
        running, self._running = self._running, None
        if running is not None:
            self.in_order = running.close()

    def _session(self) -> Session:
        if self._running is None:
            raise RuntimeError("the browser is used outside its 'with' block")
        if self._running.stuck:
            self.close()
            self._start()
        return self._running

    def _start(self) -> Session:
        try:
            from echoaudit.instruments.browser import cookies, probe, proxies
            from echoaudit.instruments.browser.session import Session
        except ImportError as error:
            raise Unavailable(
                f"the browser needs the package {error.name}", fix="pip install 'echoaudit[web]'"
            ) from error
        self._profile.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = proxies.credentials(self._settings, self._account)

        def prove(session: Session) -> None:
            probe.prove_cookie_setting(session)
            session.proxy_said = proxies.prove(session, secret)
            if self._cookies is not None:
                self.restored = cookies.bring(session, self._cookies)

        attempts = 0
        while True:
            attempts += 1
            try:
                started = self._start_once(Session, prove)
            except BrowserCrashed as crash:
                if attempts == STARTS:
                    fix = "run 'echoaudit doctor browser', or try with another profile folder"
                    raise Unavailable(str(crash), fix=fix) from crash
            else:
                self._cookies = None  # a browser that takes its place goes on from what it has
                return started

    def _start_once(self, start: type[Session], prove: Callable[[Session], None]) -> Session:
        self._running = start(self._settings, self._profile, self._extra)
        try:
            prove(self._running)
        except BaseException:
            self.close()
            raise
        return self._running


def check(settings: BrowserSettings) -> list[Check]:
    """What ``echoaudit doctor`` tells about the browser; starts it once on a passing profile."""
    from tempfile import TemporaryDirectory

    from echoaudit.instruments.browser import chromium

    try:
        found = chromium.find(settings)
    except Unavailable as error:
        return [("browser", "fail", error.message, error.fix)]
    checks: list[Check] = [
        ("browser", "ok", f"Chromium {found.version} at {found.binary}", None),
        ("browser-driver", "ok", f"ChromeDriver {found.driver_version} at {found.driver}", None),
    ]
    with TemporaryDirectory(prefix="echoaudit-") as folder:
        return [*checks, _start_check(settings, Path(folder))]


def _start_check(settings: BrowserSettings, profile: Path) -> Check:
    name = "browser-cookies"
    try:
        with Browser(settings, profile):
            pass
    except Unavailable as error:
        return (name, "fail", error.message, error.fix)
    except EchoauditError as error:
        return (name, "fail", str(error), None)
    proven = f"starts; third-party cookies: {settings.third_party_cookies}, proven"
    return (name, "ok", proven, None)
