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
