"""HAR files as real tools write them, made when the test runs, give the syncs that happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from import_kit import brought

from echoaudit import findings
from echoaudit.instruments.browser import Browser, chromium
from echoaudit.instruments.browser.devtools import DevTools
from echoaudit.instruments.browser.processes import end_session, wait_until
from echoaudit.study.models import BrowserSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "instruments"))
from loopback_sites import LONG, NEWS, PARTNER, TRACKER, Answer, Sites
from proxy_kit import Proxy

pytestmark = pytest.mark.web
UID = "k3J9xQ2mVb7LpZ5tRw8Y"
PAGE = f"https://{NEWS}/"
PATIENCE = 120.0
"""Seconds for a step of a browser on a busy machine."""


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


def check(har, sites, into, cookies=True):
    """All that the servers saw is in the file, and the sync is found in it if cookies are."""
    recording = brought("har", har, into=into)
    (visit,) = recording.steps("visit")
    assert visit.json("visit.json")["url"] == PAGE
    asked = {entry["request"]["url"] for entry in visit.json("page.har")["log"]["entries"]}
    assert asked >= {s.url for s in sites.log if s.path != "/favicon.ico"}
    assert len(asked) >= 3
    if not cookies:
        assert findings.compute(recording).tables["syncs"].empty
        return
    (sync,) = findings.compute(recording).tables["syncs"].to_dict("records")
    assert (sync["source"], sync["target"], sync["place"]) == (
        "tracker.test", "partner.test", "redirect",
    )  # fmt: skip


def test_of_mitmproxy(sites, tmp_path):
    file = tmp_path / "visit.har"
    port = sites.server.server_address[1]
    with Proxy(tmp_path / "mitm", port, hardump=file) as proxy:
        settings = BrowserSettings(proxy=proxy.address, page_timeout=60, settle=2)
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


def test_of_chromiums_own_tools_with_and_without_cookies(sites, tmp_path):
    """By the very code behind the network panel's button, which leaves cookies out unless told."""
    with DevToolsWindow(tmp_path / "profile", sites.arguments) as window:
        window.visit(PAGE)
        for sanitized in (False, True):
            file = tmp_path / f"sanitized-{sanitized}.har"
            file.write_text(window.har(sanitized))
            assert json.loads(file.read_text())["log"]["creator"]["name"] == "WebInspector"
            check(file, sites, tmp_path / f"r-{sanitized}", cookies=not sanitized)


def _lines(file):
    """Of a file that may not be there, or not whole, yet."""
    return file.read_text().split() if file.is_file() else []


class DevToolsWindow:
    """A Chromium whose developer tools are open, both driven over the debugging port."""

    LOGS = "(await import('./models/logs/logs.js')).NetworkLog.NetworkLog.instance().requests()"
    HAR = "(await import('./models/har/har.js')).Log.Log"

    def __init__(self, profile, flags):
        self._profile = profile
        command = [
            *chromium.headless(profile),
            *flags,
            "--ignore-certificate-errors",
            "--auto-open-devtools-for-tabs",
            "--remote-debugging-port=0",
            "about:blank",
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    def __enter__(self):
        try:
            port_file = self._profile / "DevToolsActivePort"
            assert wait_until(lambda: len(_lines(port_file)) == 2, PATIENCE)
            address, path = _lines(port_file)
            self._devtools = DevTools(f"ws://127.0.0.1:{address}{path}", lambda event: None)
            assert wait_until(lambda: self._target("devtools://") is not None, PATIENCE)
            self._tools = self._attach("devtools://")
            self._page = self._attach("about:blank")
            # Loaded, and listening to the page.
            assert wait_until(
                lambda: self._ask(f"(async () => {self.LOGS}.length)()") == 0, PATIENCE
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        end_session(self._process.pid, patience=1.0)
        self._process.wait()

    def visit(self, url):
        # The tools may not listen to the page yet when they say that they are there.
        for _ in range(10):
            self._devtools.call("Page.navigate", {"url": url}, self._page, 30)
            if wait_until(lambda: self._ask(f"(async () => {self.LOGS}.length)()") >= 3, 5):
                break
        finished = f"(async () => {self.LOGS}.every((request) => request.finished))()"
        assert wait_until(lambda: self._ask(finished), PATIENCE)

    def har(self, sanitized):
        options = json.dumps({"sanitize": sanitized})
        return self._ask(
            "(async () => JSON.stringify({log: "
            f"await {self.HAR}.build({self.LOGS}, {options})}}))()"
        )

    def _target(self, beginning):
        found = self._devtools.call("Target.getTargets", {"filter": [{}]})["targetInfos"]
        return next((t["targetId"] for t in found if t["url"].startswith(beginning)), None)

    def _attach(self, beginning):
        params = {"targetId": self._target(beginning), "flatten": True}
        return self._devtools.call("Target.attachToTarget", params)["sessionId"]

    def _ask(self, expression):
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self._devtools.call("Runtime.evaluate", params, self._tools, 30)
        return answer["result"].get("value")
