"""``echoaudit replay``: findings and report again, from the evidence alone."""

from __future__ import annotations

from pathlib import Path

import click

from echoaudit.cli import options
from echoaudit.errors import ExitCode


@click.command("replay", short_help="Compute findings and report again.")
@options.recording
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the findings differ.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The report's file, or folder."
)
@options.form
@click.option(
    "--labels",
    "labels_path",
    type=click.Path(path_type=Path),
    help="CSV with a person's labels of audio segments: segment, is_ad, brand.",
)
@options.claims
@options.methods
@options.as_json
def command(
    folder: Path,
    check: bool,
    output: Path | None,
    form: str,
    labels_path: Path | None,
    claims_path: Path | None,
    methods: tuple[str, ...],
    as_json: bool,
) -> int:
    """Compute the findings and the report of RECORDING again.

    The same recording gives the same bytes on every machine. Labels and claims are kept with the
    findings; --check uses those.
    """
    from echoaudit import findings
    from echoaudit.findings.claims import NONE_LATER, read_later
    from echoaudit.findings.labels import NONE, read_labels
    from echoaudit.lists import Store
    from echoaudit.recording import Recording

    recording = Recording.open(folder)
    if check:
        differences = findings.check(recording)
        lines = [str(difference) for difference in differences]
        lines.append(
            f"{folder}: {len(differences)} differences" if differences
            else f"{folder}: the findings follow from the evidence"
        )  # fmt: skip
        options.show(as_json, {"differences": lines[:-1]}, lines)
        return ExitCode.DIFFERENT if differences else ExitCode.OK
    report = options.require_output(form, output, folder)
    labels = read_labels(labels_path) if labels_path else NONE
    later = read_later(claims_path, recording.study) if claims_path else NONE_LATER
    lists = Store.default().installed()
    found = findings.compute(recording, lists, labels, later=later)
    findings.write(recording.folder, found)
    options.write_output(recording, found, form, report, methods)
    options.show_verdicts(as_json, found, folder, report)
    return ExitCode.OK
