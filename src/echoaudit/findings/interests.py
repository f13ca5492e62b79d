"""Which interests of a study the words of an ad fit, by a list of words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from echoaudit.errors import BadInput
from echoaudit.findings.people import personas_of
from echoaudit.outcomes.visits import plain


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    basis: str
    interests: dict[str, tuple[str, ...]]


def interests_of(study: Mapping[str, Any]) -> list[str]:
    """The interests of a study's personas."""
    return sorted({str(p["interest"]) for p in personas_of(study) if p.get("interest")})


def fitting(text: str, interests: Sequence[str]) -> Iterator[str]:
    """Those of ``interests`` of which the text has a word."""
    known = lexicon()
    spoken = " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))
    for interest in interests:
        words = known.get(interest, ())
        if any(re.search(rf"\b{re.escape(word)}(es|s)?\b", spoken) for word in words):
            yield interest


def wordless(study: Mapping[str, Any]) -> list[str]:
    """A line on the study's interests of which the list has no words, where there are any."""
    unknown = [name for name in interests_of(study) if name not in lexicon()]
    if not unknown:
        return []
    names = ", ".join(repr(plain(name)) for name in unknown)
    return [
        f"Interests without words: no ad can be said to fit {names}; the list has none of them."
    ]


@cache
def lexicon() -> dict[str, tuple[str, ...]]:
    """The words of ``lists/interests.yaml``, by interest."""
    place = resources.files("echoaudit.outcomes.lists").joinpath("interests.yaml")
    try:
        return _List.model_validate(yaml.safe_load(place.read_text("utf-8"))).interests
    except (yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"unusable list: {error}", file="lists/interests.yaml") from error
