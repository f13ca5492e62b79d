"""The outcome ``cookies``: what visits brought into the browser, and who set it."""

from __future__ import annotations

import json

import pytest
from visits_kit import YEAR, Page, cookie, record

from echoaudit.outcomes import cookies

COLUMNS = ["change", "setter", "setter_url", "initiator"]


def told(folder, *pages):
    table = cookies.derive(record(folder, *pages))
    return {
        (row["visit"][-7:-5], row["host"], row["name"]): tuple(row[name] for name in COLUMNS)
        for row in table.to_dict("records")
    }


def sent(name, value, **more):
    return {"name": name, "value": value, "_maxAge": str(YEAR), **more}


@pytest.fixture
def page():
    found = Page("fashion-1")
    found.ask("https://www.news.test/?session=1", kind="document")
    found.ask("https://cdn.tracker.test/tag.js", kind="script", by="https://www.news.test/")
    found.ask(
        "https://cdn.tracker.test/px?to=1", kind="image", by="https://cdn.tracker.test/tag.js",
        set_cookies=[sent("id", "abc"), sent("wide", "w", domain=".tracker.test")],
    )  # fmt: skip
    found.ask("https://cdn.tracker.test/again", set_cookies=[sent("id", "abc")])
    return found


def test_a_cookie_is_its_first_answers_or_else_a_scripts_or_nobody_s(tmp_path, page):
    page.ask("https://ads.partner.test/frame", kind="document")
    page.after = [
        cookie("cdn.tracker.test", "id", "abc"),
        cookie(".tracker.test", "wide", "w"),
        cookie("www.news.test", "own", "x"),
        cookie(".news.test", "all", "x"),
        cookie("ads.partner.test", "mark", "x"),
        cookie("cdn.tracker.test", "nobody", "x"),
        cookie("cdn.tracker.test", "other", "x"),
        {**cookie("www.news.test", "hidden", "x"), "httpOnly": True},
    ]
    by_answer = ("new", "response", "https://cdn.tracker.test/px", "cdn.tracker.test")
    news = ("new", "script", "https://www.news.test/", "")
    assert told(tmp_path / "r", page) == {
        ("a1", "cdn.tracker.test", "id"): by_answer,
        ("a1", "tracker.test", "wide"): by_answer,
        ("a1", "www.news.test", "own"): news,
        ("a1", "news.test", "all"): news,
        ("a1", "ads.partner.test", "mark"): ("new", "script", "https://ads.partner.test/frame", ""),
        ("a1", "cdn.tracker.test", "nobody"): ("new", "unknown", "", ""),
        ("a1", "cdn.tracker.test", "other"): ("new", "unknown", "", ""),
        ("a1", "www.news.test", "hidden"): ("new", "unknown", "", ""),
    }


def test_what_stays_has_no_row_and_what_a_script_writes_over_is_the_scripts(tmp_path, page):
    page.ask("https://cdn.tracker.test/frame?1", kind="document")
    page.ask("https://cdn.tracker.test/other", kind="document")
    page.before = [cookie("www.news.test", "kept", "x"), cookie("cdn.tracker.test", "id", "old")]
    page.after = [
        cookie("www.news.test", "kept", "x"),
        cookie("cdn.tracker.test", "id", "abc"),
        cookie("cdn.tracker.test", "wide", "by a script"),
    ]
    assert told(tmp_path / "r", page) == {
        ("a1", "cdn.tracker.test", "id"): (
            "changed", "response", "https://cdn.tracker.test/px", "cdn.tracker.test",
        ),
        # Two documents of the host: which of them is not known.
        ("a1", "cdn.tracker.test", "wide"): ("new", "script", "https://cdn.tracker.test/", ""),
    }  # fmt: skip


def test_what_shared_workers_answers_set_is_not_told_so_it_may_be_theirs(tmp_path, page):
    page.ask("https://api.news.test/poll", target="shared_worker")
    page.after = [cookie(".news.test", "all", "x"), cookie("www.news.test", "own", "x")]
    found = {name: row[1] for (_, _, name), row in told(tmp_path / "r", page).items()}
    assert found == {"all": "unknown", "own": "script"}


def test_documents_of_two_sites_could_be_it_so_there_is_no_address(tmp_path, page):
    page.ask("https://blog.news.test/", kind="document")
    page.after = [cookie(".news.test", "all", "x")]
    assert told(tmp_path / "r", page) == {("a1", "news.test", "all"): ("new", "script", "", "")}


def test_refused_cookies_redirects_and_failures_set_nothing(tmp_path):
    page = Page("fashion-1")
    page.ask("https://a.test/", kind="document", set_cookies=[sent("no", "x")], blocked=["no"])
    page.ask("https://b.test/", kind="document")
    page.requests[-1]["response"] |= {"status": 302, "redirectURL": "https://a.test/"}
    page.ask("https://c.test/", kind="document")
    page.requests[-1]["_error"] = "net::ERR_ABORTED"
    page.after = [cookie(f"{name}.test", "no", "x") for name in "abc"]
    found = {host: row[1] for (_, host, _), row in told(tmp_path / "r", page).items()}
    assert found == {"a.test": "script", "b.test": "unknown", "c.test": "unknown"}


def test_where_nobody_read_the_cookies_those_of_the_answers_count(tmp_path, page):
    page.ask("https://gone.test/", set_cookies=[sent("gone", "x") | {"_maxAge": "0"}])

    class Foreign(Page):
        def files(self):
            return {name: own for name, own in super().files().items() if name != "cookies.json"}

    page.__class__ = Foreign
    assert {key[1:]: row[1] for key, row in told(tmp_path / "r", page).items()} == {
        ("cdn.tracker.test", "id"): "response", ("tracker.test", "wide"): "response",
    }  # fmt: skip


def test_addresses_are_told_without_what_may_identify(tmp_path):
    page = Page("fashion-1")
    page.ask("https://user:secret@a.test/p?uid=123#x", set_cookies=[sent("id", "é1")])
    page.after = [cookie("a.test", "id", "Ã©1")]
    table = cookies.derive(record(tmp_path / "r", page))
    assert list(table["setter_url"]) == ["https://a.test/p"]
    assert "secret" not in json.dumps(table.to_dict("records"), default=str)
