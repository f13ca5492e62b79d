"""``echoaudit report``: the page that people read."""

from __future__ import annotations

from pathlib import Path

import click

from echoaudit.cli import options
from echoaudit.errors import ExitCode


@click.command("report", short_help="Write the report of a recording.")
@options.recording
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The report's file.")
@options.methods
def command(folder: Path, output: Path | None, methods: tuple[str, ...]) -> int:
    """Write the HTML report of RECORDING and print its path.

    The report is computed from the evidence; findings stored in the recording are left alone.
    """
    from echoaudit import findings
    from echoaudit.lists import Store
    from echoaudit.recording import Recording

    report = output or Path("reports") / f"{folder.resolve().name}.html"
    recording = Recording.open(folder)
    options.require_writable(report)
    labels = findings.kept_labels(recording)
    found = findings.compute(recording, Store.default().installed(), labels)
    findings.write_report(recording, found, report, methods)
    click.echo(report)
    return ExitCode.OK
