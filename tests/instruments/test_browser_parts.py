"""The browser's pure parts: flags, reports of Prebid, recorded exchanges, HAR."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path

import pytest

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import bids, check, chromium, har
from echoaudit.instruments.browser.devtools import Event
from echoaudit.instruments.browser.recorder import Recorder
from echoaudit.instruments.browser.visit import explain
from echoaudit.recording import redact
from echoaudit.study.models import BrowserSettings

# --- finding and starting ---------------------------------------------------------------------


def test_a_missing_browser_is_one_line_with_the_setting_to_correct(tmp_path):
    settings = BrowserSettings(binary=tmp_path / "nothing")
    with pytest.raises(Unavailable, match=r"Chromium is not at .*nothing.*browser\.binary"):
        chromium.find(settings)
    assert [(name, state) for name, state, _, _ in check(settings)] == [("browser", "fail")]


def test_a_program_that_is_no_browser_is_refused(tmp_path):
    odd = tmp_path / "odd"
    odd.write_text("#!/bin/sh\necho hello\n")
    odd.chmod(0o755)
    with pytest.raises(Unavailable, match="no version"):
        chromium.find(BrowserSettings(binary=odd))


def test_browser_and_driver_must_be_of_one_version(tmp_path):
    paths = []
    for name, version in (("browser", "155.0.1.2"), ("driver", "156.0.3.4")):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho Some {version}\n")
        path.chmod(0o755)
        paths.append(path)
    with pytest.raises(Unavailable, match=r"155.*156.*do not fit"):
        chromium.find(BrowserSettings(binary=paths[0], driver=paths[1]))


def test_lists_of_features_are_joined_because_only_the_last_one_counts():
    flags = ["--disable-features=A,B", "--mute-audio", "--disable-features=B,C"]
    assert chromium.merge_features(flags) == ["--mute-audio", "--disable-features=A,B,C"]


def test_the_user_agent_is_a_visible_browsers():
    found = chromium.Chromium(Path("a"), Path("b"), "156.0.8078.79", "156.0.8078.79")
    assert "Chrome/156.0.0.0" in found.user_agent
    assert "Headless" not in found.user_agent


def test_an_authority_that_is_no_certificate_is_named(tmp_path):
    path = tmp_path / "authority.pem"
    path.write_text("not a certificate")
    with pytest.raises(Unavailable, match="trusted_authority"):
        chromium.spki_hashes(path)


def test_network_errors_are_explained_and_keep_their_name():
    assert explain("net::ERR_NAME_NOT_RESOLVED") == "DNS failure (net::ERR_NAME_NOT_RESOLVED)"
    assert explain("net::ERR_CERT_AUTHORITY_INVALID").startswith("TLS failure")
    assert explain("net::ERR_ABORTED", {"isDownload": True}) == "a download instead of a page"


# --- reports of Prebid ------------------------------------------------------------------------


def report(event, **data):
    return bids.Report(100.0, "https://a.test/", "pbjs", event, data)


def request(number, bidder="ix"):
    return {"request": number, "auction": "A", "bidder": bidder, "slot": "top"}


def answer(number, ad, cpm=1.0):
    return {**request(number), "ad": ad, "cpm": cpm, "currency": "USD", "width": 300, "height": 250}


def states(*reports):
    return [(r["state"], r["cpm"]) for r in bids.records(reports, set())]


def test_a_request_without_an_answer_stays_requested():
    assert states(report("bidRequested", bids=[request("1"), request("2")])) == [
        ("requested", None),
        ("requested", None),
    ]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["noBid"], "no-bid"),
        (["bidderError", "noBid"], "error"),
        (["bidTimeout", "noBid"], "timeout"),
        (["bidderError", "bidTimeout"], "timeout"),
    ],
)
def test_the_telling_state_wins_over_the_no_bid_that_prebid_reports_besides(events, state):
    asked = report("bidRequested", bids=[request("1")])
    told = [report(event, bids=[request("1")]) for event in events]
    assert states(asked, *told) == [(state, None)]


def test_a_request_that_prebid_cut_off_is_a_timeout_although_no_alarm_told():
    asked = report("bidRequested", bids=[request("1")])
    cut = report("bidderError", bids=[request("1")], timedOut=True)
    assert states(asked, cut, report("noBid", **request("1"))) == [("timeout", None)]


def test_user_ids_are_kept_as_tokens_with_the_names_of_their_systems():
    sent = {**request("1"), "timeout": 800, "userIds": ["sharedId"],
            "eids": [{"source": "id.example", "ids": ["very-secret-id", None]}, "odd"]}  # fmt: skip
    (record,) = bids.records([report("bidRequested", bids=[sent])], set())
    assert record["user_ids"] == ["sharedId"]
    assert record["eids"] == [{"source": "id.example", "ids": [redact("very-secret-id")]}]
    assert record["timeout_ms"] == 800
    assert "very-secret-id" not in json.dumps(record)


def test_an_answer_after_the_timeout_has_its_price_but_did_not_take_part():
    asked = report("bidRequested", bids=[request("1")])
    late = [report("bidTimeout", bids=[request("1")]), report("bidResponse", **answer("1", "x"))]
    assert states(asked, *late) == [("timeout", 1.0)]


def test_a_bid_is_won_and_rendered():
    reports = [
        report("bidRequested", bids=[request("1")]),
        report("bidResponse", **answer("1", "x")),
    ]
    assert states(*reports) == [("bid", 1.0)]
    reports.append(report("bidWon", **answer("1", "x")))
    assert states(*reports) == [("won", 1.0)]
    reports.append(report("adRenderSucceeded", ad="x"))
    assert states(*reports) == [("rendered", 1.0)]


def test_two_bids_on_one_request_are_two_records():
    asked = report("bidRequested", bids=[request("1")])
    both = [report("bidResponse", **answer("1", ad, cpm)) for ad, cpm in (("x", 1.0), ("y", 2.0))]
    assert states(asked, *both) == [("bid", 1.0), ("bid", 2.0)]


def test_only_the_auctions_that_were_forced_are_marked():
    forced = bids.records([report("bidRequested", bids=[request("1")])], {"A"})
    assert [record["forced"] for record in forced] == [True]


def test_bids_that_no_event_told_are_added_from_the_responses():
    known = bids.records([report("bidResponse", **answer("1", "x"))], set())
    asked = [
        {"instance": "pbjs", "frame": "", **answer(n, ad)} for n, ad in (("1", "x"), ("2", "y"))
    ]
    assert [missed.data["ad"] for missed in bids.unseen(known, asked, 1.0)] == ["y"]


@pytest.mark.parametrize(
    "payload",
    ["", "null", "[]", "{}", '{"time":1}', "[" * 100_000,
     '{"time":"x","frame":"","instance":"","event":"","data":{}}',
     '{"time":1e400,"frame":"","instance":"","event":"","data":{}}'],
)  # fmt: skip
def test_malformed_messages_are_dropped(payload):
    harvest = bids.Harvest()
    harvest.take(payload)
    assert harvest.reports == []


def test_hostile_values_become_short_texts_and_json():
    odd = {"request": {"a": 1}, "ad": 5, "cpm": [[[1]]], "bidder": "x" * 10_000, "domains": "no"}
    record = bids.records([report("bidResponse", **odd)], set())[0]
    assert len(record["bidder"]) == bids.TEXT_LIMIT
    assert record["cpm"] == "[[[1]]]"
    json.dumps(record, allow_nan=False)


def test_an_auction_runs_until_its_end():
    harvest = bids.Harvest()
    for event in ("auctionInit", "auctionEnd"):
        harvest.take(
            json.dumps(
                {"time": 1, "frame": "f", "instance": "p", "event": event, "data": {"auction": "A"}}
            )
        )
        assert bool(harvest.running) == (event == "auctionInit")
    assert harvest.started == {"A"}


# --- recorded exchanges -----------------------------------------------------------------------


def recorder(*events):
    found = Recorder(lambda *_: Future())
    for method, params in events:
        found.record(Event(f"Network.{method}", params, "S"), "page")
    return found


def will_send(url, number="1", time=1.0, **more):
    return (
        "requestWillBeSent",
        {
            "requestId": number,
            "request": {"url": url, "method": "GET", "headers": {}},
            "timestamp": time,
            "wallTime": 1000 + time,
            "type": "Image",
            **more,
        },
    )


def extra(kind, cookie, number="1"):
    return f"{kind}ExtraInfo", {"requestId": number, "headers": {"cookie": cookie}}


def test_headers_on_the_wire_go_to_their_own_hop_whatever_the_order_of_events():
    found = recorder(
        extra("requestWillBeSent", "a=1"),
        will_send("https://a.test/"),
        extra("requestWillBeSent", "b=2"),
        will_send(
            "https://b.test/",
            redirectResponse={"status": 302, "url": "https://a.test/"},
            redirectHasExtraInfo=True,
        ),
        ("responseReceived", {"requestId": "1", "response": {"status": 200}, "hasExtraInfo": True}),
    )
    entries = [har.entry(number, hop) for number, hop in found.hops()]
    assert [(e["request"]["url"], e["request"]["cookies"]) for e in entries] == [
        ("https://a.test/", [{"name": "a", "value": "1"}]),
        ("https://b.test/", [{"name": "b", "value": "2"}]),
    ]
    assert [e["_redirected"] for e in entries] == [False, True]


def test_a_request_reported_by_two_sessions_is_one():
    assert len(recorder(will_send("https://a.test/"), will_send("https://a.test/")).hops()) == 1


def test_a_request_is_open_until_it_is_answered_or_its_target_has_gone():
    waiting = recorder(will_send("https://a.test/"), will_send("https://b.test/", "2"))
    assert len(waiting.open) == 2
    waiting.record(
        Event("Network.loadingFailed", {"requestId": "1", "timestamp": 2.0}, "S"), "page"
    )
    assert list(waiting.open) == ["2"]
    waiting.forget("S")
    assert not waiting.open


def test_what_no_network_sees_is_not_kept():
    assert recorder(will_send("data:text/html,hello"), will_send("blob:x", "2")).hops() == []


def test_requests_beyond_the_budget_are_counted():
    long = "https://a.test/" + "x" * 1_000_000
    found = recorder(*(will_send(long, str(number)) for number in range(40)))
    assert len(found.hops()) + found.dropped == 40
    assert found.dropped > 0


def test_cookies_that_servers_set_are_read():
    line = "id=a=b; Domain=.x.test; Max-Age=60; SameSite=None; Secure; HttpOnly"
    assert list(har.set_cookie(line)) == [
        {
            "name": "id",
            "value": "a=b",
            "domain": ".x.test",
            "_maxAge": "60",
            "sameSite": "None",
            "secure": True,
            "httpOnly": True,
        }
    ]
    assert list(har.set_cookie("nonsense")) == []


def test_a_har_has_what_the_format_asks_for():
    found = recorder(will_send("https://a.test/?q=1"))
    document = har.har("https://a.test/", 1000.0, "156", found.hops())
    entry = document["log"]["entries"][0]
    assert document["log"]["version"] == "1.2"
    assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= entry.keys()
    assert entry["request"]["queryString"] == [{"name": "q", "value": "1"}]
    assert entry["startedDateTime"].startswith("1970-01-01T00:16:41")
    json.dumps(document, allow_nan=False)
