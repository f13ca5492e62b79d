"""``echoaudit table``: the tables of findings, for terminals, spreadsheets and papers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.outcomes.schema import Schema
    from echoaudit.recording import Recording
    from echoaudit.report.shares import Measure

WIDEST = 100
"""Characters of a cell in a table for the terminal; the other formats cut nothing."""
LISTED = "listed"
"""The table of what the user's own lists say."""
MEASURES = {"count": "contacts", "flows": "flows", "bytes": "bytes"}


class Sheet(NamedTuple):
    """A table to be printed: cells are text, numbers, truth values or None."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@click.command("table", short_help="Print a table of findings.")
@options.recording
@click.argument("name", required=False)
@click.option(
    "--by",
    type=click.Choice(list(MEASURES)),
    default="count",
    show_default=True,
    help="What the table shares adds up: contacts as the study counts them, connections, bytes.",
)
@click.option(
    "--attributed",
    is_flag=True,
    help="In the table shares, only what counts for a skill by the attribution rule.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json", "md", "parquet"]),
    default="text", show_default=True,
    help="For a terminal, a spreadsheet, a program, a document or a data frame.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this file.")
def command(
    folder: Path, name: str | None, by: str, attributed: bool, form: str, output: Path | None
) -> int:
    """Print the table NAME of RECORDING's findings; without NAME, the names.

    Tables are computed from the evidence. The table shares is the study's: who received which
    share of the contacts of each persona's skills. Control characters are replaced, and cells
    that a spreadsheet would run are quoted with '.
    """
    from echoaudit.recording import Recording

    recording = Recording.open(folder)
    if output is not None:
        options.require_writable(output)
    if form == "parquet":
        _write(_parquet(recording, name), output)
        return ExitCode.OK
    if name is None:
        sheets = [_names()]
    elif name == "shares":
        sheets = _shares(recording, cast("Measure", MEASURES[by]), attributed, form)
    else:
        sheets = [_whole(recording, name)]
    _write(FORMATS[form](sheets).encode(), output)
    return ExitCode.OK


def _write(data: bytes, output: Path | None) -> None:
    from echoaudit.findings.store import write_bytes

    if output is None:
        click.echo(data, nl=False)
    else:
        write_bytes(output, data)


def _schemas() -> dict[str, Schema]:
    from echoaudit.findings.listed import LISTED as SCHEMA
    from echoaudit.findings.tables import details, schemas

    return schemas() | details() | {LISTED: SCHEMA}


def _parquet(recording: Recording, name: str | None) -> bytes:
    """One table as it stands in findings, with the meaning of its columns."""
    from echoaudit.findings.files import parquet

    if name is None:
        raise BadInput("a list of tables has no Parquet form; name a table")
    return parquet(_table(recording, name), _schemas()[name])


def _names() -> Sheet:
    rows = [(name, schema.description) for name, schema in _schemas().items()]
    return Sheet("Tables of findings", ("table", "content"), rows)


def _whole(recording: Recording, name: str) -> Sheet:
    table = _table(recording, name)
    return _sheet(_schemas()[name].description, table)


def _table(recording: Recording, name: str) -> pd.DataFrame:
    from echoaudit import outcomes
    from echoaudit.findings import kept_labels
    from echoaudit.findings.tables import details, tables

    known = _schemas()
    if name not in known:
        raise BadInput(f"there is no table {name!r}; tables: {', '.join(sorted(known))}")
    if name in details():
        return outcomes.load(name).derive(recording)
    if name == LISTED:
        return _listed(recording)
    return tables(recording, [name], kept_labels(recording))[name]


def _listed(recording: Recording) -> pd.DataFrame:
    """What the installed lists say of the recording's hosts."""
    from echoaudit.findings.listed import OF_HOSTS, listed_table
    from echoaudit.findings.tables import tables
    from echoaudit.lists import Store

    store = Store.default()
    installed = store.installed()
    if not installed:
        raise BadInput("no list is installed; example: echoaudit lists update easylist.txt")
    return listed_table(tables(recording, OF_HOSTS), installed, store)


def _sheet(title: str, table: pd.DataFrame) -> Sheet:
    import pandas as pd

    rows = [
        [None if pd.isna(value) else value for value in row]
        for row in table.itertuples(index=False, name=None)
    ]
    return Sheet(title, list(table.columns), rows)


def _shares(recording: Recording, measure: Measure, attributed: bool, form: str) -> list[Sheet]:
    """The study's table; people and programs also get how many skills led where."""
    from echoaudit.findings.tables import schemas, tables
    from echoaudit.report.shares import pivot

    found = tables(recording, ["shares", "reach"])
    rows = pivot(found["shares"], measure, attributed=attributed)
    personas = list(rows[0].values)
    counted = "attributed to skills" if attributed else "in sessions of skills"
    shares = Sheet(
        f"{measure} {counted}, by party, purpose and organisation",
        ("party", "purpose", "organisation", *personas, "all", "share_percent"),
        [
            (r.party, r.purpose, r.organisation, *r.values.values(), r.total, r.share)
            for r in rows
        ],
    )  # fmt: skip
    if form == "csv":
        return [shares]
    return [shares, _sheet(schemas()["reach"].description, found["reach"])]


# --- formats ----------------------------------------------------------------------------------


def _text(sheets: Sequence[Sheet]) -> str:
    return "\n".join("\n".join(_lines(sheet)) + "\n" for sheet in sheets)


def _lines(sheet: Sheet) -> Iterator[str]:
    cells = [[_cut(_shown(value)) for value in row] for row in sheet.rows]
    heads = [_cut(options.plain(name)) for name in sheet.columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    right = [_is_number(column) for column in zip(*sheet.rows, strict=True)] or [False] * len(heads)
    yield options.plain(sheet.title)
    for row in [heads, *cells]:
        aligned = zip(row, widths, right, strict=True)
        yield "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in aligned).rstrip()


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _is_number(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, str | bool) for value in values)


def _shown(value: Any) -> str:
    """A value as people read it, harmless to a terminal."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else options.plain(str(value))


def _csv(sheets: Sequence[Sheet]) -> str:
    from echoaudit.findings.files import unrun

    out = io.StringIO()
    for sheet in sheets:
        csv.writer(out).writerows(
            [unrun(value) for value in row] for row in (sheet.columns, *sheet.rows)
        )
    return out.getvalue()


def _md(sheets: Sequence[Sheet]) -> str:
    return "\n".join("\n".join(_markdown(sheet)) + "\n" for sheet in sheets)


def _markdown(sheet: Sheet) -> Iterator[str]:
    yield f"**{_unmarked(sheet.title)}**\n"
    for row in (sheet.columns, ["---"] * len(sheet.columns)):
        yield f"| {' | '.join(row if row[0] == '---' else map(_unmarked, row))} |"
    for row in sheet.rows:
        yield f"| {' | '.join(_unmarked(_shown(value)) for value in row)} |"


def _unmarked(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!&~" else c for c in options.plain(text))


def _json(sheets: Sequence[Sheet]) -> str:
    values = [
        {"title": sheet.title, "columns": list(sheet.columns), "rows": list(map(list, sheet.rows))}
        for sheet in sheets
    ]
    # ASCII only: what a terminal would obey stays escaped.
    return json.dumps(values if len(values) > 1 else values[0], default=_number) + "\n"


def _number(value: Any) -> Any:
    """What numpy counts with, as Python has it."""
    return value.item()


FORMATS: Mapping[str, Callable[[Sequence[Sheet]], str]] = {
    "text": _text,
    "csv": _csv,
    "json": _json,
    "md": _md,
}
