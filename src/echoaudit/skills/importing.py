"""Many records to the skills of one catalogue, with a reason for each that is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from echoaudit.skills.listing import Rejected, skill_of
from echoaudit.skills.sources import Read, read
from echoaudit.study.models import Skill


@dataclass(frozen=True)
class Import:
    """What became of all records."""

    skills: tuple[Skill, ...]
    rejected: tuple[Rejected, ...]
    unmatched: int
    """Records that hold none of the words asked for."""


def import_skills(paths: Iterable[Path], match: Sequence[str] = ()) -> Import:
    """Read every record of ``paths``, in order.

    Args:
        paths: lists, saved pages and folders of pages.
        match: keep records that hold one of these words; all when empty.

    Raises:
        BadInput: a path is no list and no page.
    """
    skills: list[Skill] = []
    rejected: list[Rejected] = []
    unmatched = 0
    seen: dict[str, str] = {}
    for where, record in _records(paths):
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        if match and not record.mentions(match):
            unmatched += 1
            continue
        skill = skill_of(record, where)
        if isinstance(skill, Rejected):
            rejected.append(skill)
        elif skill.id in seen:
            reason = f"id a second time, first in {seen[skill.id]}"
            rejected.append(Rejected(where, skill.id, reason))
        else:
            skills.append(skill)
            seen[skill.id] = where
    return Import(tuple(skills), tuple(rejected), unmatched)


def _records(paths: Iterable[Path]) -> Iterator[Read]:
    for path in paths:
        yield from read(path)
