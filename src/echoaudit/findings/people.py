"""Personas of a recorded study, and how many accounts of each saw or heard something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def personas_of(study: Any) -> list[Mapping[str, Any]]:
    """The personas of a study as it was recorded; none where it tells none."""
    found = study.get("personas") if isinstance(study, Mapping) else None
    return [one for one in found or () if isinstance(one, Mapping)]


def treated(study: Any) -> Iterator[str]:
    """Personas that something is done to: skills, or a topic that they browse."""
    for persona in personas_of(study):
        if persona.get("catalogue") or persona.get("browses"):
            yield str(persona.get("persona"))


def shares(rows: pd.DataFrame, persona_of: Mapping[str, str]) -> Iterator[str]:
    """``fashion 2 of 3``: of each persona's accounts in ``persona_of``, those in the rows."""
    for persona, own in rows.groupby("persona", sort=True):
        total = sum(p == persona for p in persona_of.values())
        yield f"{persona} {own['account'].nunique()} of {total}"
