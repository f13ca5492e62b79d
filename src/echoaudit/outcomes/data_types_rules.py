"""What kind of personal data a value is, by the name of its field or by its own form.

The rules are in ``lists/data_types.yaml``; each says what it rests on.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from echoaudit.errors import BadInput
from echoaudit.outcomes.identifiers_decode import unfold
from echoaudit.study.models import DataType

MOST_SHAPED = 4096
"""Characters of a value that a rule's shape is held against."""
_PREFIXES = ("xamzn", "xamz", "xa", "x")
"""Squeezed beginnings of header names that say only that the header is somebody's own."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """One rule of a list."""

    type: DataType
    names: tuple[str, ...] = ()
    shape: str = r"(?s).*\S.*"
    values: tuple[str, ...] = ()
    within: bool = False
    basis: str

    @cached_property
    def _shape(self) -> re.Pattern[str]:
        return re.compile(self.shape)

    @cached_property
    def _values(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern) for pattern in self.values)

    def value_in(self, text: str) -> str | None:
        """The value of this rule's form in a text."""
        found = (pattern.search(text) for pattern in self._values)
        return next((match[0] for match in found if match), None)

    def fits(self, text: str) -> bool:
        """Whether a text may be the value of a field with one of this rule's names."""
        return self._shape.fullmatch(text[:MOST_SHAPED].strip()) is not None


class RuleList(_Strict):
    """A list of rules (``lists/data_types.yaml``)."""

    list: str
    date: datetime.date
    bases: dict[str, str]
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _consistent(self) -> RuleList:
        unknown = {rule.basis for rule in self.rules} - self.bases.keys()
        if unknown:
            raise ValueError(f"bases not explained: {sorted(unknown)}")
        for rule in self.rules:
            for pattern in (rule.shape, *rule.values):
                re.compile(pattern)
        return self


@dataclass(frozen=True, slots=True)
class Told:
    """A kind of data that a rule tells in a value."""

    type: DataType
    value: str
    encoding: str
    basis: str
    """``form`` of the value or ``name`` of the field."""


@dataclass(frozen=True)
class Rules:
    """Rules ready to be asked."""

    source: RuleList
    by_name: Mapping[str, tuple[Rule, ...]]

    @classmethod
    def of(cls, source: RuleList) -> Rules:
        """The rules of a list."""
        names: dict[str, tuple[Rule, ...]] = {}
        for rule in source.rules:
            for name in rule.names:
                names[squeezed(name)] = (*names.get(squeezed(name), ()), rule)
        return cls(source, names)

    def tell(self, names: tuple[str, ...], text: str) -> Iterator[Told]:
        """What rules tell of a value, each kind once: by its form, else by its field's name."""
        layers = list(unfold(text))
        told: set[DataType] = set()
        for rule in self.source.rules:
            for layer, encoding in layers if rule.values else ():
                value = rule.value_in(layer)
                if value is not None and rule.type not in told:
                    told.add(rule.type)
                    yield Told(rule.type, value, encoding, "form")
        if not told:
            yield from self._by_name(names, layers)

    def named(self, names: tuple[str, ...], text: str) -> Iterator[Told]:
        """What its field's name alone tells of a value as it stands."""
        return self._by_name(names, [(text, "plain")])

    def _by_name(self, names: tuple[str, ...], layers: list[tuple[str, str]]) -> Iterator[Told]:
        for depth, name in enumerate(reversed(names)):
            for rule in self._named(name):
                fitting = (one for one in layers if rule.fits(one[0]))
                found = next(fitting, None) if rule.within or depth == 0 else None
                if found is not None:
                    yield Told(rule.type, found[0].strip(), found[1], "name")
                    return

    def _named(self, name: str) -> tuple[Rule, ...]:
        bare = squeezed(name)
        for prefix in ("", *_PREFIXES):
            rules = self.by_name.get(bare.removeprefix(prefix))
            if rules:
                return rules
        return ()


def squeezed(name: str) -> str:
    """A name by its letters and digits alone, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name[:200].lower())


@cache
def rules() -> Rules:
    """The rules that come with echoaudit."""
    text = resources.files("echoaudit.outcomes.lists").joinpath("data_types.yaml").read_text()
    return Rules.of(read_rules(text, "data_types.yaml"))


def read_rules(text: str, file: str) -> RuleList:
    """A list of rules from its YAML; raises ``BadInput``."""
    import yaml

    try:
        value = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return RuleList.model_validate(value)
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {error}", file=file) from error
    except (ValidationError, re.error) as error:
        raise BadInput(str(error).splitlines()[0], file=file) from error
