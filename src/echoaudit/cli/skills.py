"""``echoaudit skills``: catalogues of skills, shown, checked, and imported from a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.skills import Import
    from echoaudit.study.models import Catalogue, Skill

FOLDER = Path("skills")
KIND = "public list of a skill store"
paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[CATALOGUE]...")


@click.group("skills", short_help="Catalogues of skills.")
def command() -> None:
    """What can be said to a speaker: catalogues, one file for each interest.

    CATALOGUE is a file or a folder of them; all of skills/ when none is given.
    """


@command.command("list", short_help="Show the catalogues.")
@paths
@options.as_json
def list_(paths: tuple[Path, ...], as_json: bool) -> int:
    """Show each catalogue with its interest, its number of skills and sentences, and its date."""
    found = list(_loaded(paths))
    rows = [_summary(file, catalogue) for file, catalogue in found]
    width = max((len(row["catalogue"]) for row in rows), default=0)
    lines = [
        f"{row['catalogue']:<{width}}  {row['skills']:>4} skills  {row['utterances']:>5} "
        f"sentences  {row['date']}  {row['interest']}"
        for row in rows
    ]
    options.show(as_json, rows, lines)
    return ExitCode.OK


@command.command("show", short_help="Show one skill.")
@click.argument("skill")
@paths
@options.as_json
def show(skill: str, paths: tuple[Path, ...], as_json: bool) -> int:
    """Show SKILL, by its id, name or invocation name, with everything that is said to it."""
    wanted = skill.casefold()
    found = [
        (catalogue, one)
        for _, catalogue in _loaded(paths)
        for one in catalogue.skills
        if wanted in (one.id.casefold(), one.name.casefold(), one.invocation.casefold())
    ]
    if not found:
        raise BadInput(
            f"no skill {skill!r}{_nearest(skill, paths)}; allowed: an id, a name or an invocation "
            "name; example: echoaudit skills show 'Style Check'"
        )
    rows = [{"catalogue": c.catalogue, **one.model_dump(mode="json")} for c, one in found]
    options.show(as_json, rows, [line for c, one in found for line in _told(c, one)])
    return ExitCode.OK


@command.command("lint", short_help="Find what will go wrong when it is spoken.")
@paths
@options.as_json
def lint(paths: tuple[Path, ...], as_json: bool) -> int:
    """Check catalogues that are to be used together; exit code 1 when something is found.

    Finds ids twice, invocation names that are the same or sound alike, sentences without the wake
    word, text that no voice can say, stray newlines and blanks, mistyped interests.
    """
    from echoaudit.skills import lint as find

    files = _files(paths)
    found = find(files)
    lines = [str(finding) for finding in found] or [f"{len(files)} files: nothing found"]
    options.show(as_json, [finding.to_json() for finding in found], lines)
    return ExitCode.DIFFERENT if found else ExitCode.OK


@command.command("import", short_help="Make a catalogue of a store's list or pages.")
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SOURCE..."
)
@click.option("--into", type=click.Path(path_type=Path), help="The catalogue's new file.")
@click.option("--interest", help="The interest that the skills have in common.")
@click.option(
    "--date", type=click.DateTime(["%Y-%m-%d"]), help="The day on which the source was true."
)
@click.option("--kind", default=KIND, show_default=True, help="What kind of source it is.")
@click.option(
    "--match", multiple=True, metavar="WORDS",
    help="Keep skills with these words in name, phrases or description; can be repeated.",
)  # fmt: skip
@options.as_json
def import_(
    sources: tuple[Path, ...],
    into: Path | None,
    interest: str | None,
    date: datetime | None,
    kind: str,
    match: tuple[str, ...],
    as_json: bool,
) -> int:
    """Read skills from SOURCE: a list (.jsonl, .csv), a saved page (.html) or a folder of pages.

    What is said to a skill follows the published study's rule. Each record that makes no skill is
    named with the reason. Without --into nothing is written.
    """
    from echoaudit.skills import import_skills

    if into is not None:
        _require_new(into, interest, date)
    found = import_skills(sources, match)
    if into is not None and interest is not None and date is not None:
        _write(into, found, interest, kind, date)
    options.show(as_json, _import_json(found, into), _import_lines(found, into))
    return ExitCode.OK


# --- reading ----------------------------------------------------------------------------------


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths or (FOLDER,):
        inside = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not inside:
            raise BadInput("no catalogue in this folder; allowed: *.yaml files", file=path)
        files += inside
    return files


def _loaded(paths: Sequence[Path]) -> Iterator[tuple[Path, Catalogue]]:
    from echoaudit.study import load_catalogue

    for file in _files(paths):
        yield file, load_catalogue(file)


def _nearest(skill: str, paths: Sequence[Path]) -> str:
    from echoaudit.study.faults import suggestion

    known = [one.invocation for _, catalogue in _loaded(paths) for one in catalogue.skills]
    return suggestion(skill, known)


# --- showing ----------------------------------------------------------------------------------


def _summary(file: Path, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "file": str(file),
        "catalogue": catalogue.catalogue,
        "interest": catalogue.interest,
        "skills": len(catalogue.skills),
        "utterances": sum(len(skill.utterances) for skill in catalogue.skills),
        "source": catalogue.source.kind,
        "date": catalogue.source.date.isoformat(),
    }


def _told(catalogue: Catalogue, skill: Skill) -> Iterator[str]:
    yield f"{skill.name} ({skill.id}), {catalogue.interest}"
    yield f"  invocation:  {skill.invocation}"
    yield f"  vendor:      {skill.vendor or 'not said'}"
    yield f"  policy:      {skill.policy_url or 'none linked'}"
    yield f"  permissions: {', '.join(skill.permissions) or 'none'}"
    yield from (f"  said:        {text}" for text in skill.utterances)


def _import_json(found: Import, into: Path | None) -> dict[str, Any]:
    return {
        "skills": [skill.model_dump(mode="json") for skill in found.skills],
        "rejected": [rejected.to_json() for rejected in found.rejected],
        "unmatched": found.unmatched,
        "into": str(into) if into else None,
    }


def _import_lines(found: Import, into: Path | None) -> Iterator[str]:
    yield from (f"rejected {rejected}" for rejected in found.rejected)
    yield (
        f"{len(found.skills)} skills, {len(found.rejected)} records rejected, "
        f"{found.unmatched} without the words asked for"
    )
    yield f"catalogue: {into}" if into else "nothing written; add --into FILE"


# --- writing ----------------------------------------------------------------------------------


def _require_new(into: Path, interest: str | None, date: datetime | None) -> None:
    for option, value, example in (
        ("--interest", interest, "--interest 'Wine & Beverages'"),
        ("--date", date, "--date 2017-01-01"),
    ):
        if not value:
            raise BadInput(f"--into needs {option}; example: {example}", file=into)
    if into.exists():
        raise BadInput("is there already; allowed: a new file", file=into)


def _write(into: Path, found: Import, interest: str, kind: str, date: datetime) -> None:
    """Write the catalogue whole or not at all."""
    from pydantic import ValidationError

    from echoaudit.skills import written
    from echoaudit.study.models import Catalogue, Source
    from echoaudit.study.tree import LARGEST_FILE

    if not found.skills:
        raise BadInput("no record makes a skill, so there is no catalogue to write", file=into)
    try:
        catalogue = Catalogue(
            catalogue=into.stem,
            interest=interest,
            source=Source(kind=kind, date=date.date()),
            skills=found.skills,
        )
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        raise BadInput(
            f"cannot be a catalogue: {first['loc'][0]}: {first['msg']}; the file's name is its "
            "name: lower-case letters, digits and hyphens",
            file=into,
        ) from problem
    data = written(catalogue).encode()
    if len(data) > LARGEST_FILE:
        raise BadInput(
            f"would have {len(data)} bytes; allowed: {LARGEST_FILE}; narrow it with --match",
            file=into,
        )
    fresh = into.with_name(f"{into.name}.new")
    fresh.write_bytes(data)
    fresh.replace(into)
