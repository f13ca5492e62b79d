"""The commands themselves: help, the README's table, how fast they answer, their exit codes."""

from __future__ import annotations

import itertools
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_kit import ROOT, Stranger
from click.testing import CliRunner

from echoaudit.cli import COMMANDS, group
from echoaudit.errors import ExitCode

HELP_SECONDS = 0.2


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", inner) for sub, inner in command.commands.items())


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=str)
def test_every_command_explains_itself(name: str, command: click.Command) -> None:
    done = CliRunner().invoke(group, [*name.split(), "--help"])
    assert done.exit_code == 0
    assert command.help and command.short_help
    options = [p for p in command.params if isinstance(p, click.Option) and p.name != "help"]
    assert all(option.help for option in options)


def test_the_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| `([^`]+)", readme, re.M) for name in spelt_out(row)}
    leaves = {name for name, command in commands() if not isinstance(command, click.Group)}
    assert listed == leaves


def test_the_help_of_import_names_every_kind_of_evidence() -> None:
    told = COMMANDS["import"].lower().replace("-", "")
    kinds = {name.split()[1] for name, _ in commands() if name.startswith("import ")}
    assert "openwpm" in kinds
    assert {kind for kind in kinds if kind not in told} == set()


def spelt_out(row: str) -> Iterator[str]:
    r"""The commands of a row such as ``lists update\|show``."""
    words = (w.split(r"\|") for w in row.split() if re.fullmatch(r"[a-z]+(\\\|[a-z]+)*", w))
    return map(" ".join, itertools.product(*words))


def test_the_readme_lists_every_exit_code() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = re.search(r"Exit codes:(.*?)Reading", readme, re.S)
    assert codes is not None
    assert {int(code) for code in re.findall(r"\b\d+\b", codes[1])} == set(ExitCode)


def test_help_is_instant(stranger: Stranger) -> None:
    took = []
    for _ in range(5):
        # Processor time: the wall clock would measure whatever else the machine does.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = stranger.command("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert said.code == 0 and "Commands:" in said.out
    assert min(took) < HELP_SECONDS


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, echoaudit.cli as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pandas', 'numpy', 'scapy', 'selenium', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


EXITS = {
    ExitCode.OK: ["--version"],
    ExitCode.DIFFERENT: ["verify", "damaged"],
    ExitCode.BAD_INPUT: ["run", "nope.yaml"],
    ExitCode.UNAVAILABLE: ["doctor", "browser", "--set", "browser.binary=/nonexistent"],
}


@pytest.mark.parametrize("code", EXITS, ids=lambda code: code.name)
def test_each_exit_code_is_what_a_command_ends_with(stranger: Stranger, code: ExitCode) -> None:
    damaged: Path = stranger.recording("damaged")
    (damaged / "plan.json").write_text("{}")
    assert stranger.command(*EXITS[code]).code == code


def test_an_interrupted_command_exits_130(stranger: Stranger) -> None:
    # More output than a pipe holds: after its first byte the command waits for a reader.
    large = ("--json", "--set", "accounts.control=50", "--set", "rounds.after=20")
    # Whoever starts the tests in the background of a shell lets them ignore the signal.
    python = ["env", "--default-signal=INT", sys.executable]
    command = [*python, "-m", "echoaudit", "run", "personas", "--dry-run", *large]
    with subprocess.Popen(
        command, cwd=stranger.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1) == b"{"
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == ExitCode.INTERRUPTED
        line = process.stderr.read().decode()
    assert line.strip() == "echoaudit: stopped at once; the same command resumes"


def test_every_exit_code_is_tried() -> None:
    assert {*EXITS, ExitCode.INTERRUPTED} == set(ExitCode)
