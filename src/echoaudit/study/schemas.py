"""JSON Schemas of the files a user writes, for editors and for the loader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from echoaudit.study.models import Catalogue, Config, Persona, Strict, Study

Schema = Mapping[str, Any]

KEY = "[key]"
"""Last part of the place of a key itself; pydantic uses the same."""

FILES: dict[str, type[Strict]] = {
    "persona": Persona,
    "catalogue": Catalogue,
    "study": Study,
    "config": Config,
}


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file, by the kind's name."""
    return {name: dict(schema_of(model)) for name, model in FILES.items()}


@cache
def schema_of(model: type[Strict]) -> Schema:
    """The JSON Schema (2020-12) of a model, closed against unknown keys everywhere."""
    schema = _closed(model.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "patternProperties" in closed:
        closed["additionalProperties"] = False
    return closed


def resolve(schema: Schema, root: Schema) -> Schema:
    """``schema`` with its reference followed and without its ``null`` alternative."""
    if "anyOf" in schema:
        inner = next(part for part in schema["anyOf"] if part.get("type") != "null")
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**resolve(inner, root), **rest}
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**root["$defs"][name], **rest}
    return schema


def nullable(schema: Schema) -> bool:
    """Whether the value may be ``null``."""
    return any(part.get("type") == "null" for part in schema.get("anyOf", ()))


def member(schema: Schema, key: str | int) -> Schema | None:
    """The schema of a key's value or of a list's item; nothing when there is none."""
    if key == KEY:
        found = schema.get("propertyNames")
    elif isinstance(key, int):
        fixed = schema.get("prefixItems", ())
        found = fixed[key] if key < len(fixed) else schema.get("items")
    else:
        any_key = next(
            iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties")
        )
        found = schema.get("properties", {}).get(key, any_key)
    return found if isinstance(found, dict) else None


def inside(root: Schema, path: tuple[str | int, ...]) -> Schema:
    """The resolved schema at ``path``; an empty one where the path leads nowhere."""
    above, schema = root, root
    for key in path:
        above, schema = schema, resolve(member(above if key == KEY else schema, key) or {}, root)
    return schema


def written(schema: Schema) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
