"""Lists and pages of a store become skills, or are rejected with a reason."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoaudit.errors import BadInput
from echoaudit.skills import Rejected, import_skills, utterances, written
from echoaudit.skills.pages import record_of
from echoaudit.study import load_catalogue
from echoaudit.study.models import Catalogue, Source

WINE = {
    "asin": "B1",
    "name": "Wine Buddy",
    "launchPhrase": "wine buddy",
    "exampleInteractions": ['"Alexa, open Wine Buddy."', "what goes with fish", None],
    "vendorName": "Cellar\nInc.",
    "privacyPolicyUrl": "",
    "permissions": None,
    "shortDescription": "Say “Alexa, ask Wine Buddy for red.” or \"alexa\" or 'Alexa'.",
    "averageRating": 3,
}
PAGE = """<!doctype html><html><body><main itemscope>
<h1 itemprop="name">Wine &amp; Dine</h1> <span itemprop="sku">B2</span>
<p>Say <b itemprop="alternateName">wine and dine</b> by <i itemprop="author">Cellar</i>
<ul><li itemprop="utterance">"Alexa, open Wine and Dine."<li itemprop="utterance">a red one</ul>
<a rel="privacy-policy" href="https://cellar.example/privacy">Policy</a>
<p itemprop="description">Try "Alexa, ask Wine and Dine for a white." <script>x()</script>"""


def listed(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_the_rule_takes_phrases_then_five_quoted_sentences() -> None:
    description = " ".join(f'"Alexa, say {n}."' for n in range(9)) + ' "Hello Alexa"'
    said = utterances(["open it", '"Alexa, open it"', "Alexa, say 1."], description)
    assert said == (
        "Alexa, open it",
        "Alexa, say 1.",
        "Alexa, say 0.",
        "Alexa, say 2.",
        "Alexa, say 3.",
        "Alexa, say 4.",
    )


def test_a_word_that_begins_like_the_wake_word_is_not_it() -> None:
    assert utterances(["Alexandria, please"]) == ("Alexa, Alexandria, please",)


def test_a_record_becomes_a_skill(tmp_path: Path) -> None:
    found = import_skills([listed(tmp_path, WINE)])
    (skill,) = found.skills
    assert skill.utterances == (
        "Alexa, open Wine Buddy.",
        "Alexa, what goes with fish",
        "Alexa, ask Wine Buddy for red.",
    )
    assert (skill.vendor, skill.policy_url, skill.permissions) == ("Cellar Inc.", None, ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"launchPhrase": None}, "no invocation name"),
        ({"exampleInteractions": [None], "shortDescription": None}, "nothing to say"),
        ({"name": "x" * 501}, "name: found"),
        ({"name": 7}, "name: found '7', input should be a valid string"),
        ({"exampleInteractions": ["\x00"]}, "utterances: found"),
        ({"exampleInteractions": ["a"] * 201}, "exampleInteractions: found"),
    ],
)
def test_a_rejected_record_is_named_with_its_reason(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    found = import_skills([listed(tmp_path, {**WINE, **change})])
    (rejected,) = found.rejected
    assert found.skills == ()
    assert (rejected.where, rejected.id) == ("list.jsonl:1", "B1")
    assert rejected.reason.startswith(reason)


def test_an_id_again_is_rejected_and_a_shared_invocation_name_is_not(tmp_path: Path) -> None:
    again = {**WINE, "launchPhrase": "other"}
    shared = {**WINE, "asin": "B9"}
    found = import_skills([listed(tmp_path, WINE, again, shared)])
    assert [skill.id for skill in found.skills] == ["B1", "B9"]
    assert [r.reason for r in found.rejected] == ["id a second time, first in list.jsonl:1"]


def test_broken_lines_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    lines = [b"{", b"[" * 100_000, b"7", b"\xff", b"x" * 1_100_000, json.dumps(WINE).encode()]
    path.write_bytes(b"\n".join(lines))
    found = import_skills([path])
    assert [skill.id for skill in found.skills] == ["B1"]
    wheres = [rejected.where for rejected in found.rejected]
    assert wheres == [f"list.jsonl:{n}" for n in range(1, 6)]
    assert "more than 1048576 bytes" in found.rejected[4].reason


def test_words_choose_whole_words_anywhere_in_the_listing(tmp_path: Path) -> None:
    path = listed(tmp_path, WINE, {**WINE, "asin": "B3", "launchPhrase": "swine", "name": "Swine"})
    found = import_skills([path], ["WINE BUDDY"])
    assert len(found.skills) + found.unmatched == 2
    assert import_skills([path], ["win"]).skills == ()


def test_csv_has_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "\ufeffasin,name,launchPhrase,exampleInteractions\n"
        'B1,Wine Buddy,wine buddy,"open it|""Alexa, close it"""\n'
        'B2,Two,two,"[""go""]"\n'
        "B3,Three,three,go,too many\n",
        encoding="utf-8",
    )
    found = import_skills([path])
    assert [skill.utterances for skill in found.skills] == [
        ("Alexa, open it", "Alexa, close it"),
        ("Alexa, go",),
    ]
    assert [str(r) for r in found.rejected] == ["list.csv:4: B3: more cells than columns"]


def test_saved_pages_are_read_by_their_microdata(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b.htm").write_text("<html><p>no skill</p>")
    found = import_skills([tmp_path])
    (skill,) = found.skills
    assert (skill.id, skill.name, skill.invocation) == ("B2", "Wine & Dine", "wine and dine")
    assert skill.policy_url == "https://cellar.example/privacy"
    assert skill.utterances == (
        "Alexa, open Wine and Dine.",
        "Alexa, a red one",
        "Alexa, ask Wine and Dine for a white.",
    )
    assert [str(rejected) for rejected in found.rejected] == ["b.htm: no id: no id"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_page(data: bytes) -> None:
    assert isinstance(record_of(b"<p itemprop=sku>" + data), dict)


def test_deep_pages_end(tmp_path: Path) -> None:
    (tmp_path / "deep.html").write_bytes(b"<div>" * 200_000 + b"<i itemprop=sku>B1")
    assert isinstance(import_skills([tmp_path / "deep.html"]).rejected[0], Rejected)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.xml").touch()
    with pytest.raises(BadInput, match="unknown kind of file"):
        import_skills([tmp_path / "list.xml"])


def test_a_catalogue_reads_back_as_it_was_written(tmp_path: Path) -> None:
    odd = {**WINE, "name": "yes: #1 'x'", "shortDescription": None, "exampleInteractions": ["- é"]}
    number = {**WINE, "asin": "7", "launchPhrase": "no"}
    catalogue = Catalogue(
        catalogue="wine",
        interest="Wine & Beverages",
        source=Source(kind="a test", date=date(2017, 1, 1)),
        skills=import_skills([listed(tmp_path, odd, number)]).skills,
    )
    (tmp_path / "wine.yaml").write_text(written(catalogue))
    assert load_catalogue(tmp_path / "wine.yaml") == catalogue
