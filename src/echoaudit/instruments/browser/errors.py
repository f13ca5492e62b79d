"""What can go wrong with a browser, as named errors."""

from __future__ import annotations

from echoaudit.errors import EchoauditError


class BrowserCrashed(EchoauditError):
    """The browser is gone or no longer answers; close it and open another on the same profile."""


class CommandFailed(EchoauditError):
    """The browser refused one DevTools command, for instance because a tab had just closed."""
