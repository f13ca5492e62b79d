"""The keys of every kind of file as Markdown tables, for ``docs/study.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from echoaudit.study import wording
from echoaudit.study.schemas import FILES, Schema, resolve, schema_of

MARK = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| key | value | when absent | meaning |\n|---|---|---|---|"


def filled(text: str) -> str:
    """``text`` with a fresh table between each ``<!-- keys: KIND -->`` and ``<!-- end -->``."""
    return MARK.sub(lambda found: f"{found[1]}{table(found[2])}\n{found[3]}", text)


def table(kind: str) -> str:
    """All keys of one kind of file, nested ones dotted."""
    root = schema_of(FILES[kind])
    return "\n".join([HEAD, *_rows(root, root, "")])


def _rows(schema: Schema, root: Schema, before: str) -> Iterator[str]:
    for key, written in schema["properties"].items():
        inner = resolve(written, root)
        needed = key in schema.get("required", ())
        yield _row(f"{before}{key}", inner, written, needed)
        each = inner.get("items") or next(iter(inner.get("patternProperties", {}).values()), None)
        if "properties" in inner:
            yield from _rows(inner, root, f"{before}{key}.")
        elif each and "properties" in resolve(each, root):
            lead = f"{before}{key}{'[]' if 'items' in inner else '.NAME'}."
            yield from _rows(resolve(each, root), root, lead)


def _row(name: str, schema: Schema, written: Schema, needed: bool) -> str:
    value = "table" if schema.get("type") == "object" else wording.allowed(schema)
    meaning = " ".join(str(schema.get("description", "")).replace("``", "`").split())
    cells = (f"`{name}`", value, "required" if needed else _default(written), meaning)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _default(written: Schema) -> str:
    value = written.get("default")
    if value in (None, [], {}) or isinstance(value, dict):
        return "–"
    return f"`{wording.flow(value)}`"
