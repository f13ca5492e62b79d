"""What a schema allows, in words, and a value that it takes."""

from __future__ import annotations

import json
from typing import Any

from echoaudit.study.schemas import KEY, Schema, member, resolve

Path = tuple[str | int, ...]
WORD = 40
"""Characters of a user's own key that a dotted path repeats."""


def dotted(path: Path) -> str:
    """``('skills', 2, 'id')`` as ``skills[2].id``."""
    text = ""
    for part in path:
        shown = ascii(part[:WORD])[1:-1] if isinstance(part, str) else ""
        text += f"[{part}]" if isinstance(part, int) else f".{shown}" if text else shown
    return text


def allowed(schema: Schema) -> str:
    """What a value may be."""
    if "patternErrorMessage" in schema:
        return str(schema["patternErrorMessage"])
    if "enum" in schema or "const" in schema:
        return one_of([str(choice) for choice in schema.get("enum", [schema.get("const")])])
    words = {
        "boolean": "true or false",
        "integer": f"a whole number{_range(schema)}",
        "number": f"a number{_range(schema)}",
        "array": _list(schema),
        "object": f"the keys {', '.join(schema.get('properties', ()))}",
        "path": "a path",
        "date": "a date, YYYY-MM-DD",
    }
    return words.get(schema.get("format") or schema.get("type", ""), "text")


def _range(schema: Schema) -> str:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    return "".join(f" {word} {_short(schema[key])}" for key, word in words.items() if key in schema)


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _list(schema: Schema) -> str:
    lowest, highest = schema.get("minItems", 0), schema.get("maxItems")
    if lowest == highest:
        return f"a list of {lowest}"
    return f"a list of at least {lowest}" if lowest else "a list"


def one_of(choices: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)


def example(path: Path, schema: Schema, root: Schema) -> str:
    """A line of YAML that is allowed at ``path``."""
    value = _sample(schema, root)
    if not path:
        return ", ".join(f"{key}: {flow(part)}" for key, part in value.items())
    if path[-1] == KEY:
        return f"{flow(value)}: ..."
    return (
        f"- {flow(value)}" if isinstance(path[-1], int) else f"{dotted(path[-1:])}: {flow(value)}"
    )


def flow(value: object) -> str:
    """``value`` as YAML on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        parts = (f"{key}: {flow(part)}" for key, part in value.items() if part is not None)
        return "{" + ", ".join(parts) + "}"
    return json.dumps(value, ensure_ascii=False)


def _sample(schema: Schema, root: Schema) -> Any:
    schema = resolve(schema, root)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") not in (None, [], {}):
        return schema["default"]
    if schema.get("type") == "object":
        return {key: _sample(_value(schema, key), root) for key in schema.get("required", ())}
    if schema.get("type") == "array":
        return [_sample(member(schema, 0) or {}, root)]
    return _plain(schema)


def _value(schema: Schema, key: str) -> Schema:
    return member(schema, key) or {}


def _plain(schema: Schema) -> object:
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    known = {"date": "2017-01-31", "path": "folder/file", "boolean": True}
    numbers = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.5)}
    kind = schema.get("format") or schema.get("type", "")
    return {**known, **numbers}.get(kind, "text")
