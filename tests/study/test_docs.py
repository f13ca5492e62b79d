"""Every example in docs/study.md is loaded, and every fault in it is the real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_catalogue, load_config, load_study
from echoaudit.study.models import Config
from echoaudit.study.reference import filled

from .conftest import Write

DOCS = Path(__file__).parents[2] / "docs/study.md"
BLOCK = re.compile(r"```yaml\n(# (\S+)\n.*?)```\n(?:```text\n(.*?)```\n)?", re.DOTALL)
EXAMPLES = [match.groups() for match in BLOCK.finditer(DOCS.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("text", "name", "fault"), EXAMPLES, ids=[f"{n}-{e[1]}" for n, e in enumerate(EXAMPLES)]
)
def test_example(text: str, name: str, fault: str | None, write: Write, config: Config) -> None:
    path = write(name, text)
    message = _loaded(path, config)
    if fault is None:
        assert message == ""
    else:
        assert message + "\n" == fault


def _loaded(path: Path, config: Config) -> str:
    try:
        if path.parts[0] == "configs":
            load_config(path)
        elif path.parts[0] == "skills":
            load_catalogue(path)
        else:
            load_study([path], config)
    except BadInput as refusal:
        return str(refusal)
    return ""


def test_there_are_examples_of_both_sorts() -> None:
    assert sum(fault is None for *_, fault in EXAMPLES) >= 4
    assert sum(fault is not None for *_, fault in EXAMPLES) >= 10


def test_tables_of_keys_are_up_to_date() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert filled(text) == text, "out of date; run: python -m echoaudit.study"
