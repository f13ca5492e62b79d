"""Values laid over a configuration: settings of the command line, and a place's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from echoaudit.study.checks import check_config
from echoaudit.study.faults import Origin
from echoaudit.study.models import Config
from echoaudit.study.schemas import inside, schema_of
from echoaudit.study.tree import Entry, Node, Scalar, Table, from_plain, overlay, parse
from echoaudit.study.typed import read

OVERLAY = Origin("settings overlay")


def written(overrides: Mapping[str, str]) -> Iterator[Node]:
    """A tree for each setting that a user typed as ``KEY=VALUE``.

    Where the schema takes text or a number the value is taken as it stands, without quoting;
    lists and tables are YAML: ``gateway.dns=[9.9.9.9, 1.1.1.1]``.
    """
    for key, value in overrides.items():
        origin = Origin(f"--set {key}")
        node: Node = Scalar(value, True, origin)
        if inside(schema_of(Config), tuple(key.split("."))).get("type") in ("array", "object"):
            node = parse(value.encode("utf-8", "surrogatepass"), origin)
        yield _nested(key.split("."), node, origin)


def _nested(keys: list[str], value: Node, origin: Origin) -> Node:
    for key in reversed(keys):
        value = Table((Entry(Scalar(key, True, origin), value),), origin)
    return value


def laid_over(tree: Node, above: Iterator[Node]) -> Node:
    """``tree`` with every tree of ``above`` laid over it in order."""
    for node in above:
        tree = overlay(tree, node)
    return tree


def merge(config: Config, values: Mapping[str, object], *, under: bool = False) -> Config:
    """``config`` with plain values laid over it, or under what the user wrote.

    Tables merge key by key; lists and scalars are replaced. Relative paths are left as they are.

    Args:
        config: what the user wrote.
        values: nested plain values, as JSON or as Python's paths and tuples.
        under: only fill what ``config`` does not set.

    Raises:
        BadInput: when the result is no valid configuration.
    """
    base = from_plain(config.model_dump(mode="json", exclude_unset=True), OVERLAY)
    top = from_plain(values, OVERLAY)
    merged, document = read(Config, overlay(top, base) if under else overlay(base, top))
    document.refuse(list(check_config(merged)))
    return merged
