"""Consent banners, answered as the study says by the kept rule set, and what became of them.

The rule set's library runs in every document from its start, in a script world of its own. It looks
for banners, works them by its rules, and tells here how far it is. What its rules must ask of the
page itself is asked from here, since its own world does not reach there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from echoaudit.instruments.browser import consent_rules
from echoaudit.instruments.browser.consent_rules import Answer
from echoaudit.instruments.browser.devtools import Answer as Told

Policy = Literal["accept", "reject", "ignore"]
State = Literal["none", "done", "failed", "ignored", "unknown"]
WORLD = "echoaudit-consent"
"""Name of the script world of the library."""
CALM = 1.0
"""Seconds without anything under way after which no banner is expected any more."""
LIMIT = 20.0
"""Seconds for answering a banner, after the page has loaded."""
ATTEMPTS = 2
"""How often a page is looked at for a banner at least; half a second lies between."""
ACTING = frozenset({"openPopupDetected", "runningOptIn", "runningOptOut"})
TEXT_LIMIT = 100
MESSAGES_LIMIT = 5000
ACTIONS = {"accept": "optIn", "reject": "optOut"}

Place = tuple[str, int]
"""A document's own world: session and script context."""


@dataclass(frozen=True)
class Consent:
    """What became of a page's consent banner."""

    policy: Policy
    """What was to be answered."""
    state: State
    """``none`` was found, ``done`` as the policy says, ``failed``; when none is answered,
    ``ignored`` (one stood) or ``unknown`` (nobody could look)."""
    cmp: str | None = None
    """The consent manager by the rule's name; also of one that showed no banner."""
    reason: str | None = None
    """Why it failed, or could not be looked for."""
    seconds: float | None = None
    """From the banner's being seen to its being answered."""
    clicks: int = 0
    confirmed: bool | None = None
    """What the rule's own test says of a rejection, where it has one."""
    rules: str | None = None
    """The rule set and its version."""


@dataclass
class Banner:
    """The banners of one visit, as the library tells of them; fed by the DevTools thread."""

    answer: Answer
    messages: int = 0
    attempts: int = 0
    """How often the page itself, not its frames, was looked at."""
    detected: dict[str, None] = field(default_factory=dict)
    """Consent managers found, with or without a banner."""
    acting: dict[Place, str] = field(default_factory=dict)
    """Documents in which a banner is being answered, and whose it is."""
    popup: str | None = None
    """Whose banner was seen last."""
    seen_at: float = 0.0
    answered_at: float = 0.0
    """Monotonic."""
    done: bool = False
    left: bool = False
    """The document went away while its banner was being answered, as after a click that reloads."""
    reason: str | None = None
    clicks: int = 0
    confirmed: bool | None = None
    testable: bool = False
    """Whether the rule has a test of its own."""
    closing: bool = False
    """Whether it is still being looked at if an answered banner goes away."""
    closing_in: Place = ("", 0)
    closed: bool | None = None

    def take(self, place: Place, payload: str) -> dict[str, Any] | None:
        """Take in a message; what is to be asked of the page or the library is given back."""
        self.messages += 1
        message = _parse(payload)
        if message is None or self.messages > MESSAGES_LIMIT:
            return None
        match message.get("type"):
            case "eval":
                return message
            case "report":
                self._report(place, message)
            case "cmpDetected":
                self.detected.setdefault(_name(message))
            case "popupFound":
                self._found(place, _name(message))
            case "optInResult" | "optOutResult":
                self._result(place, message)
            case "autoconsentDone":
                self._done(place, message)
                return {"type": "selfTest"} if self.testable else None
            case "closed":
                self.closing = False
                self.closed = message["result"] if message.get("result") in (True, False) else None
            case "selfTestResult":
                self.confirmed = message.get("result") is True
        return None

    def gone(self, session: str, context: int | None = None) -> None:
        """A document, or all of a session, went away."""
        if self.closing and session == self.closing_in[0] and context in (None, self.closing_in[1]):
            self.closing = False
        for place in [*self.acting]:
            if place[0] == session and context in (None, place[1]):
                del self.acting[place]
                self.left, self.answered_at = True, time.monotonic()

    def is_over(self, quiet: bool, late: bool) -> bool:
        """Whether no banner need be waited for.

        Args:
            quiet: nothing has been under way on the page for a while.
            late: the page has had its time.
        """
        if self.done or self.reason:
            return not self.closing
        return not self.acting and (late or (quiet and self.attempts >= ATTEMPTS))

    def outcome(self) -> Consent:
        """What became of the banner so far."""
        state, reason = self._state()
        answered = self.answered_at - self.seen_at if self.popup and self.answered_at else None
        return Consent(
            self.answer,
            state,
            cmp=self.popup or next(iter(self.detected), None),
            reason=reason,
            seconds=None if answered is None else round(answered, 3),
            clicks=self.clicks,
            confirmed=self.confirmed,
            rules=consent_rules.NAME,
        )

    def _state(self) -> tuple[State, str | None]:
        if self.done and (self.closing or self.closed is False) and self.confirmed is not True:
            return "failed", f"the rule of {self.popup} pressed its buttons, the banner stayed"
        if self.done:
            return "done", None
        if self.popup is None:
            return "none", None
        if self.left and not self.acting and self.reason is None:
            return "done", None
        return "failed", self.reason or f"its banner was not answered within {LIMIT:g} s"

    def _report(self, place: Place, message: dict[str, Any]) -> None:
        if message.get("main") is True:
            self.attempts = max(self.attempts, _count(message.get("attempts")))
        self.clicks = max(self.clicks, _count(message.get("clicks")))
        if message.get("lifecycle") not in ACTING:
            self.acting.pop(place, None)

    def _found(self, place: Place, name: str) -> None:
        self.popup, self.reason, self.done, self.left = name, None, False, False
        self.closing, self.closed = False, None
        self.seen_at = self.seen_at or time.monotonic()
        self.acting[place] = name

    def _result(self, place: Place, message: dict[str, Any]) -> None:
        self.acting.pop(place, None)
        self.testable = message.get("scheduleSelfTest") is True
        if message.get("result") is not True:
            self.reason = f"the rule of {_name(message)} could not {self.answer}"

    def _done(self, place: Place, message: dict[str, Any]) -> None:
        self.acting.pop(place, None)
        self.done, self.answered_at = True, time.monotonic()
        self.closing, self.closing_in = message.get("main") is True, place
        self.clicks = max(self.clicks, _count(message.get("totalClicks")))


def _parse(payload: str) -> dict[str, Any] | None:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _name(message: dict[str, Any]) -> str:
    return str(message.get("cmp"))[:TEXT_LIMIT]


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 10_000 else 0


# --- the library's side -----------------------------------------------------------------------


@dataclass(frozen=True)
class Scripts:
    """What documents start with so that their banners are answered."""

    answer: Answer
    binding: str
    """The function by which the library tells; only its own world has it."""
    page: str
    frame: str
    """The same for cross-site frames, with the few rules that are for frames."""


def scripts(answer: Answer, binding: str, glue: str) -> Scripts:
    """The kept library with the rules for an answer.

    Raises:
        Unavailable: set-up has not fetched it.
    """
    library, whole, framed = _texts(answer)

    def script(page: str) -> str:
        rules = f"{{page: {json.dumps(page)}, frame: {json.dumps(framed)}}}"
        head = f"{glue.rstrip()}({json.dumps(binding)}, {json.dumps(settings(answer))}, {rules});"
        return f"{head}\n{library}"

    return Scripts(answer, binding, script(whole), script(framed))


@cache
def _texts(answer: Answer) -> tuple[str, str, str]:
    kept = consent_rules.load()
    whole = json.dumps(consent_rules.usable(kept.rules, answer))
    return kept.library, whole, json.dumps(consent_rules.usable(kept.rules, answer, framed=True))


def settings(answer: Answer | None) -> dict[str, Any]:
    """The library's settings: nothing is hidden, and a button is looked for by its words only when
    it is to reject; without an answer nothing is done."""
    return {
        "enabled": True,
        "autoAction": ACTIONS[answer] if answer else "",
        "enablePrehide": False,
        "enableCosmeticRules": False,
        "enableGeneratedRules": True,
        "detectRetries": 20,
        "isMainWorld": False,
        "heuristicMode": "reject" if answer == "reject" else "off",
        "logs": dict.fromkeys(
            ("lifecycle", "rulesteps", "detectionsteps", "evals", "errors", "messages", "waits"),
            False,
        ),
    }


Evaluate = Callable[[str, str, int], Future[Told]]
"""Evaluates an expression: expression, session, script context."""


def reply(message: dict[str, Any], page: Place | None, own: Place, evaluate: Evaluate) -> None:
    """Ask what ``Banner.take`` gave back.

    Args:
        message: a rule's question to the page, or to the library for the rule's own test.
        page: the page's own script context in that frame; None when it has gone.
        own: the library's context there.
        evaluate: asks without waiting.
    """

    def tell(answer: dict[str, Any]) -> None:
        evaluate(f"autoconsentReceiveMessage({json.dumps(answer)})", *own)

    def told(done: Future[Told]) -> None:
        failed = done.exception() is not None
        result = not failed and bool(done.result().get("result", {}).get("value"))
        tell({"type": "evalResp", "id": message.get("id"), "result": result})

    if message.get("type") != "eval":
        tell(message)
    elif page is None:
        tell({"type": "evalResp", "id": message.get("id"), "result": False})
    else:
        evaluate(str(message.get("code")), *page).add_done_callback(told)
