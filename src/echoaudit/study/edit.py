"""One setting changed in a YAML file, and not a byte besides: comments are the user's."""

from __future__ import annotations

import yaml

from echoaudit.errors import BadInput


def with_setting(text: str, table: str, key: str, value: str) -> str:
    """``text`` with ``table.key`` set to ``value``, which is written as it is.

    A setting that is there is replaced where it stands, one that is not is put first in its
    table, and a table that is not is put at the end.

    Raises:
        BadInput: the text is not a mapping, or the table is written in one line (``{...}``) and
            lacks the key.
    """
    node = _child(_root(text), table)
    if node is None:
        return f"{text.rstrip()}\n\n{table}:\n  {key}: {value}\n"
    place = _child(node, key)
    if place is not None:
        return text[: place.start_mark.index] + value + text[place.end_mark.index :]
    return _inserted(text, node, f"{key}: {value}", table)


def _root(text: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {error}") from error
    if not isinstance(root, yaml.MappingNode):
        raise BadInput("not a mapping of settings")
    return root


def _child(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _inserted(text: str, table: yaml.Node, line: str, name: str) -> str:
    if not isinstance(table, yaml.MappingNode) or table.flow_style or not table.value:
        raise BadInput(f"{name} is written in one line; allowed: a setting a line, indented")
    first = table.value[0][0].start_mark
    return f"{text[: first.index]}{line}\n{' ' * first.column}{text[first.index :]}"
