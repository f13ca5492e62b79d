"""Lists that know whose a host is and what for: third-party-web, trackerdb, Disconnect.

Their JSON becomes one line per domain, which is what is kept::

    {"category": "ad", "domain": "*.doubleclick.net", "organisation": "Google", "service": "..."}

``*.`` covers the name itself and all below it; without, the name alone is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from echoaudit.errors import BadInput

HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
MOST = 200
"""Characters of a name."""
_JSON = re.compile(r"\s*(\{|\[\s*\{)")


@dataclass(frozen=True)
class Known:
    """What such a list says of a domain; empty strings are unknown."""

    domain: str
    organisation: str = ""
    service: str = ""
    """The organisation's product, when the list tells it apart."""
    category: str = ""
    """In the list's own words."""


class _Entity(BaseModel):
    name: str
    company: str | None = None
    category: str | None = None
    categories: tuple[str, ...] = ()
    domains: tuple[str, ...]


class _Pattern(BaseModel):
    name: str
    category: str | None = None
    organization: str | None = None
    domains: tuple[str, ...] = ()


class _Organisation(BaseModel):
    name: str


class _TrackerDb(BaseModel):
    patterns: dict[str, _Pattern]
    organizations: dict[str, _Organisation]


class _Disconnect(BaseModel):
    categories: dict[str, list[dict[str, dict[str, Any]]]]


_SHAPES: TypeAdapter[list[_Entity] | _TrackerDb | _Disconnect] = TypeAdapter(
    list[_Entity] | _TrackerDb | _Disconnect
)


def is_json(text: str) -> bool:
    """Whether a text is JSON rather than a list of rules, some of which start with a bracket."""
    return _JSON.match(text) is not None


def normalised(text: str, name: str) -> str:
    """The text that is kept: a line per domain, sorted; the same whatever the source's spelling.

    Raises:
        BadInput: none of the shapes that are understood.
    """
    try:
        value = _SHAPES.validate_json(text)
    except ValidationError as error:
        raise BadInput(
            "JSON that is not understood; allowed: the entities of third-party-web, "
            "trackerdb.json, Disconnect's services.json",
            file=name,
        ) from error
    if isinstance(value, list):
        found = _entities(value)
    else:
        found = _trackerdb(value) if isinstance(value, _TrackerDb) else _disconnect(value)
    lines = {json.dumps(asdict(one), sort_keys=True, ensure_ascii=False) for one in _usable(found)}
    return "".join(f"{line}\n" for line in sorted(lines))


def known(text: str) -> Iterator[Known]:
    """The entries of a text that :func:`normalised` made."""
    for line in text.splitlines():
        yield Known(**json.loads(line))


def _entities(entities: list[_Entity]) -> Iterator[Known]:
    for one in entities:
        for domain in one.domains:
            for category in one.categories or (one.category or "",):
                yield Known(domain, one.company or one.name, one.name, category)


def _trackerdb(found: _TrackerDb) -> Iterator[Known]:
    for pattern in found.patterns.values():
        owner = found.organizations.get(pattern.organization or "")
        for domain in pattern.domains:
            name = owner.name if owner else ""
            yield Known(f"*.{domain}", name, pattern.name, pattern.category or "")


def _disconnect(found: _Disconnect) -> Iterator[Known]:
    for category, entities in found.categories.items():
        owners = ((name, sites) for entity in entities for name, sites in entity.items())
        for name, sites in owners:
            # Beside sites there are marks, such as whether Do Not Track is honoured.
            for domains in (some for some in sites.values() if isinstance(some, list)):
                yield from (Known(f"*.{domain}", name, name, category) for domain in domains)


def _usable(found: Iterator[Known]) -> Iterator[Known]:
    for one in found:
        domain = one.domain.lower().rstrip(".")
        if "." in (bare := domain.removeprefix("*.")) and HOST.fullmatch(bare):
            service = _clean(one.service)
            owner = _clean(one.organisation)
            yield Known(domain, owner, "" if service == owner else service, _clean(one.category))


def _clean(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:MOST]
