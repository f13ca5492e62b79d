"""HAR files become visits whose identifiers are followed as in visits of one's own."""

from __future__ import annotations

import codecs
import json

import pytest
from import_kit import as_json, brought, refused, sources

from echoaudit import findings


def request(url: str, at: str = "2026-11-23T10:00:00.500Z", **response: object) -> dict:
    return {
        "startedDateTime": at,
        "time": 250,
        "request": {"method": "GET", "url": url, "headers": [], "cookies": []},
        "response": {"status": 200, "headers": [], "cookies": [], **response},
    }


def har(*entries: object) -> dict:
    return {"log": {"version": "1.2", "entries": list(entries)}}


SYNCED = "k3J9xQ2mVb7LpZ5tRw8Y"
COOKIE = {"name": "uid", "value": SYNCED, "expires": "2027-11-23T10:00:00.000Z"}


def test_a_visit_with_a_sync(tmp_path) -> None:
    file = as_json(
        tmp_path / "front page.har",
        har(
            request("https://news.example.com/"),
            request("https://a.first.net/px", "2026-11-23T11:00:02+01:00", cookies=[COOKIE]),
            request(f"https://b.second.org/sync?uid={SYNCED}", "2026-11-23T10:00:03Z"),
        ),
    )
    recording = brought("har", file, "--persona", "laptop", into=tmp_path / "r")
    assert [step.id for step in recording.steps("visit")] == ["laptop-1/visits/a1-front-page"]
    visit = next(recording.steps()).json("visit.json")
    assert (visit["site"], visit["url"]) == ("example-com", "https://news.example.com/")
    assert visit["ended"] - visit["started"] == pytest.approx(2.75)
    syncs = findings.compute(recording).tables["syncs"]
    assert set(zip(syncs["source"], syncs["target"], strict=True)) == {("first.net", "second.org")}


def chrome(url: str, at: str, set_cookie: str = "", to: str = "", script: str = "") -> dict:
    """An entry as Chrome's DevTools export it: no list of cookies, a stack of scripts."""
    lines = [{"name": "Set-Cookie", "value": set_cookie}] if set_cookie else []
    return {
        "_initiator": {"type": "script", "stack": {"callFrames": [{"url": script}]}},
        "_resourceType": "image",
        "startedDateTime": at,
        "time": 12.5,
        "request": {"method": "GET", "url": url, "headers": [{"name": "accept", "value": "*/*"}],
                    "cookies": []},
        "response": {"status": 302 if to else 200, "headers": lines, "cookies": [],
                     "redirectURL": to},
    }  # fmt: skip


def firefox(url: str, at: str, set_cookie: str = "", to: str = "", script: str = "") -> dict:
    """An entry as Firefox exports it: local times, lists of cookies, no initiator."""
    name, _, value = set_cookie.partition(";")[0].partition("=")
    cookies = [{"name": name, "value": value, "expires": COOKIE["expires"], "httpOnly": False}]
    return {
        "startedDateTime": at.replace("T10:", "T11:").replace("Z", "+01:00"),
        "pageref": "page_1",
        "time": 12,
        "request": {"method": "GET", "url": url, "headers": [], "cookies": [], "bodySize": 0},
        "response": {"status": 302 if to else 200, "headers": [], "redirectURL": to,
                     "cookies": cookies if set_cookie else []},
    }  # fmt: skip


@pytest.mark.parametrize("entry", [chrome, firefox])
def test_redirects_and_cookies_are_understood_as_browsers_export_them(tmp_path, entry) -> None:
    at = "2026-11-23T10:00:0{}.000Z"
    line = f"uid={SYNCED}; Domain=.first.net; Max-Age=31536000; Secure"
    file = as_json(
        tmp_path / "a.har",
        har(
            entry("https://news.example.com/", at.format(0)),
            entry("https://a.first.net/px", at.format(1), set_cookie=line, to="/go",
                  script="https://tags.example.org/t.js"),
            entry("https://a.first.net/go", at.format(2), to=f"//b.second.org/in?u={SYNCED}"),
            entry(f"https://b.second.org/in?u={SYNCED}", at.format(3),
                  script="https://tags.example.org/t.js"),
        ),
    )  # fmt: skip
    (row,) = (
        findings.compute(brought("har", file, into=tmp_path / "r"))
        .tables["syncs"]
        .to_dict("records")
    )
    assert (row["source"], row["target"], row["place"]) == ("first.net", "second.org", "redirect")
    assert (row["chain"], row["hops"]) == ("first.net>first.net", 2)
    assert row["initiator"] == ("tags.example.org" if entry is chrome else "")


def test_report_and_check_work(tmp_path) -> None:
    file = as_json(tmp_path / "a.har", har(request("https://news.example.com/")))
    recording = brought("har", file, file, into=tmp_path / "r")
    findings.replay(recording, tmp_path / "report.html")
    assert findings.check(recording) == []
    assert len(list(recording.steps("visit"))) == 2
    assert "evidence that others gathered" in (tmp_path / "report.html").read_text()


def test_a_byte_order_mark_is_no_hindrance(tmp_path) -> None:
    text = json.dumps(har(request("https://news.example.com/"))).encode()
    (tmp_path / "a.har").write_bytes(codecs.BOM_UTF8 + text)
    recording = brought("har", tmp_path / "a.har", into=tmp_path / "r")
    assert next(recording.steps()).path("page.har").read_bytes() == text


def test_requests_whose_time_would_be_a_guess_are_counted(tmp_path) -> None:
    file = as_json(
        tmp_path / "a.har",
        har(
            request("https://news.example.com/"),
            request("https://other.example.com/", "2026-11-23T10:00:00"),
            request("data:text/plain,x"),
        ),
    )
    recording = brought("har", file, into=tmp_path / "r")
    assert sources(recording)[0]["problems"] == ["requests without a time or an address: 2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not JSON"),
        ("[1, 2", "not JSON"),
        ("[]", "not a HAR"),
        ('{"log": {"entries": [1]}}', "not a HAR"),
        (json.dumps(har()), "has no request"),
        (json.dumps(har(request("https://[bad", "2026-11-23T10:00:00Z"))), "has no request"),
        (json.dumps(har(request("https://a.b/", "9999-99-99T10:00:00Z"))), "has no request"),
        ("[" * 100_000, "nested deeper"),
    ],
)
def test_what_is_no_har_is_refused(tmp_path, content, says) -> None:
    (tmp_path / "x.har").write_text(content)
    assert says in refused("har", tmp_path / "x.har", into=tmp_path / "r")
