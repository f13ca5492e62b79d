"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from echoaudit.findings import Findings
    from echoaudit.recording import Recording

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEFAULT_CONFIG = Path("configs/lab.yaml")


def config(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config`` and ``--set``."""
    for option in (
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Override one setting, such as speaker.gain=0.5; can be repeated.",
        ),
        click.option(
            "--config", "config_path", type=click.Path(path_type=Path), default=DEFAULT_CONFIG,
            show_default=True, help="Where and how to run.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
recording: Decorator = click.argument(
    "folder", metavar="RECORDING", type=click.Path(path_type=Path)
)


methods: Decorator = click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(["imc2023"]),
    help="Also show in the report what this published study's tests say.",
)

form: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(["html", "json", "csv", "parquet"]),
    default="html",
    show_default=True,
    help="A page for people; or all findings as one JSON file, or as a folder of tables.",
)


claims: Decorator = click.option(
    "--claims",
    "claims_path",
    type=click.Path(path_type=Path),
    help="YAML with claims stated after the run: judged too, and marked exploratory.",
)


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` words.

    Raises:
        BadInput: when a word has no ``=``.
    """
    pairs = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not key:
            raise BadInput(
                f"found {setting!r}; allowed: KEY=VALUE; example: --set speaker.gain=0.5",
                file="--set",
            )
        pairs[key] = value
    return pairs


def show(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    """Print ``value`` as JSON, or ``lines`` for people."""
    if as_json:
        click.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        for line in lines:
            click.echo(plain(line))


def require_writable(report: Path) -> None:
    """Make sure that a report can be written where it is wanted, before any work is done for it.

    Raises:
        BadInput: a folder is there, or a file where its folder should be.
        Unavailable: the folder cannot be made or written.
    """
    if report.is_dir():
        raise BadInput("is a folder; allowed: a file; example: -o report.html", file=report)
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(report.parent, error.strerror) from error
    if not os.access(report.parent, os.W_OK | os.X_OK):
        raise _unwritable(report.parent, "not writable by this user")


def require_output(form: str, output: Path | None, folder: Path) -> Path:
    """Where findings of the recording ``folder`` go in this form, once that can be written.

    Raises:
        BadInput: something else is there.
        Unavailable: its folder cannot be made or written.
    """
    from echoaudit.findings.files import require_replaceable

    name = folder.resolve().name
    ending = f"-{form}" if form in ("csv", "parquet") else f".{form}"
    path = output or Path("reports") / f"{name}{ending}"
    if form == "html":
        require_writable(path)
        return path
    require_replaceable(form, path)
    require_writable(path / "new" if path.is_dir() else path)
    return path


def write_output(
    recording: Recording, found: Findings, form: str, path: Path, methods: Sequence[str]
) -> None:
    """Write findings as the page, or as files for programs."""
    from echoaudit import findings
    from echoaudit.findings.files import write_files

    if form == "html":
        findings.write_report(recording, found, path, methods)
    else:
        write_files(found, form, path)


def _unwritable(folder: Path, reason: str | None) -> Unavailable:
    fix = "make it a writable folder, or name another with -o FILE or --set folders.reports=FOLDER"
    return Unavailable(f"the output's folder {folder} cannot be used ({reason})", fix=fix)


def plain(text: str) -> str:
    """Replace control characters: names from the network must not steer the terminal."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_verdicts(as_json: bool, found: Findings, folder: Path, report: Path | None) -> None:
    """Print each conclusion's sentence, warnings, and where everything is."""
    value = {
        "conclusions": [conclusion.to_json() for conclusion in found.conclusions],
        "warnings": list(found.warnings),
        "recording": str(folder),
        "report": str(report) if report else None,
    }
    lines = [
        f"{conclusion.state.upper()}{' (exploratory)' * conclusion.exploratory}: "
        f"{conclusion.sentence}"
        for conclusion in found.conclusions
    ]
    lines += [f"NOTE: {warning}" for warning in found.warnings]
    if report:
        lines.append(f"report:    {report}")
    lines.append(f"recording: {folder}")
    name = shlex.quote(str(folder))
    lines.append(f"next:      echoaudit verify {name}; echoaudit replay --check {name}")
    show(as_json, value, lines)
