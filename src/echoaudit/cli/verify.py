"""``echoaudit verify``: is the evidence what was recorded?"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

LEVELS = ("fast", "complete", "full")


@click.command("verify", short_help="Check that a recording's evidence is whole.")
@options.recording
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="complete",
    show_default=True,
    help="fast: journal and sizes; complete: every hash; full: every file is parsed too.",
)
@options.as_json
def command(folder: Path, level: str, as_json: bool) -> int:
    """Check the journal's chain and every evidence file of RECORDING; exit 1 on any fault."""
    from echoaudit.recording import verify

    if not any((folder / name).exists() for name in ("recording.json", "journal.jsonl")):
        raise BadInput("not a recording: it has no recording.json", file=folder)
    problems = verify(folder, cast(Literal["fast", "complete", "full"], level))
    lines = [str(problem) for problem in problems]
    verdict = f"{len(problems)} problems" if problems else f"whole ({level} check)"
    options.show(as_json, {"level": level, "problems": lines}, [*lines, f"{folder}: {verdict}"])
    return ExitCode.DIFFERENT if problems else ExitCode.OK
