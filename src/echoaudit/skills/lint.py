"""What is likely to go wrong when a catalogue is spoken, before it is spoken.

A catalogue that loads is well-formed; these rules are about sense: two skills that a recogniser
cannot tell apart, sentences that wake nothing, text that no voice can say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from echoaudit.skills.sounds import Sound, alike
from echoaudit.skills.utterances import wakes
from echoaudit.study import load_as
from echoaudit.study.faults import shown
from echoaudit.study.models import Answers, Source, Strict

INTERESTS = (
    "Connected Car",
    "Dating",
    "Fashion & Style",
    "Pets & Animals",
    "Religion & Spirituality",
    "Smart Home",
    "Wine & Beverages",
    "Health & Fitness",
    "Navigation & Trip Planners",
)
"""The published study's, as the store spells them."""
SAME_WORD = 80.0
"""Similarity (of 100) from which another spelling is taken for a mistyped one."""
Rule = Literal[
    "duplicate id", "wake word", "same invocation", "sounds alike", "unsayable", "newline",
    "blanks", "interest",
]  # fmt: skip
_UNSAYABLE = re.compile(r"""[^\w\s.,;:!?'"‘’“”&%$+/°#@-]|_|https?:|www\.""")
"""What a voice leaves out or spells: brackets, placeholders, addresses, pictures."""


class _Skill(Strict):
    """A skill as loosely as lint can read it."""

    id: str
    name: str
    invocation: str
    vendor: str | None = None
    utterances: tuple[str, ...] = Field(min_length=1)
    policy_url: str | None = None
    permissions: tuple[str, ...] = ()
    answers: Answers = Answers()


class _Catalogue(Strict):
    """A catalogue whose text may be anything."""

    catalogue: str
    interest: str
    source: Source
    skills: tuple[_Skill, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Finding:
    """One thing that is likely to go wrong."""

    file: str
    skill: str | None
    """The skill's id; nothing when it is about the whole file."""
    rule: Rule
    found: str

    def __str__(self) -> str:
        about = f" {self.skill}:" if self.skill else ""
        return f"{self.file}:{about} {self.rule}: {self.found}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Placed:
    """A skill and the file that it is in."""

    file: str
    skill: _Skill

    def finding(self, rule: Rule, found: str) -> Finding:
        return Finding(self.file, self.skill.id, rule, found)

    def named(self) -> str:
        return f"{shown(self.skill.invocation)} ({self.skill.id} in {self.file})"


def lint(paths: Sequence[Path]) -> tuple[Finding, ...]:
    """Findings of every rule over catalogues that are to be used together, file by file.

    Raises:
        BadInput: a file is no catalogue.
    """
    catalogues = [(str(path), load_as(_Catalogue, path)) for path in paths]
    skills = [_Placed(file, skill) for file, found in catalogues for skill in found.skills]
    return (
        *(finding for file, found in catalogues for finding in _interest(file, found.interest)),
        *(finding for placed in skills for finding in _alone(placed)),
        *_together(skills),
    )


def _interest(file: str, interest: str) -> Iterator[Finding]:
    from rapidfuzz import fuzz, process, utils

    if interest in INTERESTS:
        return
    near = process.extractOne(
        interest, INTERESTS, scorer=fuzz.ratio, processor=utils.default_process,
        score_cutoff=SAME_WORD,
    )  # fmt: skip
    if near:
        yield Finding(file, None, "interest", f"{shown(interest)} (did you mean {near[0]!r}?)")


# --- one skill --------------------------------------------------------------------------------


def _alone(placed: _Placed) -> Iterator[Finding]:
    for key, text in _texts(placed.skill):
        if "\n" in text or "\r" in text:
            yield placed.finding("newline", f"{key} {shown(text)}")
        elif text != " ".join(text.split()):
            yield placed.finding("blanks", f"{key} {shown(text)}")
    for key, text in _spoken(placed.skill):
        found = _UNSAYABLE.search(text)
        if found or not any(c.isalnum() for c in text):
            what = shown(found[0]) if found else "no word"
            yield placed.finding("unsayable", f"{what} in {key} {shown(text)}")
    for text in placed.skill.utterances:
        if not wakes(text):
            yield placed.finding("wake word", f"utterance {shown(text)} does not begin with Alexa")


def _texts(skill: _Skill) -> Iterator[tuple[str, str]]:
    yield from _spoken(skill)
    yield "id", skill.id
    for key, value in (("vendor", skill.vendor), ("policy_url", skill.policy_url)):
        if value is not None:
            yield key, value


def _spoken(skill: _Skill) -> Iterator[tuple[str, str]]:
    yield "name", skill.name
    yield "invocation", skill.invocation
    yield from (("utterance", text) for text in skill.utterances)
    answers = skill.answers.model_dump(exclude_none=True).values()
    yield from (("answer", text) for text in answers)


# --- two skills -------------------------------------------------------------------------------


def _together(skills: Sequence[_Placed]) -> Iterator[Finding]:
    yield from _again(skills, "duplicate id", lambda skill: skill.id)
    yield from _again(skills, "same invocation", lambda skill: _plain(skill.invocation))
    sounds = [(placed, Sound.of(placed.skill.invocation)) for placed in skills]
    for (first, a), (second, b) in combinations(sounds, 2):
        if _plain(first.skill.invocation) != _plain(second.skill.invocation) and alike(a, b):
            found = f"{shown(second.skill.invocation)} and {first.named()}"
            yield second.finding("sounds alike", found)


def _again(
    skills: Iterable[_Placed], rule: Rule, key: Callable[[_Skill], str]
) -> Iterator[Finding]:
    seen: dict[str, _Placed] = {}
    for placed in skills:
        value = key(placed.skill)
        first = seen.setdefault(value, placed)
        if first is not placed:
            yield placed.finding(rule, f"{shown(value)}, first in {first.named()}")


def _plain(invocation: str) -> str:
    return " ".join(invocation.casefold().split())
