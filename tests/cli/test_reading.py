"""Recordings that are damaged or changed: what each reading command says and exits with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_kit import Stranger

from echoaudit.errors import ExitCode

READING = (("status",), ("verify",), ("replay", "--check"), ("lab", "score", "--truth", "personas"))


def test_a_whole_recording_is_whole(stranger: Stranger) -> None:
    folder = str(stranger.recording())
    assert stranger.command("verify", folder).out.strip() == f"{folder}: whole (complete check)"
    assert "sealed" in stranger.command("status", folder).out
    checked = stranger.command("replay", "--check", folder)
    assert (checked.code, checked.err) == (0, "")


def test_json_is_json(stranger: Stranger) -> None:
    folder = str(stranger.recording())
    assert stranger.in_fork("verify", folder, "--json").json["problems"] == []
    assert stranger.in_fork("status", folder, "--json").json["state"] == "sealed"
    assert stranger.in_fork("replay", "--check", folder, "--json").json == {"differences": []}
    told = stranger.in_fork("replay", folder, "--json", "-o", "page.html").json
    assert told["report"] == "page.html" and told["conclusions"][0]["state"]
    plan = stranger.in_fork("run", "personas", "--dry-run", "--json").json
    assert plan["waves"]
    assert (stranger.folder / "page.html").read_bytes().startswith(b"<!")


def one_byte(recording: Path) -> None:
    page = next(iter(sorted(recording.glob("*/visits/*/page.har"))))
    content = bytearray(page.read_bytes())
    content[len(content) // 2] ^= 1
    page.write_bytes(content)


def journal_line(recording: Path) -> None:
    journal = recording / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"step", b"stop", 1)
    journal.write_bytes(b"".join(lines))


def journal_tail(recording: Path) -> None:
    journal = recording / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])


def file_too_many(recording: Path) -> None:
    (recording / "note.txt").write_text("I was here")


def step_gone(recording: Path) -> None:
    next(recording.glob("*/visits/*/visit.json")).unlink()


DAMAGE = (one_byte, journal_line, journal_tail, file_too_many, step_gone)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_verify_finds_damage(stranger: Stranger, damage: Callable[[Path], None]) -> None:
    recording = stranger.recording()
    damage(recording)
    said = stranger.in_fork("verify", str(recording))
    assert said.code == ExitCode.DIFFERENT and said.err == ""
    assert re.search(r"[1-9]\d* problems$", said.out.strip())


@pytest.mark.parametrize("command", READING[:1] + READING[2:], ids=" ".join)
def test_a_damaged_journal_is_named_with_its_line(
    stranger: Stranger, command: tuple[str, ...]
) -> None:
    (stranger.folder / "personas" / "truth").mkdir()
    recording = stranger.recording()
    journal_line(recording)
    line = stranger.refused(*command, str(recording), code=ExitCode.DIFFERENT)
    assert f"{recording}/journal.jsonl:4: " in line


def test_a_recording_of_the_future_is_refused(stranger: Stranger) -> None:
    recording = stranger.recording()
    info = json.loads((recording / "recording.json").read_text())
    (recording / "recording.json").write_text(json.dumps({**info, "format": 99}))
    assert "format 99" in stranger.refused("status", str(recording))


def test_one_changed_number_in_a_conclusion_is_found(stranger: Stranger) -> None:
    recording = stranger.recording()
    path = recording / "findings" / "conclusions.json"
    path.write_text(re.sub(r'"alpha":0.\d+', '"alpha":0.06', path.read_text(), count=1))
    said = stranger.in_fork("replay", "--check", str(recording))
    assert said.code == ExitCode.DIFFERENT
    assert "alpha: recorded 0.06, recomputed 0.05" in said.out


def test_one_changed_number_in_a_table_is_found(stranger: Stranger) -> None:
    recording = stranger.recording()
    path = recording / "findings" / "bids.parquet"
    table = pq.read_table(path)
    prices = table["cpm"].to_pylist()
    index = next(i for i, price in enumerate(prices) if price is not None)
    prices[index] += 0.01
    column = pa.array(prices, table.schema.field("cpm").type)
    pq.write_table(table.set_column(table.schema.get_field_index("cpm"), "cpm", column), path)
    said = stranger.in_fork("replay", "--check", str(recording))
    assert said.code == ExitCode.DIFFERENT
    assert "bids.parquet" in said.out and "cpm" in said.out


def test_findings_that_are_missing_or_trash_are_found(stranger: Stranger) -> None:
    recording = stranger.recording()
    (recording / "findings" / "bids.parquet").write_bytes(b"trash")
    (recording / "findings" / "syncs.parquet").unlink()
    said = stranger.in_fork("replay", "--check", str(recording))
    assert said.code == ExitCode.DIFFERENT
    assert "bids.parquet: recorded no readable table" in said.out
    assert "syncs.parquet: recorded nothing" in said.out


@pytest.mark.parametrize("command", ["report", "replay"])
@pytest.mark.parametrize("place", ["personas", "configs/lab.yaml/page.html"])
def test_a_report_that_cannot_be_written_there_is_refused_first(
    stranger: Stranger, command: str, place: str
) -> None:
    recording = stranger.recording()
    code = ExitCode.BAD_INPUT if place == "personas" else ExitCode.UNAVAILABLE
    line = stranger.refused(command, str(recording), "-o", place, code=code)
    assert place.removesuffix("/page.html") in line


def test_a_closed_pipe_is_no_error(stranger: Stranger) -> None:
    recording = stranger.recording()
    shell = f"set -o pipefail; $0 -m echoaudit status {recording} | true"
    assert stranger.shell(shell).err == ""
    shell = "$0 -m echoaudit run personas --dry-run --json | head -1"
    said = stranger.shell(shell)
    assert (said.out, said.err) == ("{\n", "")


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}, {"TERM": "dumb"}], ids=str
)
def test_any_locale_and_terminal_will_do(stranger: Stranger, env: dict[str, str]) -> None:
    name = "über-mode.yaml"
    stranger.write(name, "persona: x\ninterest: ü\ninterst: ü\n")
    said = stranger.command("run", name, env={**env, "NO_COLOR": "1"})
    assert said.code == ExitCode.BAD_INPUT
    assert "3:1: unknown key 'interst'" in said.line
    assert "\x1b" not in said.err
