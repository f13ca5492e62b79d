"""What Firefox tells of hard pages over WebDriver BiDi: ``python benchmarks/firefox.py``.

Loads the page of ``web.py`` in Firefox (``apt-get install firefox-esr``; no driver is needed, since
Firefox answers BiDi itself) and compares what its network events tell with the servers' own logs,
as ``web.py`` does for Chromium: the question whether Firefox could record visits as whole. Names
lead to the loopback interface by a proxy (mitmproxy, passing TLS by).

Prints how much of the log was told, which addresses were not, and of how many texts and posts
the body could be had. The exit code is 1 when anything is missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

from echoaudit.instruments.browser.processes import end_session

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "instruments"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))
from proxy_kit import Proxy
from web import NEWS, Tally, cookies, serve

from local_ports import free_ports

BINARIES = ("firefox-esr", "firefox")
IDLE = 1.5
"""Seconds without an event after which a page counts as done."""
LONGEST = 60.0
BODY_LIMIT = 64 * 1024
TEXTS = ("text/", "application/json")
SETTINGS = {
    "browser.contentblocking.category": "custom",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.cookie.cookieBehavior": 0,  # third-party cookies are allowed, as in the other runs
    "network.proxy.type": 1,
    "privacy.partition.network_state": False,
    "privacy.trackingprotection.enabled": False,
    "remote.active-protocols": 1,
}


class Firefox:
    """A headless Firefox and its BiDi connection; a context manager."""

    def __init__(self, profile: Path, proxy: int) -> None:
        program = next(filter(None, map(shutil.which, BINARIES)), None)
        if program is None:
            sys.exit("Firefox is not installed: apt-get install firefox-esr")
        profile.mkdir()
        ways = {
            f"network.proxy.{kind}{what}": value
            for kind in ("http", "ssl")
            for what, value in (("", "127.0.0.1"), ("_port", proxy))
        }
        lines = (
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in {**SETTINGS, **ways}.items()
        )
        (profile / "user.js").write_text("".join(lines))
        (self._port,) = free_ports(1)
        self._process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", str(profile),
             f"--remote-debugging-port={self._port}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self._answers: dict[int, Mapping[str, Any]] = {}
        self.events: list[Mapping[str, Any]] = []

    def __enter__(self) -> Firefox:
        self._socket = self._connect()
        threading.Thread(target=self._read, daemon=True).start()
        self.call("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.call("session.subscribe", events=["network"])
        limits = {"dataTypes": ["request", "response"], "maxEncodedDataSize": BODY_LIMIT}
        self.call("network.addDataCollector", **limits)
        return self

    def __exit__(self, *_: object) -> None:
        end_session(self._process.pid, patience=3.0)
        self._process.wait()

    def _connect(self) -> websocket.WebSocket:
        end = time.monotonic() + LONGEST
        while True:
            try:
                return websocket.create_connection(
                    f"ws://127.0.0.1:{self._port}/session", suppress_origin=True
                )
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def _read(self) -> None:
        while True:
            try:
                message = json.loads(self._socket.recv())
            except (OSError, ValueError, websocket.WebSocketException):
                return
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)

    def call(self, method: str, **params: Any) -> Mapping[str, Any] | None:
        """The result of a command; None when it was refused."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        end = time.monotonic() + LONGEST
        while number not in self._answers:
            if time.monotonic() > end:
                raise TimeoutError(f"no answer to {method}")
            time.sleep(0.005)
        return self._answers.pop(number).get("result")

    def visit(self, url: str) -> float:
        """Load a page in a tab of its own and wait until it is silent; seconds without the wait."""
        self.events.clear()
        before = self._tabs()
        begin = time.monotonic()
        tab = (self.call("browsingContext.create", type="tab") or {})["context"]
        self.call("browsingContext.navigate", context=tab, url=url, wait="complete")
        seen, active = len(self.events), time.monotonic()
        while time.monotonic() - active < IDLE and time.monotonic() - begin < LONGEST:
            if len(self.events) != seen:
                seen, active = len(self.events), time.monotonic()
            time.sleep(0.02)
        self._opened = self._tabs() - before
        return active - begin

    def end_visit(self) -> None:
        """Close the tab and its pop-ups."""
        for tab in self._opened:
            self.call("browsingContext.close", context=tab)

    def told(self, event: str) -> list[Mapping[str, Any]]:
        """The parameters of all events of a kind."""
        return [e["params"] for e in self.events if e["method"] == f"network.{event}"]

    def has_body(self, exchange: Mapping[str, Any], kind: str) -> bool:
        """Whether the body of a request or response can be had."""
        request = exchange["request"]["request"]
        return self.call("network.getData", request=request, dataType=kind) is not None

    def _tabs(self) -> set[str]:
        return {one["context"] for one in (self.call("browsingContext.getTree") or {})["contexts"]}


def compare(
    firefox: Firefox,
    log: list[Any],
    tally: Tally,
    missed: Counter[str],
    surplus: Counter[str],
) -> None:
    """Hold the events of one visit against the servers' log."""
    sent, answered = firefox.told("beforeRequestSent"), firefox.told("responseCompleted")
    url = [(one["request"]["method"], one["request"]["url"]) for one in sent]
    logged = Counter((seen.method, seen.url) for seen in log)
    tally.compare("requests", Counter(url), logged)
    extra = Counter(url) - logged
    surplus.update(urlsplit(address).path for _, address in extra.elements())
    missed.update(urlsplit(address).path for _, address in (logged - Counter(url)).elements())
    tally.compare(
        "set-cookie",
        Counter(
            (one["request"]["url"], line)
            for one in answered
            for header in one["response"]["headers"]
            if header["name"].lower() == "set-cookie"
            for line in header["value"]["value"].split("\n")
        ),
        Counter((seen.url, cookie) for seen in log for cookie in seen.set_cookie),
    )
    tally.compare(
        "cookie",
        Counter(
            (u, frozenset(f"{c['name']}={c['value']['value']}" for c in one["request"]["cookies"]))
            for u, one in zip(url, sent, strict=True)
            if one["request"]["cookies"]
        ),
        Counter(((seen.method, seen.url), cookies(seen.cookie)) for seen in log if seen.cookie),
    )
    posts = [one for one in sent if one["request"]["method"] == "POST"]
    texts = [one for one in answered if one["response"]["mimeType"].startswith(TEXTS)
             and one["response"]["status"] < 300 and one["response"]["bytesReceived"]]  # fmt: skip
    for kind, of, which in (("posts", "request", posts), ("texts", "response", texts)):
        tally.logged[kind] += len(which)
        tally.seen[kind] += sum(firefox.has_body(one, of) for one in which)


def measure(loads: int, work: Path) -> tuple[Tally, Counter[str], Counter[str]]:
    """Visit, and compare each time."""
    tally, missed, surplus = Tally(), Counter[str](), Counter[str]()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(work, theirs))
    process.start()
    with ExitStack() as stack:
        stack.callback(process.join)
        stack.callback(ours.close)
        stack.callback(ours.send, None)
        _, (rules,) = ours.recv()
        port = int(rules.partition("127.0.0.1:")[2].partition(",")[0])
        proxy = stack.enter_context(Proxy(work / "proxy", port))
        firefox = stack.enter_context(Firefox(work / "profile", proxy.port))
        for number in range(loads + 1):
            ours.send(True)
            ours.recv()
            seconds = firefox.visit(f"https://{NEWS}/?load={number}")
            ours.send(True)
            log, _ = ours.recv()
            if number:  # the first load warms up
                tally.seconds, tally.loads = tally.seconds + seconds, tally.loads + 1
                compare(firefox, log, tally, missed, surplus)
            firefox.end_visit()
    return tally, missed, surplus


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loads", type=int, default=40)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="echoaudit-web-", ignore_cleanup_errors=True) as folder:
        tally, missed, surplus = measure(chosen.loads, Path(folder))
    kinds = ("requests", "set-cookie", "cookie", "posts", "texts")
    print("| browser |", " | ".join(kinds), "|")
    print("|---|" + "---|" * len(kinds))
    print("| firefox |", " | ".join(tally.share(kind) for kind in kinds), "|")
    for what, counts in (("not told", missed), ("told, but not in the log", surplus)):
        for path, times in counts.most_common():
            print(f"{what}: {path}, {times} times")
    return 0 if tally.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
