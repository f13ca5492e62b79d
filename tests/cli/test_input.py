"""What a stranger writes wrongly: one line that says where, exit code 2, nothing written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cli_kit import Stranger

PERSONAS: dict[str, tuple[str | bytes, str]] = {
    "unknown key": ("persona: x\ninterst: y\n", r"bad\.yaml:2:1: unknown key 'interst'.*interest"),
    "duplicate key": ("persona: x\npersona: y\n", r"bad\.yaml:2:1: 'persona' a second time"),
    "wrong type": ("persona: [x]\n", r"bad\.yaml:1:10: found a list for persona"),
    "dangling control": ("persona: x\ncontrol: who\n", r"bad\.yaml:2:10: control 'who'"),
    "dangling skills": ("persona: x\nskills: no.yaml\n", r"bad\.yaml:2:9: no file '.*no\.yaml'"),
    "not UTF-8": (b"persona: \xff\xfe\n", r"bad\.yaml:1:10: byte 0xff"),
    "binary": (bytes(range(256)), r"bad\.yaml:1:1: character U\+0000|bad\.yaml:\d+:\d+: byte"),
    "tab": ("persona: x\n\tinterest: y\n", r"bad\.yaml:2:1: a tab"),
    "empty": ("", r"bad\.yaml:1:1: an empty file"),
    "a list": ("- persona\n", r"bad\.yaml:1:1: found a list"),
    "syntax": ("persona: x: y\n", r"bad\.yaml:1:11: not YAML"),
    "code": ("persona: !!python/name:os.system x\n", r"bad\.yaml:1:10: tag"),
    "two documents": ("persona: x\n---\npersona: y\n", r"bad\.yaml:2:1: a second document"),
    "deep": (f"persona: {'[' * 5000}\n", r"bad\.yaml:1:\d+: more than 20 levels"),
}


@pytest.mark.parametrize("name", PERSONAS)
def test_a_faulty_persona_is_refused_with_its_place(stranger: Stranger, name: str) -> None:
    content, expected = PERSONAS[name]
    line = stranger.refused("run", stranger.write("bad.yaml", content))
    assert re.search(expected, line), line


ARGUMENTS = {
    ("run",): r"Missing argument 'PERSONA\.\.\.'.*run --help",
    ("run", "nope.yaml"): r"nope\.yaml: no such file",
    ("run", "worlds/paper.yaml"): r"worlds/paper\.yaml:\d+:1: unknown key 'world'",
    ("run", "configs/lab.yaml"): r"configs/lab\.yaml: found a config; allowed: a persona",
    ("run", "/dev/null"): r"/dev/null: not a file",
    ("run", "personas", "--bogus"): r"No such option.*--bogus",
    ("run", "personas", "--config", "nope.yaml"): r"nope\.yaml: no such file",
    ("run", "personas", "--config", "personas/fashion.yaml"): r"found a persona; allowed: a config",
    ("run", "personas", "--set", "speaker.gain"): r"--set: found 'speaker\.gain'; allowed: KEY=",
    ("run", "personas", "--set", "speaker.gian=1"): r"--set speaker\.gian: .*did you mean 'gain'",
    ("run", "personas", "--set", "speaker.gain=9"): r"found 9 .*allowed: a number from 0 to 4",
    ("run", "personas", "--world", "nope"): r"no world 'nope'; known: null, null-streams, paper",
    ("run", "personas", "--world", "./nope.yaml"): r"no world file nope\.yaml",
    ("run", "personas", "--world", "paper", "--config", "configs/raspberry-pi.yaml"):
        r"--world: configs/raspberry-pi\.yaml has no lab",
    ("run", "personas", "--into", "personas"): r"personas: is there and no recording",
    ("run", "personas", "--into", "configs/lab.yaml"): r"lab\.yaml: is there and no recording",
    ("run", "personas", "--into", "x" * 300): r"file name too long; fix: name another",
    ("bogus",): r"No such command.*bogus",
    ("doctor", "bogus", "--set", "browser.binary=/nonexistent"): r"no check is called 'bogus'",
    ("verify", "personas"): r"personas: not a recording",
    ("status", "nope"): r"nope: not a recording",
    ("report", "personas"): r"personas: not a recording",
    ("replay", "configs/lab.yaml"): r"configs/lab\.yaml: not a recording",
    ("lab", "score", "personas"): r"personas: not a recording",
    ("verify", "--level", "bogus", "personas"): r"--level.*fast.*complete.*full",
}  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_a_wrong_argument_is_refused(stranger: Stranger, arguments: tuple[str, ...]) -> None:
    line = stranger.refused(*arguments)
    assert re.search(ARGUMENTS[arguments], line), line


def test_a_folder_without_personas_is_refused(stranger: Stranger) -> None:
    (stranger.folder / "nothing").mkdir()
    assert "nothing: an empty folder" in stranger.refused("run", "nothing")


def test_a_pipe_is_no_persona_and_nobody_waits_for_it(stranger: Stranger) -> None:
    os.mkfifo(stranger.folder / "pipe.yaml")
    assert "pipe.yaml: not a file" in stranger.refused("run", "pipe.yaml")


def test_a_faulty_world_is_refused_with_its_place(stranger: Stranger) -> None:
    world = stranger.write("world.yaml", "based_on: worlds/paper.yaml\nbidders: 3\n")
    line = stranger.refused("run", "personas", "--world", world)
    assert re.search(r"world\.yaml:2:10: found '3' for bidders", line)


def test_a_dry_run_writes_nothing(stranger: Stranger) -> None:
    before = stranger.files()
    said = stranger.command("run", "personas/fashion.yaml", "--dry-run")
    assert said.code == 0 and "fashion-1" in said.out
    assert stranger.files() == before


def test_outside_the_project_the_missing_configuration_is_named(
    stranger: Stranger, tmp_path: Path
) -> None:
    (stranger.folder / "configs" / "lab.yaml").unlink()
    assert "configs/lab.yaml: no such file" in stranger.refused("run", "personas")
