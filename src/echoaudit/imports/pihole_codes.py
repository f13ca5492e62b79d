"""What Pi-hole's numbers and words mean (FTL's database and REST API, versions 5 and 6)."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from echoaudit.imports.questions import (
    ADDRESS,
    Answer,
    Question,
    Verdict,
    client_address,
    usable,
)

TYPES = (
    "A", "AAAA", "ANY", "SRV", "SOA", "PTR", "TXT", "NAPTR", "MX", "DS", "RRSIG", "DNSKEY", "NS",
    "OTHER", "SVCB", "HTTPS",
)  # fmt: skip
"""Types of questions by their number, from 1; others are 100 and the type's own number."""
STATES = (
    "UNKNOWN", "GRAVITY", "FORWARDED", "CACHE", "REGEX", "DENYLIST", "EXTERNAL_BLOCKED_IP",
    "EXTERNAL_BLOCKED_NULL", "EXTERNAL_BLOCKED_NXRA", "GRAVITY_CNAME", "REGEX_CNAME",
    "DENYLIST_CNAME", "RETRIED", "RETRIED_DNSSEC", "IN_PROGRESS", "DBBUSY", "SPECIAL_DOMAIN",
    "CACHE_STALE", "EXTERNAL_BLOCKED_EDE15",
)  # fmt: skip
"""States of questions by their number, from 0."""
REPLIES = (
    "UNKNOWN", "NODATA", "NXDOMAIN", "CNAME", "IP", "DOMAIN", "RRNAME", "SERVFAIL", "REFUSED",
    "NOTIMP", "OTHER", "DNSSEC", "NONE", "BLOB",
)  # fmt: skip
"""Kinds of answers by their number, from 0."""
_FORWARDED = frozenset({"FORWARDED", "RETRIED", "RETRIED_DNSSEC", "IN_PROGRESS"})
_CACHED = frozenset({"CACHE", "CACHE_STALE"})
_TOLD = frozenset(REPLIES) - {"UNKNOWN", "NONE", "CNAME", "IP"}


def type_name(code: object) -> str:
    """A question's type; words are taken as they are, ``OTHER`` when it is neither."""
    if isinstance(code, str) and code.isalnum() and len(code) <= 16:
        return code
    if not isinstance(code, int) or isinstance(code, bool):
        return "OTHER"
    if 1 <= code <= len(TYPES):
        return TYPES[code - 1]
    return f"TYPE{code - 100}" if 100 < code < 100 + 2**16 else "OTHER"


def state_name(code: object) -> str:
    """A question's state by its number or word; ``UNKNOWN`` when it is neither."""
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < len(STATES):
        return STATES[code]
    return code if isinstance(code, str) and code in STATES else "UNKNOWN"


def reply_name(code: object) -> str:
    """An answer's kind by its number or word; ``UNKNOWN`` when it is neither."""
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < len(REPLIES):
        return REPLIES[code]
    return code if isinstance(code, str) and code in REPLIES else "UNKNOWN"


def verdict(state: str) -> Verdict:
    """What became of a question; a state that says nothing is not taken for allowed."""
    if state in _FORWARDED:
        return "forwarded"
    if state in _CACHED:
        return "cached"
    return "unknown" if state == "UNKNOWN" else "blocked"


def answers(name: str, state: str, reply: str, alias: object) -> tuple[Answer, ...]:
    """What is known of a question's answer; ``alias`` is the CNAME that was blocked."""
    if state.endswith("_CNAME") and isinstance(alias, str) and alias:
        return (Answer(alias, None),)
    if verdict(state) in ("blocked", "unknown"):
        return ()
    if reply in ("IP", "CNAME"):
        return (Answer(name, ADDRESS),)
    return (Answer(name, reply),) if reply in _TOLD else ()


class Row(NamedTuple):
    """A question as Pi-hole keeps it, unchecked; its codes are numbers or words."""

    time: Any
    client: Any
    name: Any
    type: Any
    state: Any
    reply: Any
    alias: Any
    """The CNAME for which it was blocked."""


def question(row: Row, problems: Counter[str]) -> Question | None:
    """The question of a row; nothing, and a count in ``problems``, when it cannot be used."""
    client = client_address(row.client)
    if not _is_time(row.time):
        problems["questions without a usable time"] += 1
    elif client is None:
        problems["questions whose client is hidden or no address"] += 1
    elif not usable(row.name):
        problems["questions whose name is hidden or unusable"] += 1
    else:
        name, state = row.name.lower(), state_name(row.state)
        told = answers(name, state, reply_name(row.reply), row.alias)
        return Question(float(row.time), client, name, type_name(row.type), verdict(state), told)
    return None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**33
