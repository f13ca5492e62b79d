"""Findings as files for other programs: one JSON document, or a folder of CSV or Parquet tables.

Folders carry a ``datapackage.json``, the Data Package standard's description of tables: every
column with its type, unit and meaning.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from echoaudit.errors import BadInput
from echoaudit.findings import tables as registry
from echoaudit.findings.store import arrow, write_folder, write_text
from echoaudit.recording import canonical

if TYPE_CHECKING:
    from echoaudit.findings import Findings
    from echoaudit.outcomes.schema import Column, Schema

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
PACKAGE = "datapackage.json"
MADE_BY = "echoaudit"
_TYPES = {"string": "string", "int": "integer", "float": "number", "bool": "boolean"}


def write_files(found: Findings, form: str, path: Path) -> Path:
    """Write findings in a form of ``FORMS`` and return the path.

    Args:
        found: what to write.
        form: ``json``: one file; ``csv``, ``parquet``: a folder with a file per table.
        path: the file or folder; a folder is replaced when an earlier export made it.

    Raises:
        BadInput: a folder of something else is there.
    """
    FORMS[form](found, path)
    return path


def require_replaceable(form: str, path: Path) -> None:
    """Make sure that ``path`` can become an export of this form.

    Raises:
        BadInput: a folder that no export made is there, or a file where a folder is wanted.
    """
    if form == "json":
        if path.is_dir():
            raise BadInput("is a folder; allowed: a file; example: -o findings.json", file=path)
    elif path.exists() and not (_is_export(path) or (path.is_dir() and not any(path.iterdir()))):
        raise BadInput(
            "is there already; allowed: a new folder, or one that this command made", file=path
        )


def _is_export(folder: Path) -> bool:
    try:
        stated = json.loads((folder / PACKAGE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(stated, dict) and stated.get("created_by") == MADE_BY


def plain(text: str) -> str:
    """Replace control characters and direction marks."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def unrun(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if value.startswith(FORMULA) or text.startswith(FORMULA) else text


def parquet(table: pd.DataFrame, schema: Schema) -> bytes:
    """One table as a Parquet file whose fields carry their meaning and unit as metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain_table = arrow(table)
    about = {column.name: _field(column) for column in schema.columns}
    fields = [field.with_metadata(about[field.name]) for field in plain_table.schema]
    metadata = {"description": schema.description}
    out = io.BytesIO()
    pq.write_table(plain_table.cast(pa.schema(fields, metadata=metadata)), out, compression="zstd")
    return out.getvalue()


# --- JSON -------------------------------------------------------------------------------------


def _json(found: Findings, path: Path) -> None:
    schemas = _schemas(found)
    value = {
        **_documents(found),
        "tables": {
            name: {
                "description": schemas[name].description,
                "columns": [_field(column) for column in schemas[name].columns],
                "rows": [list(row) for row in _rows(table)],
            }
            for name, table in sorted(found.tables.items())
        },
    }
    write_text(path, canonical(value).decode() + "\n")


def _documents(found: Findings) -> dict[str, Any]:
    return {
        "conclusions": [conclusion.to_json() for conclusion in found.conclusions],
        "warnings": list(found.warnings),
        "provenance": dict(found.provenance),
    }


def _rows(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Rows of plain values; missing ones are None."""
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False, name=None):
        yield tuple(value.item() if hasattr(value, "item") else value for value in row)


# --- folders ----------------------------------------------------------------------------------


def _csv(found: Findings, folder: Path) -> None:
    files = {f"{name}.csv": _sheet(t.columns, _rows(t)) for name, t in found.tables.items()}
    flat = [dict(_flat(conclusion.to_json())) for conclusion in found.conclusions]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    rows = (tuple(row.get(name) for name in columns) for row in flat)
    files["conclusions.csv"] = _sheet(columns, rows)
    _folder(found, folder, "csv", {}, files)


def _parquet(found: Findings, folder: Path) -> None:
    _folder(found, folder, "parquet", found.tables, {})


def _folder(
    found: Findings,
    folder: Path,
    ending: str,
    tables: Mapping[str, pd.DataFrame],
    files: Mapping[str, bytes],
) -> None:
    require_replaceable(ending, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    stated = _documents(found)
    documents = {
        "conclusions.json": stated["conclusions"],
        "findings.json": {**stated["provenance"], "warnings": stated["warnings"]},
        PACKAGE: _package(found, ending),
    }
    write_folder(folder, tables, documents, files, staging=folder.parent)


def _sheet(columns: Any, rows: Any) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([unrun(str(name)) for name in columns])
    for row in rows:
        writer.writerow([str(v).lower() if isinstance(v, bool) else unrun(v) for v in row])
    return out.getvalue().encode()


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """A conclusion's values by dotted names; lists as JSON."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", json.dumps(inner) if isinstance(inner, list | tuple) else inner


def _package(found: Findings, ending: str) -> dict[str, Any]:
    schemas = _schemas(found)
    return {
        "name": "findings",
        "created_by": MADE_BY,
        "resources": [
            {
                "name": name.replace("_", "-"),
                "path": f"{name}.{ending}",
                "description": schemas[name].description,
                "schema": {"fields": [_field(column) for column in schemas[name].columns]},
            }
            for name in sorted(found.tables)
        ],
    }


def _field(column: Column) -> dict[str, str]:
    unit = {"unit": column.unit} if column.unit else {}
    about = {"type": _TYPES[column.dtype], "description": column.description}
    return {"name": column.name, **about, **unit}


def _schemas(found: Findings) -> dict[str, Schema]:
    schemas = registry.schemas()
    if "listed" in found.tables:
        from echoaudit.findings.listed import LISTED

        schemas["listed"] = LISTED
    return schemas


FORMS: Mapping[str, Callable[[Findings, Path], None]] = {
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}
