"""HAR files as real tools write them, made when the test runs, give the syncs that happened."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from import_kit import brought

from echoaudit import findings
from echoaudit.instruments.browser import Browser, chromium
from echoaudit.study.models import BrowserSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "instruments"))
from loopback_sites import LONG, NEWS, PARTNER, TRACKER, Answer, Sites
from proxy_kit import Proxy

pytestmark = pytest.mark.web
UID = "k3J9xQ2mVb7LpZ5tRw8Y"
PAGE = f"https://{NEWS}/"


@pytest.fixture
def sites(tmp_path):
    """A page whose tracker sets an identifier and sends it on to its partner."""
    found = Sites(tmp_path)
    onward = ("Location", f"https://{PARTNER}/in?u={UID}")
    found.pages[NEWS, "/"] = Answer(f"<title>news</title><img src=https://{TRACKER}/px>")
    found.pages[TRACKER, "/px"] = Answer(
        "", 302, headers=[("Set-Cookie", f"uid={UID}; {LONG}"), onward]
    )
    found.pages[PARTNER, "/in"] = Answer(b"GIF89a", mime="image/gif")
    yield found
    found.close()


def check(har, sites, into):
    """All that the servers saw is in the file, and the sync is found in it."""
    recording = brought("har", har, into=into)
    (visit,) = recording.steps("visit")
    assert visit.json("visit.json")["url"] == PAGE
    asked = {entry["request"]["url"] for entry in visit.json("page.har")["log"]["entries"]}
    assert asked >= {s.url for s in sites.log if s.path != "/favicon.ico"}
    assert len(asked) >= 3
    (sync,) = findings.compute(recording).tables["syncs"].to_dict("records")
    assert (sync["source"], sync["target"], sync["place"]) == (
        "tracker.test", "partner.test", "redirect",
    )  # fmt: skip


def test_of_mitmproxy(sites, tmp_path):
    file = tmp_path / "visit.har"
    port = sites.server.server_address[1]
    with Proxy(tmp_path / "mitm", port, hardump=file) as proxy:
        settings = BrowserSettings(proxy=proxy.address, page_timeout=20, settle=2)
        reading = ("--ignore-certificate-errors",)
        with Browser(settings, tmp_path / "profile", extra_arguments=reading) as browser:
            assert browser.visit(PAGE, tmp_path / "visit").state == "complete"
    log = json.loads(file.read_text())["log"]
    assert log["creator"]["name"] == "mitmproxy"
    # The proxy's own test at the browser's start was on its way, too.
    log["entries"] = [e for e in log["entries"] if ".invalid" not in e["request"]["url"]]
    file.write_text(json.dumps({"log": log}))
    check(file, sites, tmp_path / "recording")


def test_of_playwright(sites, tmp_path):
    file = tmp_path / "visit.har"
    playwright = pytest.importorskip("playwright.sync_api")
    found = chromium.find(BrowserSettings()).binary
    flags = [*sites.arguments, "--no-sandbox", "--ignore-certificate-errors"]
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=str(found), args=flags)
        context = browser.new_context(record_har_path=str(file), ignore_https_errors=True)
        context.new_page().goto(PAGE, wait_until="networkidle")
        context.close()
        browser.close()
    assert json.loads(file.read_text())["log"]["creator"]["name"] == "Playwright"
    check(file, sites, tmp_path / "recording")
