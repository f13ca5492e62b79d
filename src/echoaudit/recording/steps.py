"""A finished step's evidence, as outcomes read it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from echoaudit.errors import BadInput
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.jsonfile import FILE_LIMIT, LINE_LIMIT, read_json, read_jsonl
from echoaudit.recording.layout import inside


@dataclass(frozen=True)
class StepEvidence:
    """One finished step: what was planned (``data``) and the files it left."""

    id: str
    kind: str
    account: str
    persona: str
    folder: Path
    data: Mapping[str, Any]
    files: Mapping[str, FileEntry]
    """By path relative to ``folder``."""

    def has(self, name: str) -> bool:
        """Whether the step left this file."""
        return name in self.files

    def path(self, name: str) -> Path:
        """Where a file of this step is.

        Raises:
            BadInput: the journal names no such file, or a link leads to it.
        """
        if name not in self.files:
            raise BadInput(f"step {self.id} has no {name}", file=self.folder)
        return inside(self.folder, name)

    def json(self, name: str, limit: int = FILE_LIMIT) -> Any:
        """The value of a JSON file of this step; see ``read_json``."""
        return read_json(self.path(name), limit)

    def jsonl(self, name: str, limit: int = LINE_LIMIT) -> Iterator[Any]:
        """The values of a JSON Lines file of this step; see ``read_jsonl``."""
        return read_jsonl(self.path(name), limit)


@dataclass(frozen=True)
class Interrupted:
    """An attempt at a step that ended early."""

    attempt: int
    """Which one it was, from 1."""
    folder: Path
    """What it left."""
    started: float
    """Seconds since 1970."""


def in_order(planned: Iterable[str], finished: Iterable[str]) -> list[str]:
    """Ids of finished steps in the plan's order, others after them.

    A part, ``STEP.NUMBER``, comes before the step it is part of.
    """
    place = {id_: number for number, id_ in enumerate(dict.fromkeys(planned))}

    def key(id_: str) -> tuple[int, float, str]:
        whole, _, number = id_.rpartition(".")
        if id_ not in place and whole in place and number.isdecimal():
            return place[whole], int(number), id_
        return place.get(id_, len(place)), math.inf, id_

    return sorted(finished, key=key)


def owner(step_id: str) -> tuple[str, str]:
    """Account and persona of a step: those of ``fashion-1/sign-in`` are fashion-1 and fashion."""
    account = step_id.split("/", maxsplit=1)[0]
    persona, _, index = account.rpartition("-")
    return account, persona if persona and index.isdecimal() else account


class _Step(BaseModel):
    id: str


class _Track(BaseModel):
    steps: list[_Step]


class _Wave(BaseModel):
    tracks: list[_Track]


class _Plan(BaseModel):
    waves: list[_Wave]


def planned_ids(plan: Any) -> tuple[str, ...]:
    """Ids of the steps of ``plan.json``, in the plan's order.

    Raises:
        BadInput: not ``{"waves": [{"tracks": [{"steps": [{"id": …}]}]}]}``.
    """
    try:
        waves = _Plan.model_validate(plan).waves
    except ValidationError as error:
        raise BadInput(f"not a plan: {error.errors()[0]['msg']}") from error
    return tuple(step.id for wave in waves for track in wave.tracks for step in track.steps)
