"""Whatever is in a file, the answer is a value or one line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from echoaudit.errors import BadInput
from echoaudit.study import load_config, merge, restore_study
from echoaudit.study.faults import Origin
from echoaudit.study.models import Catalogue, Config, Persona, Strict, Study
from echoaudit.study.tree import parse
from echoaudit.study.typed import read

from .conftest import FASHION, SKILLS, Write

MODELS = (Persona, Catalogue, Study, Config)
WORDS = st.sampled_from(
    ["persona", "skills", "config", "speaker", "gain", "sites", "site", "url", "devices", "mac",
     "no", "~", "12:30", "0x1F", ".inf", "1e999", "[key]", "<<", "=", "\u202e", "\x1b[31m", "a-1",
     "https://a/", "2017-01-01", "", "\n", "🙂", "-", "?", "{", "&a", "*a", "!!binary", "\ud800"]
) | st.text(max_size=20)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


def answer(model: type[Strict], data: bytes) -> None:
    try:
        read(model, parse(data, Origin("file.yaml")))
    except BadInput as refusal:
        message = str(refusal)
        assert message.startswith("file.yaml")
        assert message.isprintable()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MODELS), st.binary(max_size=200) | st.text(max_size=200).map(
    lambda text: text.encode("utf-8", "surrogatepass")))  # fmt: skip
def test_any_bytes(model: type[Strict], data: bytes) -> None:
    answer(model, data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MODELS), VALUES)
def test_any_yaml(model: type[Strict], value: Any) -> None:
    text = yaml.dump(value, allow_unicode=True, Dumper=yaml.SafeDumper)
    answer(model, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([FASHION, SKILLS]),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(list("\t\n\"'[]{}:-#&*!|>%@`~0é\x00 "))),
             min_size=1, max_size=6),
)  # fmt: skip
def test_good_files_with_characters_put_in(text: str, edits: list[tuple[float, str]]) -> None:
    for where, character in edits:
        place = int(where * len(text))
        text = text[:place] + character + text[place:]
    answer(Persona if text.startswith("p") else Catalogue, text.encode())


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_overlay(values: Mapping[str, Any]) -> None:
    try:
        merged = merge(Config(config="here"), values)
    except BadInput as refusal:
        assert str(refusal).isprintable()
    else:
        assert isinstance(merged, Config)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=3))
def test_any_override(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    path = tmp_path_factory.getbasetemp() / "good.yaml"
    path.write_text("config: here\n")
    try:
        load_config(path, values)
    except BadInput as refusal:
        assert refusal.message.isprintable()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["a.yaml", "b/c.yaml", "../d.yaml"]), VALUES, min_size=1))
def test_any_recorded_study(files: dict[str, Any]) -> None:
    data = {name: yaml.dump(value).encode("utf-8", "replace") for name, value in files.items()}
    try:
        restore_study(data, Config(config="here"))
    except BadInput as refusal:
        assert refusal.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "{" * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: '" + "x" * 1_000_000,
        "a: " + "\\" * 1_000_000,
        "persona: a\n" * 5_000,
        "".join(f"k{n}: v\n" for n in range(5_000)),
        "!" * 100_000,
        "&" + "a" * 100_000 + " x",
        "%TAG " * 10_000,
        "#" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_large_hostile_files_are_answered_soon(text: str) -> None:
    started = time.process_time()
    answer(Persona, text.encode())
    assert time.process_time() - started < 8


def test_deep_nesting_never_reaches_the_interpreters_limit(write: Write) -> None:
    for opening in ("[", "{a: ", "- ", "? "):
        with pytest.raises(BadInput, match=r"20 levels|as a key|not YAML"):
            load_config(write(f"deep{Path(opening.strip(' ?:')).name}.yaml", opening * 3000))
