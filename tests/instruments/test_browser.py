"""The browser for real: Chromium against sites on the loopback interface."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter

import pytest
from loopback_sites import (
    ALLOWED,
    EXCHANGE,
    LONG,
    NEWS,
    PARTNER,
    TRACKER,
    Answer,
    entries,
    har_requests,
    settings,
)

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import Browser, BrowserCrashed, engines, processes, session
from echoaudit.instruments.browser.cookies import Restored, bring
from echoaudit.instruments.browser.probe import prove_cookie_setting
from echoaudit.outcomes import cookies
from echoaudit.recording import Recording, redact
from echoaudit.study.models import BrowserSettings, SignIn

pytestmark = [pytest.mark.web, pytest.mark.usefixtures("unhurried")]

# --- recording --------------------------------------------------------------------------------


def recognised(request):
    value = request.cookies.get("id") or uuid.uuid4().hex
    return value, ("Set-Cookie", f"id={value}; {LONG}")


def chain(request):
    value, header = recognised(request)
    hop = int(request.query.get("hop", 0))
    if hop == 5:
        return Answer(b"GIF89a", mime="image/gif", headers=[header])
    target = TRACKER if hop % 2 else PARTNER
    return Answer(
        "", 302, headers=[header, ("Location", f"https://{target}/chain?hop={hop + 1}&id={value}")]
    )


def frame(request):
    """A frame that has a cookie set by its answer and one by its script, new on each visit."""
    return Answer(
        f"""<iframe src=https://{PARTNER}/inner></iframe>
        <script>document.cookie = "mark=" + Math.random() + "; {LONG}"</script>""",
        headers=[("Set-Cookie", f"turn={uuid.uuid4().hex}; {LONG}; HttpOnly")],
    )


STRESS = {
    (NEWS, "/"): Answer(f"""
        <link rel=stylesheet href=/page.css><script src=/page.js></script>
        <iframe src=https://{TRACKER}/frame></iframe> <iframe src=/same></iframe>
        <img src=https://{TRACKER}/chain>
        <script>
          new Worker("/worker.js");
          new SharedWorker("/shared.js");
          window.open("https://{PARTNER}/popup");
          fetch("https://{TRACKER}/api", {{method: "POST", credentials: "include",
            headers: {{"x-extra": "1", "content-type": "application/json"}},
            body: JSON.stringify({{hello: "there"}})}}).then((answer) => answer.text());
          navigator.sendBeacon("https://{TRACKER}/beacon", "seen");
          document.cookie = "own=" + Math.random() + "; Max-Age=31536000; Secure; Path=/own";
        </script>"""),
    (NEWS, "/page.css"): Answer("body { background: url(/bg.png) }", mime="text/css"),
    (NEWS, "/page.js"): Answer("window.loaded = 1", mime="text/javascript"),
    (NEWS, "/bg.png"): Answer(b"", mime="image/png"),
    (NEWS, "/same"): Answer(f"<iframe srcdoc='<img src=https://{PARTNER}/deep>'></iframe>"),
    (NEWS, "/worker.js"): Answer(
        f"importScripts('/import.js'); fetch('https://{TRACKER}/api', {{credentials: 'include'}})",
        mime="text/javascript",
    ),
    (NEWS, "/import.js"): Answer("1", mime="text/javascript"),
    (NEWS, "/shared.js"): Answer("fetch('/from-shared')", mime="text/javascript"),
    (NEWS, "/from-shared"): Answer("ok"),
    (TRACKER, "/frame"): frame,
    (TRACKER, "/chain"): chain,
    (TRACKER, "/api"): Answer('{"ok": true}', mime="application/json", headers=ALLOWED),
    (TRACKER, "/beacon"): Answer("", 204),
    (PARTNER, "/chain"): chain,
    (PARTNER, "/deep"): Answer(b"", mime="image/png"),
    (PARTNER, "/inner"): Answer(f"<script>new Image().src = 'https://{TRACKER}/chain'</script>"),
    (PARTNER, "/popup"): Answer("<img src=/in-popup>"),
    (PARTNER, "/in-popup"): Answer(b"", mime="image/png"),
}


@pytest.mark.usefixtures("unbroken")
def test_all_requests_and_cookies_are_recorded_frames_workers_and_popups_too(
    sites, browser, tmp_path
):
    sites.pages.update(STRESS)
    for number in range(3):
        sites.log.clear()
        folder = tmp_path / str(number)
        visit = browser.visit(f"https://{NEWS}/", folder)
        # What an earlier test's page still asked for is on other sites.
        seen = [one for one in sites.log if one.host in (NEWS, TRACKER, PARTNER)]
        found = [e for e in entries(folder) if not e["_fromCache"]]
        assert visit.state == "complete", visit
        assert len(seen) >= 27
        assert har_requests(folder) == Counter((s.method, s.url) for s in seen)
        assert Counter(
            (
                e["request"]["url"],
                frozenset(f"{c['name']}={c['value']}" for c in e["request"]["cookies"]),
            )
            for e in found
        ) == Counter((s.url, frozenset(filter(None, s.cookie.split("; ")))) for s in seen)
        assert Counter(
            (e["request"]["url"], h["value"])
            for e in found
            for h in e["response"]["headers"]
            if h["name"].lower() == "set-cookie"
        ) == Counter((s.url, cookie) for s in seen for cookie in s.set_cookie)
        assert (folder / "page.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("unbroken")
def test_a_redirect_chain_keeps_its_hops_and_texts_are_kept_but_no_scripts(
    sites, browser, tmp_path
):
    sites.pages.update(STRESS)
    browser.visit(f"https://{NEWS}/", tmp_path)
    found = entries(tmp_path)
    first = next(e for e in found if e["request"]["url"] == f"https://{TRACKER}/chain")
    hops = [e for e in found if e["_requestId"] == first["_requestId"]]
    assert [e["response"]["status"] for e in hops] == [302] * 5 + [200]
    assert [e["_redirected"] for e in hops] == [False] + [True] * 5
    script = next(e for e in found if e["request"]["url"] == f"https://{NEWS}/page.js")
    assert "text" not in script["response"]["content"]
    posted = next(e for e in found if "postData" in e["request"] and "api" in e["request"]["url"])
    assert posted["response"]["content"]["text"] == '{"ok": true}'
    assert posted["request"]["postData"]["text"] == '{"hello":"there"}'
    assert posted["_initiator"]["scripts"] == [f"https://{NEWS}/"]


def test_each_cookie_is_told_with_its_setter(sites, browser, tmp_path):
    sites.pages.update(STRESS)
    step = "fashion-1/visits/a1-news"
    with (
        Recording.create(
            tmp_path / "recording",
            study_files={"study.yaml": b"study: web\n"},
            study_hash="5" * 64,
            study={},
            config={"config": "lab"},
            plan={"waves": [{"tracks": [{"steps": [{"id": step, "kind": "visit"}]}]}]},
            tools={},
        ) as recording,
        recording.step(step, "visit") as folder,
    ):
        browser.visit(f"https://{NEWS}/", folder)
        (folder / "visit.json").write_text(json.dumps({"url": f"https://{NEWS}/"}))
    found = cookies.derive(Recording.open(tmp_path / "recording")).set_index(["host", "name"])
    told = found[["setter", "setter_url", "initiator"]].apply(tuple, axis=1)
    # Whatever the profile held before, these are new on each visit.
    assert told[NEWS, "own"] == ("unknown", "", ""), "a shared worker's answer may have set it"
    assert told[TRACKER, "mark"] == ("script", f"https://{TRACKER}/frame", "")
    assert told[TRACKER, "turn"] == ("response", f"https://{TRACKER}/frame", NEWS)
    assert found.loc[(TRACKER, "turn"), "http_only"] and found.loc[(TRACKER, "turn"), "third_party"]


def test_web_sockets_are_recorded_as_requests(sites, browser, tmp_path):
    sites.pages[NEWS, "/ws"] = Answer(f"<script>new WebSocket('wss://{TRACKER}/socket')</script>")
    browser.visit(f"https://{NEWS}/ws", tmp_path)
    assert ("GET", f"wss://{TRACKER}/socket") in har_requests(tmp_path)


# --- the profile ------------------------------------------------------------------------------


def test_cookies_outlive_the_browser_and_another_profile_has_none(sites, tmp_path):
    sites.pages[NEWS, "/id"] = lambda request: Answer("hello", headers=[recognised(request)[1]])
    values = []
    for profile in ("one", "one", "two"):
        with Browser(settings(sites), tmp_path / profile, extra_arguments=sites.arguments) as own:
            own.visit(f"https://{NEWS}/id", tmp_path / "visit")
        jar = json.loads((tmp_path / "visit" / "cookies.json").read_text())
        values += [cookie["value"] for cookie in jar["after"] if cookie["name"] == "id"]
        assert bool(jar["before"]) == (len(values) == 2)
    assert values[0] == values[1] != values[2]
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


THIRD = {
    (NEWS, "/third"): Answer(f"<iframe src=https://{TRACKER}/third></iframe>"),
    (TRACKER, "/third"): Answer("hello", headers=[("Set-Cookie", f"third=12345; {LONG}")]),
}


@pytest.mark.parametrize(("policy", "kept"), [("allow", True), ("block", False)])
def test_third_party_cookies_are_as_configured(sites, tmp_path, policy, kept):
    sites.pages.update(THIRD)
    chosen = settings(sites, third_party_cookies=policy)
    with Browser(chosen, tmp_path / "profile", extra_arguments=sites.arguments) as own:
        own.visit(f"https://{NEWS}/third", tmp_path / "visit")
        jar = json.loads((tmp_path / "visit" / "cookies.json").read_text())
    assert any(cookie["name"] == "third" for cookie in jar["after"]) == kept
    refused = [
        e["_blockedCookies"] for e in entries(tmp_path / "visit") if TRACKER in e["request"]["url"]
    ]
    assert bool(refused[0]) != kept


def test_a_cookie_setting_that_does_not_hold_is_found_out(sites, tmp_path):
    with Browser(settings(sites), tmp_path, extra_arguments=sites.arguments) as own:
        running = own._session()
        running.settings = settings(sites, third_party_cookies="block")
        with pytest.raises(Unavailable, match="told to block third-party cookies but does allow"):
            prove_cookie_setting(running)


def test_the_browser_is_what_the_settings_say(sites, tmp_path):
    sites.pages[NEWS, "/who"] = Answer(f"""<iframe src=https://{TRACKER}/who></iframe>""")
    sites.pages[TRACKER, "/who"] = Answer("""<script>fetch("/told", {method: "POST", body:
        JSON.stringify([navigator.userAgent, navigator.language, navigator.webdriver,
        Intl.DateTimeFormat().resolvedOptions().timeZone])})</script>""")
    sites.pages[TRACKER, "/told"] = Answer("ok")
    sites.log.clear()
    chosen = settings(sites, language="de-DE", timezone="Europe/Berlin")
    with Browser(chosen, tmp_path / "profile", extra_arguments=sites.arguments) as own:
        visit = own.visit(f"https://{NEWS}/who", tmp_path / "visit")
    told = next(json.loads(seen.body) for seen in sites.log if seen.path == "/told")
    assert told == [visit.browser["user_agent"], "de-DE", False, "Europe/Berlin"]
    sent = {
        h["name"].lower(): h["value"] for h in entries(tmp_path / "visit")[0]["request"]["headers"]
    }
    assert "Headless" not in " ".join(sent.values())
    assert sent["accept-language"].startswith("de-DE")


# --- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"), [(403, "blocked"), (429, "blocked"), (503, "blocked"), (404, "failed")]
)
def test_an_error_page_is_told_from_a_block(sites, browser, tmp_path, status, state):
    sites.pages[NEWS, "/error"] = Answer("<h1>no</h1>", status)
    visit = browser.visit(f"https://{NEWS}/error", tmp_path)
    assert (visit.state, visit.reason) == (state, f"HTTP {status}")


def test_names_that_do_not_exist_fail_and_empty_answers_are_named(sites, browser, tmp_path):
    visit = browser.visit("https://www.nowhere.example/", tmp_path / "a")
    assert (visit.state, visit.reason) == ("failed", "DNS failure (net::ERR_NAME_NOT_RESOLVED)")
    sites.pages[NEWS, "/empty"] = Answer("")
    visit = browser.visit(f"https://{NEWS}/empty", tmp_path / "b")
    assert (visit.state, visit.reason) == ("empty", "empty response")
    sites.pages[NEWS, "/nothing"] = lambda request: None
    visit = browser.visit(f"https://{NEWS}/nothing", tmp_path / "c")
    assert visit.state == "empty"
    assert "empty response" in visit.reason


def test_a_stranger_authority_is_a_tls_failure(sites, tmp_path):
    with Browser(BrowserSettings(), tmp_path / "p", extra_arguments=sites.arguments) as own:
        visit = own.visit(f"https://{NEWS}/", tmp_path / "visit")
    assert visit.state == "failed"
    assert "TLS failure (net::ERR_CERT_" in visit.reason


# --- crashes ----------------------------------------------------------------------------------


KINDS_OF_COOKIES = [
    "host=1; Max-Age=9999; Secure; HttpOnly; SameSite=Strict",
    "domain=2; Domain=news.test; Max-Age=9999; Path=/calm; SameSite=Lax",
    f"third=3; {LONG}",
    "session=4",
    "__Host-prefix=5; Secure; Path=/; Max-Age=9999",
    'odd="a b,c"; Max-Age=9999',
    "=unnamed; Max-Age=9999",
    "empty=; Max-Age=9999",
]


def set_cookies(lines):
    return [("Set-Cookie", line) for line in lines]


def shown(cookie):
    return json.dumps({**cookie, "expires": round(cookie["expires"])}, sort_keys=True)


def test_a_killed_browser_is_a_named_error_and_the_profile_can_be_used_again(sites, tmp_path):
    frame = f"<iframe src=https://{TRACKER}/part></iframe>"
    sites.pages[NEWS, "/calm"] = Answer(f"<p>calm{frame}", headers=set_cookies(KINDS_OF_COOKIES))
    sites.pages[TRACKER, "/part"] = Answer("x", headers=set_cookies([f"p=1; Partitioned; {LONG}"]))
    sites.pages[NEWS, "/other"] = Answer("x", headers=set_cookies(["host=9", f"more=9; {LONG}"]))
    folder, profile = tmp_path / "visit", tmp_path / "profile"
    with Browser(settings(sites), profile, extra_arguments=sites.arguments) as own:
        own.visit(f"https://{NEWS}/calm", folder)
        held = json.loads((folder / "cookies.json").read_text())["after"]
        group = own._session().engine.processes
        for pid in set(processes.members(group)) - {group}:
            with contextlib.suppress(ProcessLookupError):  # helpers go when their browser does
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrowserCrashed):
            own.visit(f"https://{NEWS}/calm", folder)
    assert processes.members(group) == []
    assert not own.in_order
    with Browser(settings(sites), profile, extra_arguments=sites.arguments) as own:
        assert own.visit(f"https://{NEWS}/other", folder).state == "complete"
    assert (own.in_order, own.restored) == (True, None)
    chosen = {"extra_arguments": sites.arguments, "cookies": held}
    with Browser(settings(sites), profile, **chosen) as own:
        assert own.restored == Restored(set=len(held), removed=1, failed=0)
        assert bring(own._session(), held) == Restored(0, 0, 0)
        assert own.visit(f"https://{NEWS}/calm", folder).state == "complete"
    before = json.loads((folder / "cookies.json").read_text())["before"]
    assert sorted(map(shown, before)) == sorted(map(shown, held))


def test_a_browser_that_does_not_answer_at_its_start_is_started_again_and_then_named(
    sites, tmp_path, monkeypatch
):
    ended = []
    monkeypatch.setattr(session, "OPENING", 0.0)
    monkeypatch.setattr("echoaudit.instruments.browser.STARTS", 2)
    end = engines.LocalEngine.end
    monkeypatch.setattr(
        engines.LocalEngine, "end", lambda self: (ended.append(self.processes), end(self))
    )
    with (
        pytest.raises(Unavailable, match="does not let itself be recorded"),
        Browser(settings(sites), tmp_path, extra_arguments=sites.arguments),
    ):
        pass
    assert len(ended) == 2
    assert [processes.members(one) for one in ended] == [[], []]


def test_processes_that_start_others_while_they_are_killed_are_all_ended():
    brood = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n if not os.fork(): time.sleep(300)\n time.sleep(0.002)"
    )
    mother = subprocess.Popen([sys.executable, "-c", brood], start_new_session=True)
    try:
        assert processes.wait_until(lambda: len(processes.members(mother.pid)) > 5, 60)
        processes.end_session(mother.pid, patience=0.05)
        assert processes.members(mother.pid) == []
    finally:
        mother.kill()
        mother.wait()


def test_a_browser_left_over_by_a_killed_run_makes_way(sites, tmp_path):
    sites.pages[NEWS, "/calm"] = Answer("<p>calm")
    first = Browser(settings(sites), tmp_path / "profile", extra_arguments=sites.arguments)
    first.__enter__()
    left = first._session().engine.processes
    os.kill(left, signal.SIGKILL)  # ChromeDriver only: Chromium goes on and holds the profile
    assert processes.members(left)
    with Browser(settings(sites), tmp_path / "profile", extra_arguments=sites.arguments) as second:
        assert second.visit(f"https://{NEWS}/calm", tmp_path / "visit").state == "complete"
    assert processes.members(left) == []
    first.close()


# --- signing in -------------------------------------------------------------------------------


def test_signing_in_fills_the_form_once_and_tells_no_secret(sites, tmp_path):
    def account(request):
        if request.method == "GET" or b"word=pa55" not in request.body:
            return Answer(
                "<form method=post><input name=email><input name=password><button type=submit>"
            )
        return Answer("welcome", headers=[("Set-Cookie", f"at-main=token-1; {LONG}")])

    sites.pages[NEWS, "/signin"] = account
    form = SignIn(url=f"https://{NEWS}/signin", secrets=tmp_path / "none")
    with Browser(settings(sites), tmp_path / "profile", extra_arguments=sites.arguments) as own:
        running = own._session()
        patient = running.settings
        running.settings = patient.model_copy(update={"page_timeout": 5.0})
        wrong = own.sign_in(form, "me@example.org", "wrong")
        running.settings = patient
        right = own.sign_in(form, "me@example.org", "pa55")
        again = own.sign_in(form, "me@example.org", "pa55")
    assert wrong.state in ("failed", "timeout"), "the latter where the machine is too busy"
    assert wrong.state == "timeout" or wrong.reason == "no cookie at-main was set"
    assert (right.state, right.reason) == ("complete", None)
    assert again.reason == "was signed in already"
    assert "pa55" not in repr((wrong, right, again))


# --- header bidding ---------------------------------------------------------------------------

AUCTION = 4
"""Seconds that an auction waits: longer than a busy machine takes for the quick ones."""
BIDDERS = ("good", "empty", "slow", "broken", "other", "dear")
EID = "8f3b1c0e77aa4d21"
PRICES = {1: 1.5, 3: 9.0, 5: 0.7, 6: 500.0}


def exchange(asked):
    def hb(request):
        question, zone = json.loads(request.body), int(request.query["zone"])
        asked.extend((BIDDERS[zone - 1], imp["id"]) for imp in question["imp"])
        if zone == 2:
            return Answer("{}", mime="application/json", headers=ALLOWED)
        if zone == 3:
            time.sleep(AUCTION + 1)
        if zone == 4:
            return Answer("oops", 500, headers=ALLOWED)
        bids = [
            {"id": imp["id"], "impid": imp["id"], "price": PRICES[zone], "w": 300, "h": 250,
             "mtype": 1, "crid": f"creative-{zone}", "adomain": ["shoes.example"],
             "adm": "<b>ad</b>"}
            for imp in question["imp"]
        ]  # fmt: skip
        body = json.dumps({"id": question["id"], "cur": "USD", "seatbid": [{"bid": bids}]})
        return Answer(body, mime="application/json", headers=ALLOWED)

    return hb


def publisher(name, start=True):
    bids = ",".join(
        f"{{bidder: '{bidder}', params: {{host: '{EXCHANGE}', zoneId: {zone}}}}}"
        for zone, bidder in enumerate(BIDDERS, 1)
    )
    show = f"""{name}.requestBids({{bidsBackHandler() {{
        const best = {name}.getHighestCpmBids("top")[0], frame = document.createElement("iframe");
        document.body.append(frame);
        {name}.renderAd(frame.contentDocument, best.adId); }}}});"""
    return Answer(f"""<script>var {name} = {{que: []}}</script><script src=/{name}.js></script>
        <body><script>{name}.que.push(() => {{
          {name}.setConfig({{bidderTimeout: {AUCTION * 1000}, maxBid: 100}});
          {name}.setConfig({{ortb2: {{user: {{ext: {{eids: [
            {{source: "id.example", uids: [{{id: "{EID}", atype: 1}}]}}]}}}}}}}});
          {list(BIDDERS)}.forEach((name) => {name}.aliasBidder("adkernel", name));
          {name}.addAdUnits(["top", "side"].map((code) => ({{code, bids: [{bids}],
            mediaTypes: {{banner: {{sizes: [[300, 250]]}}}}}})));
          {show if start else ""}
        }})</script></body>""")


def states(folder):
    records = json.loads((folder / "bids.json").read_text())
    return Counter((record["bidder"], record["slot"], record["state"]) for record in records)


EXPECTED = Counter(
    {
        ("good", "top", "rendered"): 1,
        ("good", "side", "bid"): 1,
        **{("empty", slot, "no-bid"): 1 for slot in ("top", "side")},
        **{("slow", slot, "timeout"): 1 for slot in ("top", "side")},
        **{("broken", slot, "error"): 1 for slot in ("top", "side")},
        **{("other", slot, "bid"): 1 for slot in ("top", "side")},
        **{("dear", slot, "rejected"): 1 for slot in ("top", "side")},
    }
)


@pytest.mark.usefixtures("unbroken")
@pytest.mark.parametrize("place", ["page", "odd name", "same-site frame"])
def test_every_bid_of_genuine_prebid_is_read_in_its_state(sites, browser, scripts, tmp_path, place):
    asked: list[tuple[str, str]] = []
    name = "pbjs" if place == "page" else "oddName"
    sites.pages.update(
        {
            (EXCHANGE, "/hb"): exchange(asked),
            (NEWS, "/ads"): publisher(name),
            (NEWS, "/framed"): Answer("<iframe src=/ads></iframe>"),
            (NEWS, f"/{name}.js"): Answer(scripts[name], mime="text/javascript"),
        }
    )
    url = f"https://{NEWS}/framed" if "frame" in place else f"https://{NEWS}/ads"
    visit = browser.visit(url, tmp_path)
    records = json.loads((tmp_path / "bids.json").read_text())
    assert states(tmp_path) == EXPECTED
    assert sorted((r["bidder"], r["request"]) for r in records) == sorted(asked)
    assert (visit.state, visit.bids, visit.notes) == ("complete", 12, ())
    shown = next(r for r in records if r["state"] == "rendered")
    assert (shown["cpm"], shown["currency"], shown["size"]) == (1.5, "USD", "300x250")
    assert (shown["creative"], shown["advertiser_domains"]) == ("creative-1", ["shoes.example"])
    assert (shown["instance"], shown["forced"]) == (name, False)
    assert 0 <= shown["latency_ms"] < AUCTION * 1000
    assert (shown["timeout_ms"], shown["media_type"]) == (AUCTION * 1000, "banner")
    assert {(one["source"], *one["ids"]) for r in records for one in r["eids"]} == {
        ("id.example", redact(EID))
    }


@pytest.mark.usefixtures("unbroken")
def test_an_auction_that_no_page_starts_is_started_once_and_marked(
    sites, browser, scripts, tmp_path
):
    asked: list[tuple[str, str]] = []
    sites.pages.update(
        {
            (EXCHANGE, "/hb"): exchange(asked),
            (NEWS, "/idle"): publisher("pbjs", start=False),
            (NEWS, "/pbjs.js"): Answer(scripts["pbjs"], mime="text/javascript"),
        }
    )
    browser.visit(f"https://{NEWS}/idle", tmp_path)
    records = json.loads((tmp_path / "bids.json").read_text())
    assert len(asked) == len(records) == 12
    assert all(record["forced"] for record in records)
    assert len({record["auction"] for record in records}) == 1
