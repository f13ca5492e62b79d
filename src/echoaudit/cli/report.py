"""``echoaudit report``: the page that people read."""

from __future__ import annotations

from pathlib import Path

import click

from echoaudit.cli import options
from echoaudit.cli.printing import print_pdf
from echoaudit.errors import BadInput, ExitCode


@click.command("report", short_help="Write the report of a recording.")
@click.argument(
    "folders", metavar="RECORDING...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file, or folder.")
@options.form
@click.option("--pdf", is_flag=True, help="Also print the page to a PDF file beside it.")
@click.option("--dask", metavar="ADDRESS", help="Dask scheduler for several recordings.")
@options.claims
@options.methods
def command(
    folders: tuple[Path, ...],
    output: Path | None,
    form: str,
    pdf: bool,
    dask: str | None,
    claims_path: Path | None,
    methods: tuple[str, ...],
) -> int:
    """Write the report of RECORDING and print its path.

    The report is computed from the evidence; findings stored in the recording are left alone.
    Other formats hold every table and conclusion, with the meaning of each column. Of several
    recordings the claims that they share are pooled, on a Dask cluster with --dask.
    """
    from echoaudit import findings
    from echoaudit.findings.claims import read_later
    from echoaudit.lists import Store
    from echoaudit.recording import Recording

    if pdf and form != "html":
        raise BadInput(f"only the page can be printed, not {form}", file="--pdf")
    if len(folders) > 1 or dask is not None:
        if claims_path is not None or methods:
            option = "--claims" if claims_path is not None else "--method"
            raise BadInput("goes with one recording", file=option)
        report = _several(folders, form, output, dask)
        return _done(report, pdf)
    (folder,) = folders
    recording = Recording.open(folder)
    report = options.require_output(form, output, folder)
    labels = findings.kept_labels(recording)
    later = (
        read_later(claims_path, recording.study) if claims_path else findings.kept_claims(recording)
    )
    found = findings.compute(recording, Store.default().installed(), labels, later=later)
    options.write_output(recording, found, form, report, methods)
    return _done(report, pdf)


def _several(folders: tuple[Path, ...], form: str, output: Path | None, dask: str | None) -> Path:
    """Pool the claims of several recordings and write them."""
    from echoaudit.findings.several import judge_all
    from echoaudit.findings.store import write_text
    from echoaudit.inference.meta import pool
    from echoaudit.recording.jsonfile import canonical
    from echoaudit.report.pooled import render

    if form not in ("html", "json"):
        raise BadInput(
            f"{form} of several recordings; allowed: html, json; example: --format json",
            file="--format",
        )
    report = output or Path("reports") / f"pooled.{form}"
    options.require_writable(report)
    judged = judge_all(folders, dask)
    pooled = pool({name: one.conclusions for name, one in judged.items()})
    for one in pooled:
        mark = " (exploratory)" * one.exploratory
        click.echo(options.plain(f"{one.state.upper()}{mark}: {one.sentence}"))
    if form == "html":
        write_text(report, render(pooled, {name: one.digest for name, one in judged.items()}))
    else:
        values = {"studies": list(judged), "claims": [one.to_json() for one in pooled]}
        write_text(report, canonical(values).decode() + "\n")
    return report


def _done(report: Path, pdf: bool) -> int:
    click.echo(report)
    if pdf:
        printed = report.with_suffix(".pdf")
        print_pdf(report, printed)
        click.echo(printed)
    return ExitCode.OK
