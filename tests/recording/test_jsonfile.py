import os
import time
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.recording import canonical, read_json, read_jsonl, write_json, write_jsonl
from echoaudit.study.models import Site


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    where: Path


def test_what_is_written_is_read_back(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": "\u00e4\U0001f600\x1b[2J\u2028", "": {}}
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value
    assert (tmp_path / "v.json").read_bytes().isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]
    assert (tmp_path / "v.json").stat().st_mode & 0o777 == 0o600


def test_equal_values_are_equal_bytes():
    assert canonical({"a": 1, "b": {"d": 1, "c": 2}}) == canonical({"b": {"c": 2, "d": 1}, "a": 1})
    assert canonical({"b", "a"}) == canonical({"a", "b"}) == b'["a","b"]'


def test_values_of_the_project_become_plain():
    site = Site(site="news", url="https://news.example/")
    value = {"p": Point(1, Path("a/b")), "c": Colour.RED, "d": date(2026, 1, 2), "s": (site,)}
    assert canonical(value) == (
        b'{"c":"red","d":"2026-01-02","p":{"where":"a/b","x":1},'
        b'"s":[{"site":"news","url":"https://news.example/"}]}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {b"x": 1}, {1j}])
def test_what_is_not_json_is_refused_and_leaves_no_file(tmp_path, value):
    with pytest.raises(BadInput, match="cannot be written as JSON"):
        write_json(tmp_path / "v.json", [value])
    assert not list(tmp_path.iterdir())


def test_values_too_deep_to_read_are_not_written():
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(BadInput, match="nested deeper than 100"):
        canonical(deep)
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadInput, match="nested deeper than 100"):
        canonical(deep)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"[" * 1_000_000, "nested deeper than 100"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested deeper than 100"),
        (b"[]," * 2_500_000, "more than 2000000 arrays"),
        (b"NaN", "NaN is not a JSON number"),
        (b"-Infinity", "not a JSON number"),
        (b"1e999", "too large a number"),
        (b"1" * 5000, "not JSON"),
        (b"\0", "not JSON"),
        (b'"a\0b"', "not JSON"),
    ],
)
def test_hostile_text_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_json(tmp_path / "v.json")
    assert str(caught.value).startswith(str(tmp_path / "v.json"))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("unit", [b'\\"', b"\\", b'"', b'"[\\'])
def test_brackets_are_counted_in_linear_time(tmp_path, unit):
    (tmp_path / "v.json").write_bytes(b'"' + unit * (4_000_000 // len(unit)))
    started = time.process_time()
    with pytest.raises(BadInput):
        read_json(tmp_path / "v.json")
    assert time.process_time() - started < 2


def test_brackets_in_strings_do_not_count(tmp_path):
    value = ["[" * 1000, '\\"[{' * 1000, "\\"]
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value


def test_strings_read_can_always_be_encoded(tmp_path):
    (tmp_path / "v.json").write_text('{"\\ud800": ["\\uDFFFx", "\\ud83d\\ude00"]}')
    assert read_json(tmp_path / "v.json") == {"\ufffd": ["\ufffdx", "\U0001f600"]}


def test_size_limit(tmp_path):
    (tmp_path / "v.json").write_text("[1]")
    assert read_json(tmp_path / "v.json", 3) == [1]
    with pytest.raises(BadInput, match="larger than the 2 bytes"):
        read_json(tmp_path / "v.json", 2)


def test_links_pipes_folders_and_nothing(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("link", "cannot be read"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("none", "no such file"),
        ("a\0b", "not a usable name"),
    ]:
        with pytest.raises(BadInput, match=message) as caught:
            read_json(tmp_path / name)
        assert str(caught.value).isprintable()


def test_lines(tmp_path):
    write_jsonl(tmp_path / "v.jsonl", [{"b": 1, "a": "x\ny\u2028"}, 2])
    assert list(read_jsonl(tmp_path / "v.jsonl")) == [{"a": "x\ny\u2028", "b": 1}, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\n2", "v.jsonl:2: last line is cut short"),
        (b"1\n[\n", "v.jsonl:2: not JSON"),
        (b"1\n\n", "v.jsonl:2: not JSON"),
        (b"1\n" + b" " * 50 + b"1\n", "v.jsonl:2: line is longer than 20 bytes"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    (tmp_path / "v.jsonl").write_bytes(content)
    lines = read_jsonl(tmp_path / "v.jsonl", 20)
    assert next(lines) == 1
    with pytest.raises(BadInput, match=message):
        next(lines)
