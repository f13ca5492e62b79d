"""``echoaudit check``: findings against a user's own rules, for continuous integration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import ExitCode

if TYPE_CHECKING:
    from echoaudit.findings.rules import Judgement

MARKS = {"passed": "ok", "failed": "FAILED", "unknown": "UNKNOWN"}


@click.command("check", short_help="Hold findings against rules.")
@options.recording
@click.option(
    "--rules", "rules_path", type=click.Path(path_type=Path), required=True,
    help="YAML file of rules; configs/rules/example.yaml is an example.",
)  # fmt: skip
@options.as_json
def command(folder: Path, rules_path: Path, as_json: bool) -> int:
    """Hold the findings of RECORDING against rules and print what was expected and found.

    Findings are computed from the evidence. Exit code 1 when a rule fails, or when nothing is
    known of what it is about.
    """
    from echoaudit import findings
    from echoaudit.findings.claims import claims_of
    from echoaudit.findings.rules import judge, read_rules
    from echoaudit.recording import Recording

    recording = Recording.open(folder)
    later = findings.kept_claims(recording)
    claims = [claim.claim for claim in (*claims_of(recording.study), *later.claims)]
    rules = read_rules(rules_path, claims)
    found = findings.compute(recording, labels=findings.kept_labels(recording), later=later)
    judged = judge(rules, found)
    passed = all(one.state == "passed" for one in judged)
    value = {"passed": passed, "rules": [asdict(one) for one in judged]}
    options.show(as_json, value, _lines(judged))
    return ExitCode.OK if passed else ExitCode.DIFFERENT


def _lines(judged: Sequence[Judgement]) -> Iterator[str]:
    from echoaudit.findings.rules import SHOWN

    for one in judged:
        about = f" - {one.about}" if one.about else ""
        yield f"{MARKS[one.state]:8}{one.rule}{about}"
        yield f"        expected {one.expected}; found {one.found}"
        if one.values:
            more = f" and {len(one.values) - SHOWN} more" if len(one.values) > SHOWN else ""
            yield f"        {', '.join(value or '(empty)' for value in one.values[:SHOWN])}{more}"
    failed = sum(one.state != "passed" for one in judged)
    yield f"{len(judged) - failed} of {len(judged)} rules passed"
