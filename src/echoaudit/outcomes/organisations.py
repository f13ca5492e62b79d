"""Who is behind a host name: organisation, parent and role, each with the list that says so.

The tool never guesses: a name that no list covers is unknown, and a name on shared hosting names
its host, never the party responsible.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from echoaudit.domains import is_address, registrable, suffixes
from echoaudit.errors import BadInput

Role = Literal["functional", "advertising", "tracking", "hosting", "unknown"]
Party = Literal["platform", "vendor", "third", "unknown"]

PLATFORM = "Amazon"
"""The parent whose services the speaker itself belongs to."""
NAMELESS = "no name"
"""Stands for the owner of a server that nothing names."""
_SUFFIX_LIST = "public-suffix-list"
_TECHNICAL = ("api", "apps", "app", "cdn", "cloud", "media", "static", "services", "hq", "inc")
"""Words that a vendor hangs on its name to make another domain of its own."""
_FORMS = {"inc", "llc", "ltd", "limited", "corp", "corporation", "co", "company", "gmbh", "the"}
"""Words of a company's name that its domains leave out."""
_SHORTEST_NAME = 4
"""Letters; a shorter vendor name would match by chance."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Claim(_Strict):
    """What is claimed of a suffix and all names below it."""

    suffix: str = Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    role: Role = "unknown"
    shared: bool = False
    basis: str
    date: datetime.date | None = None


class Owner(_Strict):
    """An organisation and what is claimed of its names."""

    organisation: str
    parent: str | None = None
    aliases: tuple[str, ...] = ()
    """Earlier names and spellings, under which other lists may know it."""
    date: datetime.date | None = None
    claims: tuple[Claim, ...]


class Overlay(_Strict):
    """A list of organisations (``lists/organisations.yaml``)."""

    list: str
    date: datetime.date
    bases: dict[str, str]
    organisations: tuple[Owner, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Overlay:
        claims = [claim for owner in self.organisations for claim in owner.claims]
        unknown = {claim.basis for claim in claims} - self.bases.keys()
        suffixes = [claim.suffix for claim in claims]
        twice = {suffix for suffix in suffixes if suffixes.count(suffix) > 1}
        if unknown or twice:
            raise ValueError(f"bases not explained: {sorted(unknown)}; twice: {sorted(twice)}")
        return self


@dataclass(frozen=True)
class Attribution:
    """What is known of a host name; empty strings are unknown."""

    domain: str
    """The registrable domain by the public-suffix list."""
    organisation: str = ""
    parent: str = ""
    hosted_by: str = ""
    """Who runs the shared hosting the name is on; the organisation is then unknown."""
    role: Role = "unknown"
    role_source: str = ""
    """List and rule: ``echoaudit 2026-11-23: podtrac.com (study)``."""


@dataclass(frozen=True)
class _Rule:
    source: str
    owner: Owner
    claim: Claim


@dataclass(frozen=True)
class Directory:
    """Host names to attributions, by the most specific suffix."""

    rules: Mapping[str, _Rule] = field(default_factory=dict)
    owners: Mapping[tuple[str, ...], Owner] = field(default_factory=dict)

    @classmethod
    def of(cls, overlays: Iterable[Overlay]) -> Directory:
        """A directory of lists; where two claim the same suffix, the later one wins."""
        rules: dict[str, _Rule] = {}
        owners: dict[tuple[str, ...], Owner] = {}
        for overlay in overlays:
            for owner in overlay.organisations:
                owners |= {words(name): owner for name in (owner.organisation, *owner.aliases)}
                for claim in owner.claims:
                    source = f"{overlay.list} {claim.date or owner.date or overlay.date}"
                    rules[claim.suffix] = _Rule(
                        f"{source}: {claim.suffix} ({claim.basis})", owner, claim
                    )
        return cls(rules, owners)

    def family(self, name: str) -> frozenset[tuple[str, ...]]:
        """The words of each name that an organisation goes by, its parent's among them."""
        owner = self.owners.get(words(name))
        names = [owner.organisation, owner.parent or "", *owner.aliases] if owner else []
        return frozenset(words(one) for one in (name, *names) if one)

    def attribute(self, host: str) -> Attribution:
        """What the lists say of a host name or IP address."""
        if not host or is_address(host):
            return Attribution("")
        parts = host.lower().rstrip(".").split(".")
        domain = registrable(host)
        for start in range(len(parts)):
            rule = self.rules.get(".".join(parts[start:]))
            if rule is not None:
                return _attribution(domain, rule)
        if _on_private_suffix(host):
            return Attribution(domain, role="hosting", role_source=f"{_SUFFIX_LIST}: private")
        return Attribution(domain)


def _attribution(domain: str, rule: _Rule) -> Attribution:
    name, parent = rule.owner.organisation, rule.owner.parent or rule.owner.organisation
    if rule.claim.shared:
        return Attribution(domain, hosted_by=name, role=rule.claim.role, role_source=rule.source)
    return Attribution(domain, name, parent, role=rule.claim.role, role_source=rule.source)


def party(found: Attribution, vendor: str | None, platform: str = PLATFORM) -> Party:
    """Whose side of a skill's conversation a name is on.

    ``vendor`` is the maker of the skill as its store page writes it. A name is the vendor's when
    the lists give it to an organisation of that name, or its registrable domain is the vendor's
    name, alone or with a technical word ("garmin" and garmincdn.com). Names that only begin alike
    ("Garmin" and "Garmin International") may or may not be one party: unknown.
    """
    if platform in (found.organisation, found.parent):
        return "platform"
    if vendor and _is_vendors(found, vendor):
        return "vendor"
    if vendor and any(alike(words(vendor), words(name)) for name in _names(found)):
        return "unknown"
    return "third" if found.organisation else "unknown"


@cache
def is_platform(domain: str) -> bool:
    """Whether the list says that a registrable domain is the platform's."""
    return party(directory().attribute(domain), None) == "platform"


def _is_vendors(found: Attribution, vendor: str) -> bool:
    name = _squeezed(vendor)
    if name and name in map(_squeezed, _names(found)):
        return True
    if found.organisation or found.hosted_by or len(name) < _SHORTEST_NAME:
        return False
    label = found.domain.split(".", maxsplit=1)[0].replace("-", "")
    return label == name or any(label == name + word for word in _TECHNICAL)


def words(name: str) -> tuple[str, ...]:
    """A company's name in lower-case words, without its legal form."""
    found = re.findall(r"[^\W_]+", name.lower())
    return tuple(word for word in found if word not in _FORMS) or tuple(found)


def alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two names are the same or one begins with all words of the other."""
    shorter, longer = sorted((one, other), key=len)
    return longer[: len(shorter)] == shorter or "".join(one) == "".join(other)


def _names(found: Attribution) -> tuple[str, ...]:
    return tuple(name for name in (found.organisation, found.parent) if name)


def _squeezed(name: str) -> str:
    return "".join(words(name))


def label(organisation: str, hosted_by: str, domain: str) -> str:
    """Who answers for a host, in words, as far as anybody says so."""
    if organisation:
        return organisation
    if hosted_by:
        return f"unknown, hosted by {hosted_by}"
    return f"unknown owner of {domain}" if domain else NAMELESS


def _on_private_suffix(host: str) -> bool:
    return bool(suffixes()(host, include_psl_private_domains=True).is_private)


@cache
def directory() -> Directory:
    """The directory of the lists that come with echoaudit."""
    text = resources.files("echoaudit.outcomes.lists").joinpath("organisations.yaml").read_text()
    return Directory.of([read_overlay(text, "organisations.yaml")])


def read_overlay(text: str, file: str) -> Overlay:
    """A list from its YAML; raises ``BadInput``."""
    import yaml

    try:
        value: Any = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return Overlay.model_validate(value)
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {error}", file=file) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{where}: {first['msg']}", file=file) from error
