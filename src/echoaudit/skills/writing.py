"""A catalogue as the text of its file."""

from __future__ import annotations

from typing import Any

import yaml

from echoaudit.study.models import Catalogue

SCHEMA = "# yaml-language-server: $schema=../configs/schemas/catalogue.schema.json\n"
WIDTH = 100


def written(catalogue: Catalogue) -> str:
    """YAML that reads back as ``catalogue``; a blank line between skills."""
    plain = catalogue.model_dump(mode="json", exclude_none=True)
    head = {key: value for key, value in plain.items() if key != "skills"}
    skills = [_dump([_told(skill)], indent=2) for skill in plain["skills"]]
    return SCHEMA + _dump(head) + "skills:\n" + "\n".join(skills)


def _told(skill: dict[str, Any]) -> dict[str, Any]:
    """Without what the store does not say."""
    return {key: value for key, value in skill.items() if value}


def _dump(value: Any, indent: int = 0) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH)
    return "".join(f"{' ' * indent}{line}" for line in text.splitlines(keepends=True))
