"""A visit under way: its tab, its record, its budgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from echoaudit.instruments.browser.devtools import Answer
from echoaudit.instruments.browser.errors import BrowserCrashed
from echoaudit.instruments.browser.inspector import PATIENCE
from echoaudit.instruments.browser.session import Session
from echoaudit.instruments.browser.targets import Record

TICK = 0.02
RECEIVED_LIMIT = 64 * 1024**2
"""Bytes on the wire per visit."""
DECODED_LIMIT = 128 * 1024**2
"""Bytes per visit after decompression."""


@dataclass
class Course:
    """A visit under way."""

    session: Session
    record: Record
    url: str
    tab: str
    started: float
    navigation: Future[Answer] | None = None
    notes: list[str] = field(default_factory=list)
    over_budget: str | None = None
    looks: int = 0
    """How often the page has been looked at."""
    until: float = 0.0
    """When waiting for silence ends at the latest (monotonic)."""

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Ask the visited tab."""
        return self.session.devtools.call(method, params, self.record.session, PATIENCE)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether ``condition`` came true; ends early when the page dies or is too big."""
        end = time.monotonic() + seconds
        while not condition():
            if not self.session.alive:
                raise BrowserCrashed(f"the browser went away during the visit to {self.url[:200]}")
            if time.monotonic() >= end or self._must_stop():
                return False
            time.sleep(TICK)
        return True

    def _must_stop(self) -> bool:
        recorder = self.record.recorder
        if recorder.received > RECEIVED_LIMIT:
            self.over_budget = f"more than {RECEIVED_LIMIT // 1024**2} MiB received"
        elif recorder.decoded > DECODED_LIMIT:
            self.over_budget = f"more than {DECODED_LIMIT // 1024**2} MiB after decompression"
        return self.record.crashed or self.over_budget is not None

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing is under way, no request and no auction, and was not for a while."""
        quiet = time.monotonic() - self.record.active >= seconds
        return quiet and not self.record.recorder.open and not self.record.harvest.running
