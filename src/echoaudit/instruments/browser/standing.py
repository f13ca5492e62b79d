"""Whether a consent banner stands on a page on which none is answered, by the kept rule set.

Looked for once, when the page has settled, from a script world of ours and by what is in the
document alone: nothing is clicked, and the page's scripts are asked nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import consent, consent_rules
from echoaudit.instruments.browser.consent import Consent
from echoaudit.instruments.browser.consent_rules import Rule
from echoaudit.instruments.browser.inspector import Inspector
from echoaudit.instruments.browser.targets import Document

SMALLEST = 100
"""Pixels of either side below which a frame cannot hold a banner."""
DETECTION = ("name", "runContext", "detectCmp", "detectPopup", "minimumRuleStepVersion")
"""The parts of a rule by which a banner is known."""
ASK = "eval"
"""A step that asks the page's own scripts."""
SOURCEPOINT = re.compile(r"[?&](?:message_id|requestUUID|consentUUID)=")
"""Addresses of frames that a rule of the library's own knows."""

BY_SIGHT: Sequence[Rule] = (
    {
        "name": "Cybotcookiebot",
        "detectCmp": [{"exists": "#CybotCookiebotDialog"}],
        "detectPopup": [{"visible": "#CybotCookiebotDialog"}],
    },
)
"""Of the library's own rules one only asks the page's scripts; this is what there is to see."""


UNSEEN = Consent("ignore", "unknown", reason="the page could not be looked at")


class Look:
    """One look at a page, in steps between which its documents work and other things are done."""

    def __init__(self, inspector: Inspector, tab: str, glue: str) -> None:
        """Ask the documents where they are.

        Args:
            inspector: asks the documents.
            tab: the page's own frame; whether it could be looked at decides between ``none`` and
                ``unknown``.
            glue: the script around the library (``standing.js``).
        """
        self._inspector = inspector
        self._tab = tab
        self._glue = glue
        self._hindered: Consent | None = None
        try:
            self._library, self._rules = kept()
        except Unavailable as error:
            self._hindered = Consent("ignore", "unknown", reason=error.message)
            return
        self._asked = inspector.ask(dict.fromkeys(inspector.documents, place(self._rules)))

    def begin(self) -> None:
        """Let the page, and the frames that could hold a banner, be looked at."""
        if self._hindered is not None:
            return
        expressions = {}
        for document, (url, side, marked) in self._inspector.told(self._asked):
            framed = document.frame != self._tab
            mine = list(fitting(self._rules, url, framed=framed))
            suspect = marked or SOURCEPOINT.search(url) or any(map(_pattern, mine))
            if not framed or (side >= SMALLEST and suspect):
                expressions[document] = expression(self._glue, self._library, mine)
        self._asked = self._inspector.ask(expressions)

    def end(self) -> Consent:
        """What was seen."""
        return self._hindered or outcome(dict(self._inspector.told(self._asked)), self._tab)


def place(rules: Sequence[Rule]) -> str:
    """Asks a document for its address, its shorter side, and whether it has an element by which
    rules for frames of any site know a banner: few frames are worth a closer look."""
    marks = [
        step["exists"]
        for rule in rules
        if rule.get("runContext", {}).get("frame") and not _pattern(rule)
        for step in rule["detectCmp"][:1]
    ]
    has = f"document.querySelector({json.dumps(','.join(marks))}) !== null"
    return f"[location.href, Math.min(innerWidth, innerHeight), {has}]"


def _pattern(rule: Rule) -> str | None:
    """Of which sites a rule is, when not of all."""
    found: str | None = rule.get("runContext", {}).get("urlPattern")
    return found


def outcome(found: Mapping[Document, Any], tab: str) -> Consent:
    """What was seen in the documents, taken together."""
    told = sorted(found.items(), key=lambda item: item[0].frame != tab)
    popup = next((one["popup"] for _, one in told if one["popup"]), None)
    cmps = [name for _, one in told for name in one["cmps"]]
    rules = consent_rules.NAME
    if popup is not None:
        return Consent("ignore", "ignored", cmp=_name(popup), rules=rules)
    if not any(one["looked"] for document, one in told if document.frame == tab):
        return UNSEEN
    return Consent("ignore", "none", cmp=_name(cmps[0]) if cmps else None, rules=rules)


def _name(cmp: Any) -> str:
    return str(cmp)[: consent.TEXT_LIMIT]


@cache
def kept() -> tuple[str, tuple[Rule, ...]]:
    """The library, and its rules for looking.

    Raises:
        Unavailable: set-up has not fetched it.
    """
    found = consent_rules.load()
    return found.library, tuple(seeing(found.rules))


def seeing(rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules by what they see of a banner, without what they do and without what they ask.

    Each step that asks the page's scripts has others beside it, which see the banner.
    """
    for rule in (*rules, *BY_SIGHT):
        if not rule.get("cosmetic"):
            parts = {key: rule[key] for key in DETECTION if key in rule}
            yield parts | {key: _unasking(parts[key]) for key in DETECTION[2:4] if key in parts}


def _unasking(steps: Sequence[Any]) -> list[Any]:
    return [
        step | {"any": _unasking(step["any"])} if "any" in step else step
        for step in steps
        if ASK not in step
    ]


def fitting(rules: Sequence[Rule], url: str, *, framed: bool) -> Iterator[Rule]:
    """The rules for a document: most are for one site only."""
    for rule in rules:
        context = rule.get("runContext", {})
        pattern = _pattern(rule)
        meant = context.get("frame", False) if framed else context.get("main", True)
        if meant and (pattern is None or re.search(pattern, url)):
            yield rule


def expression(glue: str, library: str, rules: Sequence[Rule]) -> str:
    """What a document is asked; its value comes as a promise."""
    config = consent.settings(None) | {"detectRetries": 0}
    given = f"{json.dumps(config)}, {json.dumps(rules)}"
    return f"({glue.strip()})(() => {{\n{library}\n}}, {given})"
