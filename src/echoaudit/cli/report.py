"""``echoaudit report``: the page that people read."""

from __future__ import annotations

from pathlib import Path

import click

from echoaudit.cli import options
from echoaudit.cli.printing import print_pdf
from echoaudit.errors import BadInput, ExitCode


@click.command("report", short_help="Write the report of a recording.")
@options.recording
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file, or folder.")
@options.form
@click.option("--pdf", is_flag=True, help="Also print the page to a PDF file beside it.")
@options.claims
@options.methods
def command(
    folder: Path,
    output: Path | None,
    form: str,
    pdf: bool,
    claims_path: Path | None,
    methods: tuple[str, ...],
) -> int:
    """Write the report of RECORDING and print its path.

    The report is computed from the evidence; findings stored in the recording are left alone.
    Other formats hold every table and conclusion, with the meaning of each column.
    """
    from echoaudit import findings
    from echoaudit.findings.claims import read_later
    from echoaudit.lists import Store
    from echoaudit.recording import Recording

    if pdf and form != "html":
        raise BadInput(f"only the page can be printed, not {form}", file="--pdf")
    recording = Recording.open(folder)
    report = options.require_output(form, output, folder)
    labels = findings.kept_labels(recording)
    later = (
        read_later(claims_path, recording.study) if claims_path else findings.kept_claims(recording)
    )
    found = findings.compute(recording, Store.default().installed(), labels, later=later)
    options.write_output(recording, found, form, report, methods)
    click.echo(report)
    if pdf:
        printed = report.with_suffix(".pdf")
        print_pdf(report, printed)
        click.echo(printed)
    return ExitCode.OK
