"""YAML text to a plain tree whose every key and value knows its line and column.

Built from PyYAML's events, so that nothing is interpreted: a scalar stays the text that was
written until a schema says what it is. Aliases, anchors, tags and further documents are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import yaml

from echoaudit.study.faults import Fault, Origin, error, shown

LARGEST_FILE = 4 * 1024 * 1024
DEEPEST = 20
EXAMPLE = "persona: fashion"


@dataclass(frozen=True)
class Scalar:
    """Text as written; ``plain`` when it stood without quotes."""

    text: str
    plain: bool
    origin: Origin


@dataclass(frozen=True)
class Items:
    """A list."""

    nodes: tuple[Node, ...]
    origin: Origin


@dataclass(frozen=True)
class Entry:
    """A key with its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True)
class Table:
    """Keys with values, in order, possibly with a key written twice."""

    entries: tuple[Entry, ...]
    origin: Origin


Node = Scalar | Items | Table


def parse(data: bytes, file: Origin) -> Node:
    """The tree of one YAML document.

    Args:
        data: the file's bytes, UTF-8.
        file: names the file in errors and the folder of its relative paths.

    Raises:
        BadInput: at the first place that is not plain, small, UTF-8 YAML.
    """
    text = _decode(data, file)
    events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
    try:
        return _document(events, file)
    except yaml.MarkedYAMLError as problem:
        raise error([_syntax(problem, text, file)]) from None
    except yaml.reader.ReaderError as problem:
        where = _at(text, int(problem.position), file)
        found = f"character U+{int(problem.character):04X}, a control character"
        raise error([Fault(where, found, "printable text", EXAMPLE)]) from None
    except (ValueError, OverflowError):
        # PyYAML lets chr() fail on escapes such as "\UFFFFFFFF".
        found = "an escape that is no character"
        raise error([Fault(file, found, "escapes up to \\U0010FFFF", '"\\u00e9"')]) from None


def _decode(data: bytes, file: Origin) -> str:
    if len(data) > LARGEST_FILE:
        found = f"more than {LARGEST_FILE} bytes"
        raise error([Fault(file, found, "files up to 4 MiB", "split the file")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        start = data[: problem.start].decode("utf-8")
        where = _at(start, len(start), file)
        found = f"byte 0x{data[problem.start]:02x}, which is not UTF-8"
        raise error([Fault(where, found, "UTF-8 text", "save the file as UTF-8")]) from None


def _at(text: str, position: int, file: Origin) -> Origin:
    before = text[:position]
    line = before.count("\n") + 1
    return _place(file, line, position - before.rfind("\n"))


def _place(file: Origin, line: int, column: int) -> Origin:
    return Origin(file.name, line, column, file.folder)


def _syntax(problem: yaml.MarkedYAMLError, text: str, file: Origin) -> Fault:
    mark = problem.problem_mark or problem.context_mark
    if mark is None:
        return Fault(file, f"not YAML: {problem.problem}", "YAML", EXAMPLE)
    where = _place(file, mark.line + 1, mark.column + 1)
    if text[mark.index : mark.index + 1] == "\t":
        return Fault(where, "a tab", "spaces, also for indentation", EXAMPLE)
    parts = [part for part in (problem.context, problem.problem) if part]
    found = "not YAML: " + " ".join(" ".join(parts).split())
    allowed = "'key: value' lines and '- item' lists; text with ': ' or ' #' in quotes"
    return Fault(where, found, allowed, EXAMPLE)


def _document(events: Iterator[Any], file: Origin) -> Node:
    next(events)
    start = next(events)
    if isinstance(start, yaml.StreamEndEvent):
        raise error([Fault(_place(file, 1, 1), "an empty file", "YAML", EXAMPLE)])
    tree = _node(events, next(events), file, 1)
    next(events)
    following = next(events)
    if isinstance(following, yaml.DocumentStartEvent):
        fault = Fault(_where(following, file), "a second document", "one document", "drop '---'")
        raise error([fault])
    return tree


def _where(event: Any, file: Origin) -> Origin:
    return _place(file, event.start_mark.line + 1, event.start_mark.column + 1)


def _node(events: Iterator[Any], event: Any, file: Origin, depth: int) -> Node:
    where = _where(event, file)
    _refuse(event, where, depth)
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, event.style is None, where)
    if isinstance(event, yaml.SequenceStartEvent):
        nodes = _until(events, yaml.SequenceEndEvent, file, depth)
        return Items(tuple(nodes), where)
    parts = iter(_until(events, yaml.MappingEndEvent, file, depth))
    pairs = zip(parts, parts, strict=True)
    return Table(tuple(Entry(_key(key), value) for key, value in pairs), where)


def _until(events: Iterator[Any], end: type, file: Origin, depth: int) -> list[Node]:
    nodes = []
    while not isinstance(event := next(events), end):
        nodes.append(_node(events, event, file, depth + 1))
    return nodes


def _key(node: Node) -> Scalar:
    if isinstance(node, Scalar):
        return node
    raise error([Fault(node.origin, "a list or table as a key", "a word", EXAMPLE)])


def _refuse(event: Any, where: Origin, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent):
        found, allowed = f"alias *{str(event.anchor)[:40]}", "no aliases: write the value again"
    elif event.anchor is not None:
        found, allowed = f"anchor &{event.anchor[:40]}", "no anchors: write each value out"
    elif event.tag is not None and event.tag != "!":
        found, allowed = f"tag {shown(event.tag)}", "no tags: the key says what a value is"
    elif depth > DEEPEST:
        found, allowed = f"more than {DEEPEST} levels", f"at most {DEEPEST} levels"
    else:
        return
    raise error([Fault(where, found, allowed, EXAMPLE)])


def from_plain(value: object, origin: Origin) -> Node:
    """The tree of values that are already typed.

    Takes what JSON can hold and tuples; paths, dates and the like by their text.
    """
    if isinstance(value, Mapping):
        pairs = ((Scalar(str(key), False, origin), item) for key, item in value.items())
        return Table(tuple(Entry(key, from_plain(item, origin)) for key, item in pairs), origin)
    if isinstance(value, Sequence | Set) and not isinstance(value, str):
        return Items(tuple(from_plain(item, origin) for item in value), origin)
    if value is None or isinstance(value, bool | int | float):
        return Scalar(json.dumps(value), True, origin)
    return Scalar(str(value), False, origin)


def overlay(base: Node, top: Node) -> Node:
    """``base`` with ``top`` laid over it: tables merge key by key, anything else is replaced."""
    if not isinstance(base, Table) or not isinstance(top, Table):
        return top
    above = {entry.key.text: entry for entry in top.entries}
    below = {entry.key.text for entry in base.entries}
    merged = [
        Entry(entry.key, overlay(entry.value, above[entry.key.text].value))
        if entry.key.text in above
        else entry
        for entry in base.entries
    ]
    added = [entry for key, entry in above.items() if key not in below]
    return Table((*merged, *added), base.origin)


def extend(base: Node, more: Node) -> Node:
    """``base`` with the items of ``more``'s lists before those of its own, table by table.

    Whatever is no list in both is replaced.
    """
    if isinstance(base, Items) and isinstance(more, Items):
        return Items((*more.nodes, *base.nodes), base.origin)
    if not isinstance(base, Table) or not isinstance(more, Table):
        return more
    below = {entry.key.text: entry.value for entry in base.entries}
    grown = (
        Entry(e.key, extend(below[e.key.text], e.value)) if e.key.text in below else e
        for e in more.entries
    )
    return overlay(base, Table(tuple(grown), more.origin))
