"""Findings for other programs: nothing lost, every column described, nobody's folder replaced."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import echoaudit
from echoaudit import findings
from echoaudit.errors import BadInput
from echoaudit.findings import files
from echoaudit.findings.opened import Opened
from echoaudit.findings.tables import details, schemas
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.recording import Recording

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"


@pytest.fixture(scope="module")
def opened() -> Opened:
    return echoaudit.open(str(GOLDEN))


@pytest.fixture(scope="module")
def found(opened: Opened) -> findings.Findings:
    known = {name: getattr(opened, name) for name in schemas()}
    return findings.compute(Recording.open(GOLDEN), known=known)


def test_json_holds_every_value_and_the_meaning_of_every_column(
    found: findings.Findings, tmp_path: Path
) -> None:
    stated = json.loads(files.write_files(found, "json", tmp_path / "f.json").read_text())
    assert [c["claim"] for c in stated["conclusions"]] == [c.claim for c in found.conclusions]
    assert stated["provenance"]["recording"]["study_hash"]
    for name, table in found.tables.items():
        told = stated["tables"][name]
        assert [column["name"] for column in told["columns"]] == list(table.columns)
        assert all(column["description"] for column in told["columns"])
        again = schemas()[name].conform(
            [dict(zip(table.columns, row, strict=True)) for row in told["rows"]]
        )
        pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_folder_has_a_file_per_table_and_says_what_its_columns_are(
    form: str, found: findings.Findings, tmp_path: Path
) -> None:
    folder = files.write_files(found, form, tmp_path / "out")
    package = json.loads((folder / "datapackage.json").read_text())
    assert {r["path"] for r in package["resources"]} == {f"{n}.{form}" for n in found.tables}
    for resource in package["resources"]:
        path = folder / resource["path"]
        names = (
            pq.read_schema(path).names
            if form == "parquet"
            else next(csv.reader(io.StringIO(path.read_text())))
        )
        assert [field["name"] for field in resource["schema"]["fields"]] == names
    bids = pd.read_csv(folder / "bids.csv") if form == "csv" else pq.read_table(
        folder / "bids.parquet").to_pandas()  # fmt: skip
    assert bids["cpm_usd"].sum() == pytest.approx(found.tables["bids"]["cpm_usd"].sum())
    assert json.loads((folder / "conclusions.json").read_text())[0]["state"] == "supported"
    files.write_files(found, form, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_something_else_stays(found: findings.Findings, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="is there already"):
        files.write_files(found, "csv", tmp_path)
    (tmp_path / "datapackage.json").write_text('{"name": "mine"}')
    with pytest.raises(BadInput, match="is there already"):
        files.require_replaceable("parquet", tmp_path)
    with pytest.raises(BadInput, match="is a folder"):
        files.require_replaceable("json", tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_a_parquet_table_carries_the_meaning_of_its_columns() -> None:
    schema = Schema("t", "what it is", (Column("a", "float", "how far", "m"),))
    data = files.parquet(schema.conform([{"a": 1.5}]), schema)
    stored = pq.read_schema(io.BytesIO(data))
    assert stored.field("a").metadata[b"description"] == b"how far"
    assert (stored.field("a").metadata[b"unit"], stored.metadata[b"description"]) == (
        b"m",
        b"what it is",
    )


def test_every_table_is_an_attribute_that_editors_know(
    opened: Opened, found: findings.Findings
) -> None:
    assert set(schemas()) <= set(dir(opened))
    source = Path(sys.modules[Opened.__module__].__file__ or "").read_text()
    declared = source.partition("if TYPE_CHECKING:\n        #")[2].partition("def __init__")[0]
    names = [line.split(":")[0].strip() for line in declared.splitlines() if "pd.Data" in line]
    assert names == [*schemas(), *details()], "the list in Opened is not that of the registry"
    for name in schemas():
        pd.testing.assert_frame_equal(getattr(opened, name), found.tables[name])
    assert not set(found.tables) & set(details())
    # Asking for a detail first does not make it a part of the findings.
    again = Opened(opened.recording.folder)
    assert (~again.flows["local"]).sum() == again.captures["flows"].sum() > 0
    assert (again.names["transport"] != "log").sum() == again.captures["lookups"].sum() > 0
    assert again.flows.attrs["description"] == again.tables["flows"]
    assert not set(again._found.tables) & set(details())


def test_a_table_is_the_caller_s_own_and_says_what_it_is(opened: Opened) -> None:
    bids = opened.bids
    bids["cpm_usd"] = 0.0
    assert opened.bids["cpm_usd"].max() > 0
    assert set(opened.bids.attrs["columns"]) == set(opened.bids.columns)
    assert opened.schema("bids").description == opened.bids.attrs["description"]
    with pytest.raises(AttributeError, match=r"no 'bid'; tables: .*bids"):
        _ = opened.bid


def test_conclusions_warnings_and_the_page(opened: Opened, tmp_path: Path) -> None:
    assert opened.conclusions[0].effect is not None
    assert isinstance(opened.warnings, tuple) and opened.study["claims"]
    page = opened.report(tmp_path / "page.html").read_text()
    assert opened.conclusions[0].claim in page


def test_no_recording_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=str(tmp_path)):
        echoaudit.open(tmp_path)


def test_the_import_alone_is_light() -> None:
    code = "import sys, echoaudit; print(len({'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
