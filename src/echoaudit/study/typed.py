"""A tree of YAML to a model: scalars typed by the schema, every fault with its place."""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from echoaudit.study import wording
from echoaudit.study.faults import Fault, Origin, error, shown, suggestion
from echoaudit.study.models import Strict
from echoaudit.study.schemas import KEY, Schema, inside, member, nullable, resolve, schema_of
from echoaudit.study.tree import Entry, Items, Node, Scalar, Table

M = TypeVar("M", bound=Strict)
Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""

NULLS = ("", "~", "null")
NUMBERS = {
    "integer": re.compile(r"[-+]?[0-9]{1,19}"),
    "number": re.compile(r"[-+]?([0-9]{1,19}(\.[0-9]{0,19})?|\.[0-9]{1,19})([eE][-+]?[0-9]{1,2})?"),
}
BAD_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """A fault known by the place of its value rather than by line and column."""

    place: Place
    found: str
    allowed: str
    example: str


@dataclass(frozen=True)
class Document:
    """A model with the origins of its parts, so that later checks can say where."""

    origins: dict[Place, Origin]

    def fault(self, problem: Problem) -> Fault:
        """``problem`` at the line where its value, or the nearest part around it, was written."""
        place = problem.place
        while place not in self.origins:
            place = place[:-1]
        return Fault(self.origins[place], problem.found, problem.allowed, problem.example)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """End with the first of ``problems``, if there is one.

        Raises:
            BadInput: when ``problems`` is not empty.
        """
        if problems:
            raise error([self.fault(problem) for problem in problems])


def read(model: type[M], tree: Node) -> tuple[M, Document]:
    """The model that ``tree`` spells.

    Raises:
        BadInput: with the first fault and the number of the others.
    """
    reading = _Reading(schema_of(model))
    plain = reading.value(tree, reading.root, ())
    if reading.faults:
        raise error(reading.faults)
    document = Document(reading.origins)
    try:
        return model.model_validate_json(json.dumps(plain)), document
    except ValidationError as problem:
        faults = [document.fault(p) for p in _constraints(problem, reading.root)]
        raise error(faults) from None


def _constraints(problem: ValidationError, root: Schema) -> Iterator[Problem]:
    for item in problem.errors(include_url=False):
        place = tuple(item["loc"])
        if item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"]:
            continue  # pydantic counts only the good items of a list with bad ones
        schema = inside(root, place)
        about = place[:-1] if place[-1:] == (KEY,) else place
        own = item["type"] == "value_error"
        allowed = str(item["ctx"]["error"]) if own else wording.allowed(schema)
        found = f"found {_input(item['input'])}{_for(about)}"
        yield Problem(place, found, allowed, wording.example(place, schema, root))


def _input(value: object) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} items" if value else "an empty list"
    return shown(value) if isinstance(value, str) else json.dumps(value)


def _for(place: Place) -> str:
    return f" for {wording.dotted(place)}" if place else ""


@dataclass
class _Reading:
    root: Schema
    faults: list[Fault] = field(default_factory=list)
    origins: dict[Place, Origin] = field(default_factory=dict)

    def value(self, node: Node, schema: Schema, place: Place) -> Any:
        """The plain value of ``node``; nothing, and a fault noted, when it does not fit."""
        self.origins[place] = node.origin
        if nullable(schema) and _is_null(node):
            return None
        schema = resolve(schema, self.root)
        match node:
            case Table() if schema.get("type") == "object":
                return self._table(node, schema, place)
            case Items() if schema.get("type") == "array":
                return self._items(node, schema, place)
            case Scalar() if schema.get("type") not in ("object", "array"):
                return self._scalar(node, schema, place)
        self._misfit(node, schema, place)
        return None

    def _misfit(self, node: Node, schema: Schema, place: Place) -> None:
        found = f"found {_described(node)}{_for(place)}"
        self._fault(node.origin, found, schema, place)

    def _fault(self, origin: Origin, found: str, schema: Schema, place: Place) -> None:
        example = wording.example(place, schema, self.root)
        self.faults.append(Fault(origin, found, wording.allowed(schema), example))

    def _items(self, node: Items, schema: Schema, place: Place) -> list[Any] | None:
        if len(node.nodes) > schema.get("maxItems", len(node.nodes)):
            self._fault(node.origin, f"found {len(node.nodes)} items{_for(place)}", schema, place)
            return None
        return [
            self.value(item, member(schema, index) or {}, (*place, index))
            for index, item in enumerate(node.nodes)
        ]

    # --- tables -------------------------------------------------------------------------------

    def _table(self, node: Table, schema: Schema, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for entry in node.entries:
            key = entry.key.text
            if key in values:
                self._twice(entry, schema, place)
            elif (inner := member(schema, key)) is None:
                self._unknown(entry, schema, place)
            else:
                self.origins[(*place, key, KEY)] = entry.key.origin
                values[key] = self.value(entry.value, inner, (*place, key))
        for key in schema.get("required", ()):
            if key not in values:
                self._missing(key, node, schema, place)
        return values

    def _twice(self, entry: Entry, schema: Schema, place: Place) -> None:
        key = entry.key.text
        first = self.origins[(*place, key, KEY)]
        at = f", first in line {first.line}" if first.line else ""
        inner = resolve(member(schema, key) or {}, self.root)
        example = wording.example((key,), inner, self.root)
        found = f"{shown(key)} a second time{at}"
        self.faults.append(Fault(entry.key.origin, found, "each key once", example))

    def _unknown(self, entry: Entry, schema: Schema, place: Place) -> None:
        known = list(schema.get("properties", ()))
        inside_of = f" in {wording.dotted(place)}" if place else ""
        found = f"unknown key {shown(entry.key.text)}{inside_of}{suggestion(entry.key.text, known)}"
        name = _nearest(entry.key.text, known)
        inner = resolve(member(schema, name) or {}, self.root)
        example = wording.example((name,), inner, self.root)
        self.faults.append(Fault(entry.key.origin, found, ", ".join(known), example))

    def _missing(self, key: str, node: Table, schema: Schema, place: Place) -> None:
        inner = resolve(member(schema, key) or {}, self.root)
        found = f"no {key!r}{f' in {wording.dotted(place)}' if place else ''}"
        self._fault(node.origin, found, inner, (key,))

    # --- scalars ------------------------------------------------------------------------------

    def _scalar(self, node: Scalar, schema: Schema, place: Place) -> Any:
        kind = schema.get("type", "string")
        if kind == "string":
            return self._text(node, schema, place)
        if node.plain and kind == "boolean" and node.text.lower() in ("true", "false"):
            return node.text.lower() == "true"
        if node.plain and kind in NUMBERS and NUMBERS[kind].fullmatch(node.text):
            return float(node.text) if re.search(r"[.eE]", node.text) else int(node.text)
        self._misfit(node, schema, place)
        return None

    def _text(self, node: Scalar, schema: Schema, place: Place) -> str | None:
        empty = not node.text and (node.plain or schema.get("format") == "path")
        lost = schema.get("relativeTo") == "file only" and node.text.startswith(("/", "~"))
        if empty or lost or BAD_TEXT.search(node.text):
            self._misfit(node, schema, place)
            return None
        return _relative(node, schema)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = suggestion(word, known)
    return near.split("'")[1] if near else known[0]


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.text in NULLS


def _described(node: Node) -> str:
    if isinstance(node, Table):
        return "keys"
    if isinstance(node, Items):
        return "a list"
    if not node.text:
        return "nothing"
    return f"{'' if node.plain else 'the text '}{shown(node.text)}"


def _relative(node: Scalar, schema: Schema) -> str:
    """Paths get the folder of the file that they were written in."""
    rule = schema.get("relativeTo", "file" if schema.get("format") == "path" else "")
    if rule in ("", "command") or ("slash" in rule and "/" not in node.text):
        return node.text
    if node.text.startswith("~/"):
        return str(Path(node.text).expanduser())
    return os.path.normpath((node.origin.folder or Path()) / node.text)
