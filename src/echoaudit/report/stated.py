"""The study as its recording states it, as far as the report shows it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from echoaudit.errors import BadInput


class _Loose(BaseModel):
    """Later versions may state more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StatedSkill(_Loose):
    """A skill of a persona."""

    id: str
    name: str


class StatedCatalogue(_Loose):
    """A persona's skills."""

    skills: tuple[StatedSkill, ...] = ()


class StatedPersona(_Loose):
    """A persona; without a catalogue and a topic, a control."""

    persona: str
    interest: str | None = None
    description: str | None = None
    catalogue: StatedCatalogue | None = None
    browses: str | None = None

    @property
    def skills(self) -> tuple[StatedSkill, ...]:
        """Its skills; none when it is not spoken to."""
        return self.catalogue.skills if self.catalogue else ()


class StatedStudy(_Loose):
    """The study's name and personas."""

    study: str = ""
    personas: tuple[StatedPersona, ...] = ()


def stated(values: Any) -> StatedStudy:
    """Read the values of ``study.json``.

    Raises:
        BadInput: they have another form.
    """
    try:
        return StatedStudy.model_validate(values or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"study.json: {place}: {first['msg']}") from error
