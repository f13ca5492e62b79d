"""``echoaudit table``: harmless cells in every format, whatever a recording contains."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from echoaudit.cli import group
from echoaudit.cli.table import FORMATS, Sheet
from echoaudit.errors import BadInput

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"
HOSTILE = Sheet(
    "a title",
    ("=name", "number", "truth"),
    [
        ('=HYPERLINK("http://x","y")', -3, True),
        ("+1\x1b[2J\x9b31mred\r\nnext", 1.5, None),
        ("@SUM(A1)|`x`<b>", None, False),
        ("\ta", 2, True),
        ("safe\u202efdp.exe", 2, True),
    ],
)


def run(*words):
    done = CliRunner().invoke(group, ["table", str(GOLDEN), *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_cells_are_harmless_to_a_spreadsheet_and_numbers_stay_numbers():
    head, *rows = csv.reader(io.StringIO(FORMATS["csv"]([HOSTILE])))
    assert head[0] == "'=name"
    assert [row[0][:2] for row in rows[:4]] == ["'=", "'+", "'@", "'\N{REPLACEMENT CHARACTER}"]
    assert [row[1] for row in rows] == ["-3", "1.5", "", "2", "2"]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_that_a_terminal_obeys_is_printed(form):
    text = FORMATS[form]([HOSTILE])
    allowed = "\n\r" if form == "csv" else "\n"
    assert all(c.isprintable() or c in allowed for c in text)
    assert text.replace("\r\n", "").count("\r") == 0


def test_markdown_keeps_its_columns_and_shows_markup_as_text():
    _, _, head, rule, *rows = FORMATS["md"]([HOSTILE]).splitlines()
    assert rule == "| --- | --- | --- |"
    assert {row.replace("\\|", "").count("|") for row in (head, *rows)} == {4}
    assert "\\<b\\>" in rows[2]


@pytest.mark.parametrize(("name", "column"), [("flows", "ja4"), ("names", "rcode")])
def test_every_connection_and_question_can_be_had(name, column, tmp_path):
    rows = list(csv.DictReader(io.StringIO(run(name, "--format", "csv"))))
    table = json.loads(run(name, "--format", "json"))
    file = tmp_path / "t.parquet"
    run(name, "--format", "parquet", "-o", str(file))
    assert len(rows) == len(table["rows"]) == len(pd.read_parquet(file)) > 0
    assert column in rows[0]
    assert {row["session"] for row in rows} == set(pd.read_parquet(file)["session"])


def test_without_a_name_the_tables_are_listed():
    assert {"endpoints", "flows", "names", "attribution", "shares", "reach"} <= set(run().split())


def test_the_study_s_table_in_one_command():
    shares, reach = json.loads(run("shares", "--format", "json"))
    assert shares["columns"] == [
        "party", "purpose", "organisation", "fashion", "all", "share_percent",
    ]  # fmt: skip
    wholes = [row for row in shares["rows"] if row[2] == "all"]
    assert sum(row[4] for row in wholes) == 5
    assert sum(row[5] for row in wholes) == pytest.approx(100)
    assert ["fashion", "platform", 1, 0, 1] in reach["rows"]
    octets = list(csv.reader(io.StringIO(run("shares", "--by", "bytes", "--format", "csv"))))
    assert octets[0] == shares["columns"]
    assert int(octets[1][4]) > 1000
    # Idle captures of four seconds tell nothing apart, and that is what is said.
    assert {row[4] for row in json.loads(run("shares", "--attributed", "--format", "json"))[0][
        "rows"
    ]} == {0}  # fmt: skip


def test_an_unknown_table_is_refused_with_those_there_are():
    with pytest.raises(BadInput, match=r"no table 'nope'.*attribution.*endpoints"):
        CliRunner().invoke(group, ["table", str(GOLDEN), "nope"], catch_exceptions=False)


def test_what_the_users_lists_say_is_a_table_like_others(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOAUDIT_LISTS", str(tmp_path / "installed"))
    done = CliRunner().invoke(group, ["table", str(GOLDEN), "listed"])
    assert "no list is installed; example: echoaudit lists update" in str(done.exception)
    hosts = tmp_path / "mine.txt"
    hosts.write_text("0.0.0.0 api.washii-skills.com\n")
    CliRunner().invoke(group, ["lists", "update", str(hosts)], catch_exceptions=False)
    rows = list(csv.DictReader(io.StringIO(run("listed", "--format", "csv"))))
    assert [(row["host"], row["list"]) for row in rows if row["says"] == "listed"] == [
        ("api.washii-skills.com", "mine")
    ]
    assert "\nlisted" in run()
