"""OpenWPM crawls become visits that every outcome of the web reads."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from import_kit import brought, refused, sources

from echoaudit import findings

UID = "k3J9xQ2mVb7LpZ5tRw8Y"
OTHER = "Zz81hQpLw0Tn6Yc4Mv2R"
YEAR = "2027-11-23T10:00:00.000Z"
DAY = "2026-11-23T10:00:"

NUMBERED = "id INTEGER PRIMARY KEY AUTOINCREMENT"
WHOSE = "{browser} INTEGER NOT NULL, visit_id INTEGER NOT NULL"
FRAME = "extension_session_uuid TEXT, event_ordinal INTEGER, window_id INTEGER, tab_id INTEGER, frame_id INTEGER"  # noqa: E501
TABLES = {
    "task": "task_id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "start_time DATETIME DEFAULT CURRENT_TIMESTAMP, manager_params TEXT NOT NULL, "
    "openwpm_version TEXT NOT NULL, browser_version TEXT NOT NULL",
    "crawl": "{browser} INTEGER PRIMARY KEY, task_id INTEGER NOT NULL, "
    "browser_params TEXT NOT NULL, start_time DATETIME DEFAULT CURRENT_TIMESTAMP, "
    "FOREIGN KEY(task_id) REFERENCES task(task_id)",
    "site_visits": "visit_id INTEGER PRIMARY KEY, {browser} INTEGER NOT NULL, "
    "site_url VARCHAR(500) NOT NULL, site_rank INTEGER, "
    "FOREIGN KEY({browser}) REFERENCES crawl({browser})",
    "http_requests": f"{NUMBERED}, incognito INTEGER, {WHOSE}, {FRAME}, url TEXT NOT NULL, "
    "top_level_url TEXT, parent_frame_id INTEGER, frame_ancestors TEXT, method TEXT NOT NULL, "
    "referrer TEXT NOT NULL, headers TEXT NOT NULL, request_id INTEGER NOT NULL, is_XHR INTEGER, "
    "is_third_party_channel INTEGER, is_third_party_to_top_window INTEGER, "
    "triggering_origin TEXT, loading_origin TEXT, loading_href TEXT, req_call_stack TEXT, "
    "resource_type TEXT NOT NULL, post_body TEXT, post_body_raw TEXT, "
    "time_stamp DATETIME NOT NULL",
    "http_responses": f"{NUMBERED}, incognito INTEGER, {WHOSE}, {FRAME}, url TEXT NOT NULL, "
    "method TEXT NOT NULL, response_status INTEGER, response_status_text TEXT NOT NULL, "
    "is_cached INTEGER NOT NULL, headers TEXT NOT NULL, request_id INTEGER NOT NULL, "
    "location TEXT NOT NULL, time_stamp DATETIME NOT NULL, content_hash TEXT",
    "http_redirects": f"{NUMBERED}, incognito INTEGER, {WHOSE}, old_request_url TEXT, "
    f"old_request_id TEXT, new_request_url TEXT, new_request_id TEXT, {FRAME}, "
    "response_status INTEGER NOT NULL, response_status_text TEXT NOT NULL, "
    "headers TEXT NOT NULL, time_stamp DATETIME NOT NULL",
    "javascript_cookies": f"id INTEGER PRIMARY KEY ASC, {WHOSE}, extension_session_uuid TEXT, "
    "event_ordinal INTEGER, record_type TEXT, change_cause TEXT, expiry DATETIME, "
    "is_http_only INTEGER, is_host_only INTEGER, is_session INTEGER, host TEXT, "
    "is_secure INTEGER, name TEXT, path TEXT, value TEXT, same_site TEXT, "
    "first_party_domain TEXT, store_id STRING, time_stamp DATETIME",
    "incomplete_visits": "visit_id INTEGER NOT NULL",
}
"""OpenWPM's own tables of what is imported: names, columns, types and what must not be absent."""


class Crawl:
    """A crawl's database, written as OpenWPM writes it."""

    def __init__(self, path, browser="browser_id", without=()):
        self.path, self.browser, self.clock, self.request = path, browser, 0, 100
        self.database = sqlite3.connect(path)
        self.browsers = {}
        for table, columns in TABLES.items():
            if table not in without:
                self.database.execute(f"CREATE TABLE {table} ({columns.format(browser=browser)})")

    def add(self, table, **values):
        if table not in ("site_visits", "incomplete_visits"):
            values[self.browser] = self.browsers.get(values["visit_id"], 1)
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.database.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values())
        )

    def now(self):
        self.clock += 1
        return f"{DAY}{self.clock:02}.000Z"

    def visit(self, number, url="https://news.example.com/", browser=1):
        self.browsers[number] = browser
        self.add("site_visits", visit_id=number, site_url=url, **{self.browser: browser})
        self.ask(number, url)

    def ask(self, visit, url, leads_to=(), set_cookie=None, method="GET", **more):
        self.request += 1
        usual = {"visit_id": visit, "request_id": self.request, "method": method}
        for hop in (url, *leads_to):
            self.add(
                "http_requests",
                **usual,
                url=hop,
                referrer="",
                headers='[["Accept","*/*"]]',
                triggering_origin="https://tags.example",
                resource_type="image",
                loading_href="https://news.example.com/",
                time_stamp=self.now(),
                **more,
            )
        for old, new in zip((url, *leads_to), leads_to, strict=False):
            self.add(
                "http_redirects",
                visit_id=visit,
                old_request_id=str(self.request),
                new_request_id=str(self.request),
                old_request_url=old,
                new_request_url=new,
                response_status=302,
                response_status_text="",
                headers="[]",
                time_stamp=self.now(),
            )
        lines = json.dumps([["Set-Cookie", set_cookie]] if set_cookie else [])
        self.add(
            "http_responses",
            **usual,
            url=(url, *leads_to)[-1],
            response_status=200,
            response_status_text="OK",
            headers=lines,
            location="",
            is_cached=0,
            time_stamp=self.now(),
        )

    def cookie(self, visit, host, name, value, session="s", kind="added-or-changed"):
        self.add(
            "javascript_cookies",
            visit_id=visit,
            extension_session_uuid=session,
            record_type=kind,
            expiry=YEAR,
            is_session=0,
            host=host,
            name=name,
            path="/",
            value=value,
            time_stamp=self.now(),
        )

    def done(self):
        with closing(self.database) as database:
            database.commit()
        return self.path


def synced(path, **more):
    crawl = Crawl(path, **more)
    for visit, browser, uid in ((71, 1, UID), (12, 2, OTHER), (80, 1, UID)):
        crawl.visit(visit, browser=browser)
        crawl.cookie(visit, ".first.net", "uid", uid)
        crawl.ask(visit, "https://px.first.net/i", [f"https://in.second.org/match?u={uid}"])
        crawl.ask(visit, "https://in.third.io/c", method="POST", post_body=json.dumps({"e": [uid]}))
    return crawl.done()


@pytest.mark.parametrize("browser", ["browser_id", "crawl_id"])
def test_browsers_are_accounts_and_site_visits_are_visits_with_syncs(tmp_path, browser):
    recording = brought("openwpm", synced(tmp_path / "c.sqlite", browser=browser),
                        "--persona", "crawl", into=tmp_path / "r")  # fmt: skip
    rounds = {step.id: step.json("visit.json")["round"] for step in recording.steps("visit")}
    assert rounds == {
        "crawl-1/visits/a1-news-example-com": 1,
        "crawl-1/visits/a2-news-example-com": 2,
        "crawl-2/visits/a1-news-example-com": 1,
    }
    table = findings.compute(recording).tables["syncs"]
    assert set(
        zip(table["account"], table["source"], table["target"], table["place"], strict=True)
    ) == {
        (account, "first.net", target, place)
        for account in ("crawl-1", "crawl-2")
        for target, place in (("second.org", "redirect"), ("third.io", "body"))
    }
    assert set(table["initiator"]) == {"tags.example"}
    assert set(table["chain"]) == {"first.net", ""}


def test_the_report_is_made_and_checked(tmp_path):
    recording = brought("openwpm", synced(tmp_path / "c.sqlite"), into=tmp_path / "r")
    findings.replay(recording, tmp_path / "report.html")
    assert findings.check(recording) == []
    assert "first.net" in (tmp_path / "report.html").read_text()


def test_cookies_are_those_of_the_browser_as_they_changed(tmp_path):
    crawl = Crawl(tmp_path / "c.sqlite")
    for visit in (1, 2, 3):
        crawl.visit(visit)
    crawl.cookie(1, ".a.test", "uid", UID)
    crawl.cookie(1, ".a.test", "gone", "x")
    crawl.cookie(2, ".a.test", "gone", "x", kind="deleted")
    crawl.cookie(3, ".a.test", "uid", OTHER, session="a fresh browser")
    recording = brought("openwpm", crawl.done(), into=tmp_path / "r")
    jars = [step.json("cookies.json") for step in recording.steps("visit")]
    held = [
        [{c["name"]: c["value"] for c in jar[when]} for when in ("before", "after")] for jar in jars
    ]
    assert held == [
        [{}, {"uid": UID, "gone": "x"}],
        [{"uid": UID, "gone": "x"}, {"uid": UID}],
        [{}, {"uid": OTHER}],
    ]


def test_interrupted_visits_and_what_cannot_be_used_are_told(tmp_path):
    crawl = Crawl(tmp_path / "c.sqlite", without=("javascript_cookies",))
    crawl.visit(1)
    crawl.visit(2)
    crawl.add("incomplete_visits", visit_id=2)
    crawl.add("site_visits", visit_id=3, site_url="https://never.example/", browser_id=1)
    crawl.ask(99, "https://outside.example/")
    crawl.ask(1, "about:blank")
    recording = brought("openwpm", crawl.done(), into=tmp_path / "r")
    states = [step.json("visit.json")["state"] for step in recording.steps("visit")]
    assert states == ["complete", "failed"]
    assert sources(recording)[0]["problems"] == [
        "requests outside any visit: 1",
        "requests without a time or an address: 1",
        "visits without any usable request: 1",
    ]


def test_headers_of_answers_set_cookies(tmp_path):
    crawl = Crawl(tmp_path / "c.sqlite")
    crawl.visit(1)
    line = f"id={UID}; Domain=.first.net; Max-Age=31536000\nb=2"
    crawl.ask(1, "https://px.first.net/i", set_cookie=line)
    recording = brought("openwpm", crawl.done(), into=tmp_path / "r")
    har = next(recording.steps("visit")).json("page.har")
    assert [c["name"] for c in har["log"]["entries"][-1]["response"]["cookies"]] == ["id", "b"]


def test_what_is_no_crawl_is_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    assert "not an SQLite database" in refused("openwpm", tmp_path / "text", into=tmp_path / "r")
    Crawl(tmp_path / "other", without=("http_requests",)).done()
    assert "http_requests" in refused("openwpm", tmp_path / "other", into=tmp_path / "r")
    Crawl(tmp_path / "empty").done()
    assert "has no visit" in refused("openwpm", tmp_path / "empty", into=tmp_path / "r")
    whole = synced(tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert "cannot be read" in refused("openwpm", tmp_path / "torn", into=tmp_path / "r")
