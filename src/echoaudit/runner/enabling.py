"""Enabling a skill in the store before its conversation, and disabling it after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from echoaudit.instruments.browser import BrowserCrashed
from echoaudit.instruments.browser.storepage import Action, Enabling, page_of
from echoaudit.recording import write_json

if TYPE_CHECKING:
    from echoaudit.instruments.browser import Browser
    from echoaudit.study.models import Skill, StorePage

STORE = "store.json"
AGAIN = ("timeout", "failed")
"""States after which another attempt may do better."""


@dataclass
class StoreVisits:
    """What was done in the store in one session."""

    store: StorePage
    browser: Callable[[], AbstractContextManager[Browser]]
    """A browser with the account's profile, for as long as it is entered."""
    attempts: int
    folder: Path
    done: list[Enabling] = field(default_factory=list)

    @contextmanager
    def around(self, skill: Skill) -> Iterator[None]:
        """Enable ``skill``, let it be talked to, disable it; ``store.json`` tells what came of
        it, from the first attempt on: a session may be interrupted at any time.

        A skill that could not be enabled is talked to all the same: what it answers is evidence.
        """
        self._bring(skill, "enable")
        yield
        self._bring(skill, "disable")

    @property
    def failure(self) -> str | None:
        """Why the skill was not enabled."""
        last = [one for one in self.done if one.action == "enable"][-1:]
        return next(
            (f"not enabled: {one.reason or one.state}" for one in last if not one.done), None
        )

    def _bring(self, skill: Skill, action: Action) -> None:
        for number in range(1, self.attempts + 1):
            picture = self.folder / f"store-{action}-{number}.png"
            self.done.append(self._attempt(skill, action, picture))
            write_json(self.folder / STORE, [one.to_json() for one in self.done])
            if self.done[-1].state not in AGAIN:
                return

    def _attempt(self, skill: Skill, action: Action, picture: Path) -> Enabling:
        started = time.time()
        try:
            with self.browser() as browser:
                return browser.enabling(self.store, skill.id, action, picture)
        except BrowserCrashed as crash:
            url = page_of(self.store, skill.id)
            return Enabling(action, "failed", str(crash), url, started, time.time(), None)
