"""Browsers compared on hard pages: ``python benchmarks/web.py``.

Serves pages of ours on the loopback interface from a process of its own that logs every request:
each page has images behind five redirects, frames of other sites within each other, workers, a
pop-up, posts that need leave (CORS), a beacon, and two slots for which genuine Prebid.js asks
twelve bidders. ``--loads`` of them (40) are visited in turn by

- ``echoaudit``: a whole visit, with everything recorded;
- ``echoaudit, grid``: the same over a Selenium Grid of two nodes (with ``--grid``; its server comes
  with ``make setup``);
- ``echoaudit, accept``: with ``browser.consent: accept``, on the same pages without a banner, as on
  any visit after a site's first; and ``with banner``, on pages that have one each time (with
  ``--accept``);
- ``playwright``: bare Playwright with the same Chromium and flags, which loads the page, waits as
  echoaudit does until no request is open and the network has been silent for 0.3 s, counts requests
  and keeps nothing. (Its own ``networkidle`` never comes on these pages: it is not told the end of
  some requests of workers. Nobody waits for those.)

Prints how much of the server's log each has seen, how many bids are recorded in the state that the
exchange's log implies, and pages a minute. On a slow machine Prebid's time is over before answers
that the exchange sent at once have come: such bids are rightly recorded as timeouts, and their
requests as given up. They are told in a line of their own and compared with nothing, provided that
the recorded times show that Prebid's time was over; any other difference counts as missed. The exit
code is 1 when echoaudit has missed anything.
Playwright is skipped when it is not installed (``uv pip install --group dev``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from echoaudit.instruments.browser import Browser, chromium
from echoaudit.instruments.browser.visit import IDLE
from echoaudit.lab import prebid
from echoaudit.study.models import BrowserSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "instruments"))
from grid_kit import Grid
from loopback_sites import ALLOWED, LONG, NEWS, PARTNER, TRACKER, Answer, Request, Sites

BIDDERS = 12
SLOTS = ("top", "side")
TIMEOUT_MS = 1000
LATE = 1.3
"""Seconds that a late bidder takes."""
SLACK_MS = 20
"""By how much two of the browser's clocks may differ."""
TOO_DEAR = 100.0
ANSWERS = ("bid", "bid", "no-bid", "late", "broken", "too-dear")
"""What bidder 1, 2, 3 … answers, over and over."""
GIVEN_UP = "net::ERR_ABORTED"
"""Error of requests whose answer the page no longer wanted: Prebid gives late bidders up."""
UNTOLD = ("/shared.js", "/api")
"""Requests of workers whose end Playwright is not told."""
STATES = {
    "bid": {"bid", "won", "rendered"},
    "no-bid": {"no-bid"},
    "late": {"timeout"},
    "broken": {"error"},
    "too-dear": {"rejected"},
}
"""Answers of the exchange, and the states in which they must be recorded."""


# --- the sites ---------------------------------------------------------------------------------


def bidder_host(number: int) -> str:
    """Name of a bidder's server."""
    return f"b{number}.exchange.test"


BANNER = """<div id=onetrust-consent-sdk><div id=onetrust-banner-sdk>Cookies
    <button id=onetrust-accept-btn-handler
      onclick="fetch('/chosen').then(() => this.parentElement.remove())">Accept</button>
    </div></div>"""


def page(request: Request) -> Answer:
    """The publisher's page."""
    banner = BANNER if "banner" in request.query else ""
    names = [f"b{number}" for number in range(BIDDERS)]
    bids = [
        {"bidder": name, "params": {"host": bidder_host(number), "zoneId": number + 1}}
        for number, name in enumerate(names)
    ]
    units = [
        {"code": slot, "mediaTypes": {"banner": {"sizes": [[300, 250]]}}, "bids": bids}
        for slot in SLOTS
    ]
    return Answer(f"""<title>news</title><script>var pbjs = {{que: []}}</script>
        <link rel=stylesheet href=/page.css><script src=/pbjs.js></script>
        <div id=top></div><div id=side></div>{banner}
        <iframe src=https://{TRACKER}/frame></iframe> <iframe src=/same></iframe>
        <img src=https://{TRACKER}/chain>
        <script>
          new Worker("/worker.js"); new SharedWorker("/shared.js");
          window.open("https://{PARTNER}/popup");
          fetch("https://{TRACKER}/api", {{method: "POST", credentials: "include",
            headers: {{"x-extra": "1", "content-type": "application/json"}},
            body: "{{}}"}}).then((answer) => answer.text());
          navigator.sendBeacon("https://{TRACKER}/beacon", "seen");
          pbjs.que.push(() => {{
            pbjs.setConfig({{bidderTimeout: {TIMEOUT_MS}, maxBid: {TOO_DEAR}}});
            {json.dumps(names)}.forEach((name) => pbjs.aliasBidder("adkernel", name));
            pbjs.addAdUnits({json.dumps(units)});
            pbjs.requestBids({{bidsBackHandler() {{
              {json.dumps(SLOTS)}.forEach((slot) => {{
                const best = pbjs.getHighestCpmBids(slot)[0];
                const frame = document.createElement("iframe");
                document.getElementById(slot).append(frame);
                pbjs.renderAd(frame.contentDocument, best.adId); }}); }}}});
          }});
        </script>""")


def chain(request: Request) -> Answer:
    """One of six hops, each of which sets its site's cookie."""
    value = request.cookies.get("id") or f"{time.monotonic_ns():032x}"
    cookie = ("Set-Cookie", f"id={value}; {LONG}")
    hop = int(request.query.get("hop", 0))
    if hop == 5:
        return Answer(b"GIF89a", mime="image/gif", headers=[cookie])
    target = TRACKER if hop % 2 else PARTNER
    onward = f"https://{target}/chain?hop={hop + 1}&id={value}"
    return Answer("", 302, headers=[cookie, ("Location", onward)])


def bidder(number: int, log: list[tuple[str, str]]) -> Callable[[Request], Answer]:
    """A bidder that always answers alike; adds request and answer to ``log``."""
    answer = ANSWERS[number % len(ANSWERS)]
    price = 1000.0 if answer == "too-dear" else 1.0 + number / 10

    def hb(request: Request) -> Answer:
        question = json.loads(request.body)
        log.extend((imp["id"], answer) for imp in question["imp"])
        if answer == "late":
            time.sleep(LATE)
        if answer == "broken":
            return Answer("oops", 500, headers=ALLOWED)
        bids = [
            {
                **{"id": imp["id"], "impid": imp["id"], "price": price, "w": 300, "h": 250},
                **{"mtype": 1, "crid": f"c{number}", "adomain": ["shoes.example"]},
                "adm": "<a href=https://shoes.example/>shoes</a>",
            }
            for imp in question["imp"]
        ]
        found = {"id": question["id"], "cur": "USD", "seatbid": [{"bid": bids}]}
        body = json.dumps({} if answer == "no-bid" else found)
        return Answer(body, mime="application/json", headers=ALLOWED)

    return hb


def pages(auctions: list[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """All pages; ``auctions`` is the exchange's log."""
    script, empty = "text/javascript", Answer(b"", mime="image/png")
    bidders = {(bidder_host(number), "/hb"): bidder(number, auctions) for number in range(BIDDERS)}
    worker = f"fetch('https://{TRACKER}/api', {{credentials: 'include'}})"
    return bidders | {
        (NEWS, "/"): page,
        (NEWS, "/chosen"): Answer("ok"),
        (NEWS, "/pbjs.js"): Answer(prebid.bundle(), mime=script),
        (NEWS, "/page.css"): Answer("body { background: url(/bg.png) }", mime="text/css"),
        (NEWS, "/bg.png"): empty,
        (NEWS, "/same"): Answer(f"<iframe srcdoc='<img src=https://{PARTNER}/deep>'></iframe>"),
        (NEWS, "/worker.js"): Answer(f"importScripts('/import.js'); {worker}", mime=script),
        (NEWS, "/import.js"): Answer("1", mime=script),
        (NEWS, "/shared.js"): Answer("fetch('/from-shared')", mime=script),
        (NEWS, "/from-shared"): Answer("ok"),
        (TRACKER, "/frame"): Answer(f"<iframe src=https://{PARTNER}/inner></iframe>"),
        (TRACKER, "/chain"): chain,
        (TRACKER, "/api"): Answer("{}", mime="application/json", headers=ALLOWED),
        (TRACKER, "/beacon"): Answer("", 204),
        (PARTNER, "/chain"): chain,
        (PARTNER, "/deep"): empty,
        (PARTNER, "/inner"): Answer(f"<script>new Image().src='https://{TRACKER}/chain'</script>"),
        (PARTNER, "/popup"): Answer("<img src=/in-popup>"),
        (PARTNER, "/in-popup"): empty,
    }


def serve(folder: Path, pipe: Connection) -> None:
    """Serve until the pipe is closed; each message on it is answered by the log since the last."""
    auctions: list[tuple[str, str]] = []
    sites = Sites(folder)
    sites.pages.update(pages(auctions))
    pipe.send((sites.authority, sites.arguments))
    with suppress(EOFError):
        while pipe.recv():
            pipe.send((list(sites.log), list(auctions)))
            sites.log.clear()
            auctions.clear()


# --- the visitors ------------------------------------------------------------------------------


@dataclass
class Tally:
    """What one visitor has seen of the servers' logs, item by item."""

    seconds: float = 0.0
    loads: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    logged: Counter[str] = field(default_factory=Counter)
    surplus: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    """Bids and responses that came after Prebid's time, though the exchange answered at once."""
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Bids recorded otherwise: the exchange's answer and the state recorded."""

    def compare(self, kind: str, recorded: Counter[Any], logged: Counter[Any]) -> None:
        """Count what of the log was recorded, and what was recorded besides."""
        self.logged[kind] += logged.total()
        self.seen[kind] += (recorded & logged).total()
        self.surplus[kind] += (recorded - logged).total()

    def share(self, kind: str) -> str:
        """Seen of all, and how many were seen that are in no log."""
        if not self.logged[kind]:
            return "-"
        more = f" +{self.surplus[kind]}" if self.surplus[kind] else ""
        return f"{self.seen[kind]}/{self.logged[kind]}{more}"

    @property
    def rate(self) -> float:
        """Pages a minute."""
        return 60 * self.loads / self.seconds

    @property
    def is_whole(self) -> bool:
        """Whether all was seen and nothing else."""
        return self.seen == self.logged and not self.surplus.total()


Visitor = Callable[[str, Path], None]
KINDS = ("requests", "responses", "set-cookie", "cookie", "bids")


def cookies(text: str) -> frozenset[str]:
    """The pairs of a Cookie header."""
    return frozenset(filter(None, text.split("; ")))


def check_recording(tally: Tally, folder: Path, log: list[Any], auctions: list[Any]) -> None:
    """Compare a visit's files with the servers' logs."""
    har = json.loads((folder / "page.har").read_text())["log"]["entries"]
    sent = [entry for entry in har if not entry["_fromCache"]]
    url = [(entry["request"]["method"], entry["request"]["url"]) for entry in sent]
    late = {bidder_host(n) for n in range(BIDDERS) if ANSWERS[n % len(ANSWERS)] == "late"}
    cut = Counter(
        (entry["request"]["method"], entry["request"]["url"])
        for entry in sent
        if was_cut_off(entry) and urlsplit(entry["request"]["url"]).hostname not in late
    )
    answered = Counter((s.method, s.url, s.status) for s in log if s.host not in late)
    for (method, address), number in cut.items():
        status = next((s.status for s in log if (s.method, s.url) == (method, address)), 0)
        answered[method, address, status] -= number
    tally.given_up["responses"] += cut.total()
    tally.compare("requests", Counter(url), Counter((s.method, s.url) for s in log))
    tally.compare(
        "responses",
        Counter(
            (*u, entry["response"]["status"])
            for u, entry in zip(url, sent, strict=True)
            if entry["_error"] != GIVEN_UP
        ),
        +answered,
    )
    tally.compare(
        "set-cookie",
        Counter(
            (u, header["value"])
            for u, entry in zip(url, sent, strict=True)
            for header in entry["response"]["headers"]
            if header["name"].lower() == "set-cookie"
        ),
        Counter(((s.method, s.url), cookie) for s in log for cookie in s.set_cookie),
    )
    tally.compare(
        "cookie",
        Counter(
            (u, frozenset(f"{c['name']}={c['value']}" for c in entry["request"]["cookies"]))
            for u, entry in zip(url, sent, strict=True)
            if entry["request"]["cookies"]
        ),
        Counter(((s.method, s.url), cookies(s.cookie)) for s in log if s.cookie),
    )
    bids = json.loads((folder / "bids.json").read_text())
    answers = dict(auctions)
    overdue = {
        bid["request"]
        for bid in bids
        if bid["state"] == "timeout" and answers.get(bid["request"], "late") != "late"
        and came_too_late(bid, sent)
    }  # fmt: skip
    tally.given_up["bids"] += len(overdue)
    recorded: Counter[Any] = Counter()
    for bid in bids:
        answer = answers.get(bid["request"], "")
        if bid["request"] in overdue:
            continue
        if bid["state"] in STATES.get(answer, ()):
            recorded[bid["request"], answer] += 1
        else:
            tally.wrong[answer, bid["state"]] += 1
    asked = Counter(auction for auction in auctions if auction[0] not in overdue)
    tally.compare("bids", recorded, asked)


def was_cut_off(entry: Any) -> bool:
    """Whether the page gave up a request when Prebid's time was over."""
    return entry["_error"] == GIVEN_UP and entry["time"] >= TIMEOUT_MS - SLACK_MS


def came_too_late(bid: Any, sent: list[Any]) -> bool:
    """Whether a bid's answer was not there when Prebid's time was over, by the recorded times."""
    for entry in sent:
        if bid["request"] in entry["request"].get("postData", {}).get("text", ""):
            began = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
            over = bid["time"] + (TIMEOUT_MS - SLACK_MS) / 1000
            return entry["_error"] == GIVEN_UP or began + entry["time"] / 1000 >= over
    return False


class Playwright:
    """Bare Playwright on the same Chromium; counts requests as they are told."""

    def __init__(self, settings: BrowserSettings, flags: list[str], profile: Path) -> None:
        from playwright.sync_api import sync_playwright

        self._runner = sync_playwright().start()
        found = chromium.find(settings)
        self._context = self._runner.chromium.launch_persistent_context(
            str(profile), executable_path=str(found.binary), headless=True, args=flags
        )
        self.requests: list[tuple[str, str]] = []
        self._open: set[Any] = set()
        self._active = 0.0
        self._context.on("request", self._began)
        self._context.on("requestfinished", self._ended)
        self._context.on("requestfailed", self._ended)

    def _began(self, request: Any) -> None:
        self.requests.append((request.method, request.url))
        if not request.url.endswith(UNTOLD):
            self._open.add(request)
        self._active = time.monotonic()

    def _ended(self, request: Any) -> None:
        self._open.discard(request)
        self._active = time.monotonic()

    def visit(self, url: str, _folder: Path) -> None:
        """Load the page, wait until it is idle and close it."""
        self.requests.clear()
        self._open.clear()
        tab = self._context.new_page()
        tab.goto(url, wait_until="load")
        end = time.monotonic() + 5
        while time.monotonic() < end and (self._open or time.monotonic() - self._active < IDLE):
            tab.wait_for_timeout(20)
        for opened in self._context.pages[1:]:
            opened.close()

    def close(self) -> None:
        """End the browser."""
        self._context.close()
        self._runner.stop()


def with_banner(browser: Browser) -> Visitor:
    """Visits pages with a banner, and sees that each is accepted."""

    def visit(url: str, folder: Path) -> None:
        found = browser.visit(f"{url}&banner=1", folder).consent
        if found is None or found.state != "done":
            raise RuntimeError(f"a banner was not accepted: {found}")

    return visit


def measure(loads: int, grid: bool, accept: bool, work: Path) -> dict[str, Tally]:
    """Visit in turn, so that whatever else the machine does slows all visitors alike."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(work, theirs))
    process.start()
    authority, arguments = ours.recv()
    settings = BrowserSettings(trusted_authority=authority)
    with ExitStack() as stack:
        stack.callback(process.join)
        stack.callback(ours.close)
        stack.callback(ours.send, None)
        visitors: dict[str, Visitor] = {}
        browser = Browser(settings, work / "ours", extra_arguments=arguments)
        visitors["echoaudit"] = stack.enter_context(browser).visit
        if grid:
            url = stack.enter_context(Grid(work)).url
            remote = settings.model_copy(update={"grid": url})
            over = Browser(remote, work / "grid", extra_arguments=arguments)
            visitors["echoaudit, grid"] = stack.enter_context(over).visit
        if accept:
            answering = settings.model_copy(update={"consent": "accept"})
            third = Browser(answering, work / "accepting", extra_arguments=arguments)
            visitors["echoaudit, accept"] = stack.enter_context(third).visit
            visitors["echoaudit, accept, with banner"] = with_banner(third)
        playwright = None
        with suppress(ImportError):
            found = chromium.find(settings)
            flags = chromium.arguments(settings, found, work / "theirs", arguments)
            flags = [f for f in flags if not f.startswith("--user-data-dir")]
            playwright = Playwright(settings, flags, work / "theirs")
            stack.callback(playwright.close)
            visitors["playwright"] = playwright.visit
        tallies = {name: Tally() for name in visitors}
        for number in range(loads + 1):
            for name, visit in visitors.items():
                folder = work / f"{name}-{number}"
                ours.send(True)
                ours.recv()
                begin = time.perf_counter()
                visit(f"https://{NEWS}/?load={number}", folder)
                seconds = time.perf_counter() - begin
                ours.send(True)
                log, auctions = ours.recv()
                tally = tallies[name] if number else Tally()  # the first load warms up
                tally.seconds += seconds
                tally.loads += 1
                if name == "playwright" and playwright is not None:
                    logged = Counter((seen.method, seen.url) for seen in log)
                    tally.compare("requests", Counter(playwright.requests), logged)
                else:
                    check_recording(tally, folder, log, auctions)
    return tallies


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loads", type=int, default=40)
    parser.add_argument("--grid", action="store_true", help="a Selenium Grid as well")
    parser.add_argument("--accept", action="store_true", help="consent banners accepted as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="echoaudit-web-") as folder:
        tallies = measure(chosen.loads, chosen.grid, chosen.accept, Path(folder))
    print("| browser |", " | ".join(KINDS), "| pages a minute | of playwright's |")
    print("|---|" + "---|" * (len(KINDS) + 2))
    peer = tallies.get("playwright")
    for name, tally in tallies.items():
        ratio = f"{tally.rate / peer.rate:.2f}" if peer else "-"
        shares = " | ".join(tally.share(kind) for kind in KINDS)
        print(f"| {name} | {shares} | {tally.rate:.1f} | {ratio} |")
    for name, tally in tallies.items():
        if tally.given_up.total():
            told = ", ".join(f"{n} {kind}" for kind, n in sorted(tally.given_up.items()))
            print(f"{name}: after Prebid's time: {told}")
        for (answer, state), number in sorted(tally.wrong.items()):
            print(f"{name}: {number} bids answered with {answer!r} are recorded as {state!r}")
    if peer is None:
        print("playwright is not installed: uv pip install --group dev", file=sys.stderr)
    whole = all(tally.is_whole for name, tally in tallies.items() if name != "playwright")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
