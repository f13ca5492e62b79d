"""Which values in a browser's cookies and storage identify it.

An identifier is long-lived, has enough chance in it, stays the same over the account's visits and
differs between accounts. Session ids, timestamps, shared constants, consent strings and settings
fail one of these (after Englehardt et al., "Cookies That Give You Away", WWW 2015, and Acar et
al., "The Web Never Forgets", CCS 2014). Session storage lives no longer than a visit: what it holds
again in another visit was brought from elsewhere, and identifies as well.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from echoaudit.domains import is_address
from echoaudit.outcomes.identifiers_decode import readable_base64
from echoaudit.outcomes.visits import Cookie, PageVisit

MIN_LENGTH = 8
MIN_PART = 10
"""A part of a compound value must be longer than a value of its own."""
MAX_LENGTH = 1024
SHORT_WORD = 3
"""Letters of each word, on average, up to which they are rather chance."""
MOST_PIECES = 8
"""Pieces between dots whose runs are parts; of more, only the pieces are."""
MIN_BITS = 24.0
"""Information in a value by its own characters' frequencies; one in 16 million."""
MIN_LIFETIME = 28 * 86_400.0
"""Seconds: anything that lives less than four weeks is a session of some kind."""
CLOCK_BEFORE, CLOCK_AFTER = 1100 * 86_400.0, 800 * 86_400.0
"""Numbers within this span of the visit are taken for points in time."""

AFTERWARDS = 1e-3
"""Seconds by which what is in local storage counts as later than the cookies at a visit's end, and
what is in session storage as later than that."""

_CONSENT = re.compile(r"consent|gdpr|usprivacy|ccpa|gpp|optanon|tcf", re.IGNORECASE)
_FIELDS = re.compile(r"[^A-Za-z0-9_\-+/.]+")
_WORDS = re.compile(r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})(?:[-_. /+]?(?:[A-Z]?[a-z]{2,}|[A-Z]{2,}))*")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
_UNSPOKEN = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}", re.IGNORECASE)
_DATE = re.compile(
    r"(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T_ ][\d:.,Z+-]*)?"
    r"|(?:19|20)\d\d[01]\d[0-3]\d(?:[T_]?[0-2]\d(?:[0-5]\d){1,2}(?:\d{3})?Z?)?"
)
_PLACE = re.compile(r"(?:https?:)?//.*|(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[:/].*)?", re.IGNORECASE)
_CLOCKS = {10: 1.0, 13: 1e3, 16: 1e6}
"""Digits of a time since 1970, and its unit's parts of a second."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value by which a site recognises an account's browser."""

    site: str
    """Whose identifier it is: registrable domain."""
    cookie: str
    value: str
    """The cookie's value or a part of it."""


@dataclass
class _Held:
    """What one cookie held over an account's visits."""

    values: dict[str, float] = field(default_factory=dict)
    """Value to the time it was first seen."""
    at_end: Counter[str] = field(default_factory=Counter)
    """Value to the number of visits to its site that ended with it."""
    parts_at_end: Counter[str] = field(default_factory=Counter)
    fresh: bool = False
    """Whether each visit began without it."""

    def lasting(self) -> Iterator[tuple[float, str]]:
        """Values and parts that stay the same over the visits, with the time they were first seen.

        Of a single visit nobody can tell; but what a visit begins without must come again.
        """
        single = self.at_end.total() < 2
        steady = not self.fresh and (single or max(self.at_end.values()) >= 2)
        for value, time in self.values.items():
            whole = {unquote(value).strip('"')} if steady or self.at_end[value] >= 2 else set()
            own = {part for part in parts(value) if steady or self.parts_at_end[part] >= 2}
            yield from ((time, token) for token in sorted(whole | own))


def identifiers(accounts: Mapping[str, Sequence[PageVisit]]) -> dict[str, list[Identifier]]:
    """The identifiers of each account's browser.

    What two accounts share identifies neither; with a single account this cannot be told.
    """
    held = {account: _held(visits) for account, visits in accounts.items()}
    shared, kin = _shared(held.values()), _kin(held.values())
    return {
        account: _owned(_identifying(cookies, shared, kin)) for account, cookies in held.items()
    }


_Key = tuple[str, str]
"""Site and name of a cookie."""


def _held(visits: Sequence[PageVisit]) -> dict[_Key, _Held]:
    found: dict[_Key, _Held] = defaultdict(_Held)
    for visit in visits:
        contacted = {request.site for request in visit.requests}
        for time, cookie in _seen(visit):
            if _may_identify(cookie, time):
                held = found[cookie.site, cookie.name]
                held.fresh = cookie.fresh
                held.values[cookie.value] = min(time, held.values.get(cookie.value, time))
        # Several hosts of a site may hold the same: it was there at the end of one visit.
        ends = {
            ((cookie.site, cookie.name), cookie.value)
            for cookie in (*visit.after, *visit.stored)
            if cookie.site in contacted and (cookie.site, cookie.name) in found
        }
        for key, value in ends:
            found[key].at_end[value] += 1
        for key, part in {(key, part) for key, value in ends for part in parts(value)}:
            found[key].parts_at_end[part] += 1
    return found


def _seen(visit: PageVisit) -> Iterator[tuple[float, Cookie]]:
    """Every cookie of a visit with a time at which the browser had it.

    Two first requests at once may each be given an identifier; the jar keeps only the later one.
    """
    yield from ((visit.started, cookie) for cookie in visit.before)
    for request in visit.requests:
        yield from ((request.time, cookie) for cookie in request.stored)
    yield from ((visit.ended, cookie) for cookie in visit.after)
    # Of storage nobody tells when it was written: where a cookie of the same visit holds the value,
    # that is its origin.
    for cookie in visit.stored:
        yield visit.ended + AFTERWARDS * (2 if cookie.fresh else 1), cookie


def _may_identify(cookie: Cookie, time: float) -> bool:
    if not cookie.value or _CONSENT.search(cookie.name):
        return False
    lives = cookie.expires is not None and cookie.expires - time >= MIN_LIFETIME
    return lives or cookie.fresh


def parts(value: str) -> set[str]:
    """The parts of a compound value (``a=1&b=2``, ``x.y.z``, JSON, also in base64).

    Dots divide (``UID.TIME``) as well as belong (of ``GA1.2.123456.789012`` the part
    ``123456.789012`` is sent on), so of what dots join every run of neighbours is a part.
    """
    bare = unquote(value).strip('"')
    texts = [bare, readable_base64(bare) or ""]
    split = {part for text in texts for field in _FIELDS.split(text) for part in _runs(field)}
    return {part for part in split if MIN_PART <= len(part) <= MAX_LENGTH and part != bare}


def _runs(field: str) -> Iterator[str]:
    pieces = field.split(".")
    longest = len(pieces) if len(pieces) <= MOST_PIECES else 1
    for length in range(1, longest + 1):
        for first in range(len(pieces) - length + 1):
            yield ".".join(pieces[first : first + length])


def _kin(held: Iterable[Mapping[_Key, _Held]]) -> set[tuple[_Key, int]]:
    """Cookies, and lengths of values or parts in them, that are chance in some account.

    What reads as words in another account's cookie of that name is of the same kind.
    """
    return {
        (key, len(token))
        for cookies in held
        for key, cookie in cookies.items()
        for value, time in cookie.values.items()
        for token in {unquote(value).strip('"'), *parts(value)}
        if is_random(token, time)
    }


def _identifying(
    cookies: Mapping[_Key, _Held], shared: set[str], kin: set[tuple[_Key, int]]
) -> Iterator[tuple[float, Identifier]]:
    """Identifiers with the time they were first seen."""
    for (site, name), held in cookies.items():
        for time, token in held.lasting():
            of_a_kind = ((site, name), len(token)) in kin
            if token not in shared and is_random(token, time, words=of_a_kind):
                yield time, Identifier(site, name, token)


def _shared(held: Iterable[Mapping[_Key, _Held]]) -> set[str]:
    """Values and parts that more than one account has in any cookie."""
    count: Counter[str] = Counter()
    for cookies in held:
        values = {value for cookie in cookies.values() for value in cookie.values}
        count.update({token for value in values for token in (unquote(value).strip('"'), value)})
        count.update({part for value in values for part in parts(value)} - values)
    return {token for token, accounts in count.items() if accounts > 1}


def _owned(found: Iterable[tuple[float, Identifier]]) -> list[Identifier]:
    """Of several sites that hold a value, the first: the others were given it."""
    first: dict[str, float] = {}
    candidates = list(found)
    for time, identifier in candidates:
        first[identifier.value] = min(time, first.get(identifier.value, time))
    owners = {one for time, one in candidates if time == first[one.value]}
    return sorted(owners, key=lambda one: (one.site, one.cookie, one.value))


def is_random(token: str, time: float, *, words: bool = False) -> bool:
    """Whether a value could be an identifier: long enough, and neither word, place nor time.

    With ``words`` it may read as words, as chance will now and then.
    """
    if not MIN_LENGTH <= len(token) <= MAX_LENGTH or bits(token) < MIN_BITS:
        return False
    if not words and _are_words(token):
        return False
    if is_address(token) or _PLACE.fullmatch(token) or _DATE.fullmatch(token):
        return False
    return not _is_clock(token, time)


def _are_words(token: str) -> bool:
    """Whether a value is words: letters alone may be chance, but words can be pronounced."""
    if not _WORDS.fullmatch(token):
        return False
    words = _WORD.findall(token)
    spoken = all(
        len(word) < 3 or (_VOWEL.search(word) and not _UNSPOKEN.search(word)) for word in words
    )
    return spoken and sum(map(len, words)) > SHORT_WORD * len(words)


def bits(token: str) -> float:
    """Shannon's information of a text by the frequencies of its own characters."""
    size = len(token)
    counts = Counter(token).values()
    return -sum(count * math.log2(count / size) for count in counts)


def _is_clock(token: str, time: float) -> bool:
    digits = token.replace(".", "", 1)
    if not (digits.isascii() and digits.isdecimal()):
        return False
    whole = token.partition(".")[0]
    unit = _CLOCKS.get(len(whole))
    if unit is None:
        return False
    return -CLOCK_BEFORE <= int(whole) / unit - time <= CLOCK_AFTER
