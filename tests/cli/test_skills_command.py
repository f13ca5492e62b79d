"""``echoaudit skills``, as a stranger uses it."""

from __future__ import annotations

import json

from cli_kit import ROOT, Stranger

RECORD = {
    "asin": "B1",
    "name": "Wine Buddy",
    "launchPhrase": "wine buddy",
    "exampleInteractions": ["open it", "(say nothing)"],
    "vendorName": "Cellar",
}
IMPORT = ("skills", "import", "list.jsonl", "--into", "wine.yaml")


def test_import_then_show_then_lint(stranger: Stranger) -> None:
    stranger.write("list.jsonl", json.dumps(RECORD) + "\n{}\n")
    said = stranger.command(*IMPORT, "--interest", "Wine & Beverages", "--date", "2017-01-01")
    assert said.code == 0, said.err
    assert "rejected list.jsonl:2: no id: no id" in said.out
    assert "1 skills, 1 records rejected" in said.out
    (skill,) = stranger.command("skills", "show", "WINE BUDDY", "wine.yaml", "--json").json
    assert skill["utterances"] == ["Alexa, open it", "Alexa, (say nothing)"]
    (row,) = stranger.command("skills", "list", "wine.yaml", "--json").json
    assert (row["skills"], row["interest"], row["date"]) == (1, "Wine & Beverages", "2017-01-01")
    linted = stranger.command("skills", "lint", "wine.yaml", "--json")
    assert linted.code == 1
    assert [finding["rule"] for finding in linted.json] == ["unsayable"]


def test_import_writes_whole_catalogues_or_nothing(stranger: Stranger) -> None:
    stranger.write("list.jsonl", json.dumps({**RECORD, "launchPhrase": None}) + "\n")
    named = (*IMPORT, "--interest", "Wine", "--date", "2017-01-01")
    assert "no record makes a skill" in stranger.refused(*named)
    assert "--into needs --interest" in stranger.refused(*IMPORT)
    stranger.write("wine.yaml", "mine")
    assert "is there already" in stranger.refused(*named)
    assert "no such file" in stranger.refused("skills", "import", "other.jsonl")


def test_an_unknown_skill_is_answered_with_the_nearest(stranger: Stranger) -> None:
    line = stranger.refused("skills", "show", "wine galt", str(ROOT / "skills/wine.yaml"))
    assert "did you mean 'wine gal'?" in line
