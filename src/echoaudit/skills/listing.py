"""What a store says of one skill, and the skill that it makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from echoaudit.skills.utterances import utterances
from echoaudit.study.faults import shown
from echoaudit.study.models import Skill

MOST_EXAMPLES = 200


def _line(value: object) -> object:
    """Text on one line; lists from the network have newlines and doubled blanks in it."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _some(value: object) -> object:
    """A list without its nulls; an absent one is empty."""
    return [item for item in value if item is not None] if isinstance(value, list) else value or []


Line = Annotated[str, BeforeValidator(_line)]
Lines = Annotated[list[Line], Field(max_length=MOST_EXAMPLES), BeforeValidator(_some)]


def _named(*names: str) -> Any:
    return AliasChoices(*names)


class Listing(BaseModel):
    """One skill as a list or page of a store shows it; other keys are left out."""

    model_config = ConfigDict(frozen=True, strict=True, populate_by_name=True)

    id: Line = Field(validation_alias=_named("id", "asin"))
    name: Line
    invocation: Line | None = Field(None, validation_alias=_named("invocation", "launchPhrase"))
    vendor: Line | None = Field(None, validation_alias=_named("vendor", "vendorName"))
    policy_url: Line | None = Field(None, validation_alias=_named("policy_url", "privacyPolicyUrl"))
    permissions: Lines = []
    examples: Lines = Field([], validation_alias=_named("examples", "exampleInteractions"))
    description: str | None = Field(
        None, validation_alias=_named("description", "shortDescription")
    )

    def mentions(self, words: Iterable[str]) -> bool:
        """Whether name, invocation name, phrases or description hold one of ``words``."""
        said = " ".join([self.name, self.invocation or "", *self.examples, self.description or ""])
        padded = f" {_words(said)} "
        return any(f" {_words(word)} " in padded for word in words)


@dataclass(frozen=True)
class Rejected:
    """A record that makes no skill."""

    where: str
    """File and line, or file."""
    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.id or 'no id'}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def listing_of(record: object, where: str) -> Listing | Rejected:
    """The listing that a record of a list or page spells."""
    if not isinstance(record, dict):
        return Rejected(where, None, "no record but another JSON value")
    try:
        return Listing.model_validate(record)
    except ValidationError as problem:
        found = record.get("asin") or record.get("id")
        return Rejected(where, shown(found)[1:-1] if found else None, _reason(problem))


def skill_of(listing: Listing, where: str) -> Skill | Rejected:
    """The skill of a catalogue, with the utterances of the study's rule."""
    if not listing.invocation:
        return Rejected(where, listing.id, "no invocation name")
    said = utterances(listing.examples, listing.description or "")
    if not said:
        return Rejected(where, listing.id, "nothing to say: no example phrase, no quoted sentence")
    try:
        return Skill(
            id=listing.id,
            name=listing.name,
            invocation=listing.invocation,
            vendor=listing.vendor or None,
            utterances=said,
            policy_url=listing.policy_url or None,
            permissions=tuple(listing.permissions),
        )
    except ValidationError as problem:
        return Rejected(where, listing.id, _reason(problem))


def _reason(problem: ValidationError) -> str:
    first = problem.errors(include_url=False)[0]
    key = str(first["loc"][0]) if first["loc"] else "record"
    if first["type"] == "missing":
        return f"no {key}"
    return f"{key}: found {shown(first['input'])}, {first['msg'][:1].lower()}{first['msg'][1:]}"


def _words(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
