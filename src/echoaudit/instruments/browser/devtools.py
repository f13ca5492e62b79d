"""A DevTools socket of our own: every target of the browser over one connection.

WebDriver's performance log and BiDi both miss requests of cross-site frames and workers; the raw
protocol does not. Commands are answered through futures, so that many can be under way at once;
events are handed to one listener, in order, on the socket's own thread.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import websocket

from echoaudit.instruments.browser.errors import BrowserCrashed, CommandFailed

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]
GONE = "the browser closed its DevTools connection"


@dataclass(frozen=True, slots=True)
class Event:
    """One DevTools event; ``session`` is empty for events of the browser itself."""

    method: str
    params: Mapping[str, Any]
    session: str


class DevTools:
    """One connection to a browser."""

    def __init__(self, url: str, listener: Callable[[Event], None]) -> None:
        """Connect to the browser's socket at ``url``; ``listener`` must not block.

        Raises ``BrowserCrashed`` when there is nothing to connect to.
        """
        try:
            self._socket = websocket.create_connection(
                url, timeout=10, suppress_origin=True, skip_utf8_validation=True
            )
        except (OSError, websocket.WebSocketException) as error:
            raise BrowserCrashed(
                f"the browser's DevTools socket does not answer: {error}"
            ) from error
        self._socket.settimeout(None)
        self._listener = listener
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Answer]] = {}
        self._lock = Lock()
        self._open = True
        self._thread = Thread(target=self._read, name="devtools", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the browser still holds the connection."""
        return self._open

    def post(
        self, method: str, params: Mapping[str, Any] | None = None, session: str = ""
    ) -> Future[Answer]:
        """Send a command and return at once; the future holds its answer or its error."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        answer: Future[Answer] = Future()
        with self._lock:
            if not self._open:
                answer.set_exception(BrowserCrashed(GONE))
                return answer
            self._waiting[number] = answer
        try:
            self._socket.send(json.dumps(message))
        except (OSError, websocket.WebSocketException):
            self._end()
        return answer

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        session: str = "",
        timeout: float = 10.0,
    ) -> Answer:
        """Send a command and wait for its answer, at most ``timeout`` seconds.

        Raises ``CommandFailed`` when the browser refuses it, ``BrowserCrashed`` when it is gone
        and ``TimeoutError`` when no answer comes in time (a page may block its own session).
        """
        try:
            return self.post(method, params, session).result(timeout)
        except FutureTimeout as error:
            raise TimeoutError(f"no answer to {method} within {timeout:g} s") from error

    def close(self) -> None:
        """End the connection; the browser keeps running."""
        self._end()
        self._socket.close()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        while self._open:
            try:
                text = self._socket.recv()
            except (OSError, websocket.WebSocketException):
                break
            if not text:
                break
            self._dispatch(json.loads(text))
        self._end()

    def _dispatch(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._settle(message)
            return
        event = Event(message["method"], message.get("params", {}), message.get("sessionId", ""))
        try:
            self._listener(event)
        except Exception:
            # One odd event must not end the recording of the others.
            log.exception("DevTools event %s could not be recorded", event.method)

    def _settle(self, message: dict[str, Any]) -> None:
        with self._lock:
            answer = self._waiting.pop(message["id"], None)
        if answer is None:
            return
        if "error" in message:
            answer.set_exception(CommandFailed(str(message["error"].get("message", "refused"))))
        else:
            answer.set_result(message.get("result", {}))

    def _end(self) -> None:
        with self._lock:
            self._open = False
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(BrowserCrashed(GONE))
