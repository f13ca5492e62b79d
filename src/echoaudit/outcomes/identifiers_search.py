"""Finding known identifiers in texts, as they are or encoded.

Each identifier is written down once in every form it may travel in. A text is then looked up, not
searched: at the places where a word may begin, its next eight characters are the key to the few
forms that begin with them. The cost hardly depends on the number of identifiers.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from echoaudit.outcomes.identifiers import Identifier
from echoaudit.outcomes.identifiers_decode import unfold

KEY = 8
_STARTS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9_\-+/]")


@dataclass(frozen=True, slots=True)
class Found:
    """An identifier in a text."""

    identifier: Identifier
    encoding: str
    """plain, url, base64, base64url, hex, md5, sha1, sha256, json or jwt."""


class Index:
    """The identifiers of one browser, ready to be looked up."""

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self._forms: dict[str, list[tuple[str, Found]]] = defaultdict(list)
        for identifier in identifiers:
            for form, encoding in forms(identifier.value):
                self._forms[form[:KEY]].append((form, Found(identifier, encoding)))

    def search(self, text: str) -> set[Found]:
        """The identifiers in a text; of a cookie's value and a part of it, the longer one."""
        found: dict[Identifier, str] = {}
        for layer, encoding in unfold(text):
            for hit in self._look_up(layer):
                form = encoding if hit.encoding == "plain" else hit.encoding
                found.setdefault(hit.identifier, form)
        return {Found(one, how) for one, how in found.items() if not _is_part(one, found)}

    def _look_up(self, text: str) -> Iterator[Found]:
        for start in _STARTS.finditer(text):
            place = start.start()
            for form, hit in self._forms.get(text[place : place + KEY], ()):
                if text.startswith(form, place) and _ends(text, place + len(form)):
                    yield hit


def _ends(text: str, place: int) -> bool:
    return not text[place : place + 1].isalnum()


def _is_part(one: Identifier, found: Iterable[Identifier]) -> bool:
    return any(
        other.site == one.site
        and other.cookie == one.cookie
        and len(other.value) > len(one.value)
        and one.value in other.value
        for other in found
    )


def forms(value: str) -> Iterator[tuple[str, str]]:
    """An identifier in every form it is looked for, with the encoding's name."""
    data = value.encode()
    yield value, "plain"
    yield from ((form, "plain") for form in _variants(value))
    standard = base64.b64encode(data).decode().rstrip("=")
    url_safe = base64.urlsafe_b64encode(data).decode().rstrip("=")
    yield standard, "base64"
    if url_safe != standard:
        yield url_safe, "base64url"
    yield from _both_cases(data.hex(), "hex")
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, data, usedforsecurity=False).digest()
        yield from _both_cases(digest.hex(), name)
        yield base64.b64encode(digest).decode().rstrip("="), name
        yield base64.urlsafe_b64encode(digest).decode().rstrip("="), name


def _both_cases(form: str, name: str) -> Iterator[tuple[str, str]]:
    yield form, name
    yield form.upper(), name


def _variants(value: str) -> set[str]:
    """Other ways to write the same UUID or long hexadecimal number."""
    bare = value.replace("-", "")
    if len(bare) < 16 or not re.fullmatch(r"[0-9a-fA-F]+", bare):
        return set()
    written = {value.lower(), value.upper()}
    if len(bare) == 32:
        uuid = UUID(bare)
        written |= {uuid.hex, uuid.hex.upper(), str(uuid), str(uuid).upper()}
    return written - {value}
