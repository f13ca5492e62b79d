"""Pages that are shown instead of the one asked for: served on loopback, seen by real Chromium."""

from __future__ import annotations

import pytest
from loopback_sites import NEWS, Answer, entries

from echoaudit.instruments.browser.turned_away import CHALLENGES, judge

PAID = """<script type="application/ld+json">{"@context": "https://schema.org",
    "@graph": [{"@type": "NewsArticle", "isAccessibleForFree": %s,
    "hasPart": {"@type": "WebPageElement", "cssSelector": ".body"}}]}</script>"""
CHALLENGE = """<title>Just a moment...</title><p>Checking your browser</p>
    <script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1"></script>"""
PAGES = {
    "header": (
        Answer("<p>wait</p>", 403, headers=[("cf-mitigated", "challenge")]),
        ("challenge", "a challenge of Cloudflare (HTTP 403)"),
    ),
    "script": (Answer(CHALLENGE, 503), ("challenge", "a challenge of Cloudflare (HTTP 503)")),
    "action": (
        Answer("<p>wait</p>", 202, headers=[("x-amzn-waf-action", "challenge")]),
        ("challenge", "a challenge of AWS WAF (HTTP 202)"),
    ),
    "captcha": (
        Answer("<script src='https://geo.captcha-delivery.com/captcha/'></script>", 403),
        ("challenge", "a challenge of DataDome (HTTP 403)"),
    ),
    "forbidden": (Answer("<p>no</p>", 403), ("blocked", "HTTP 403")),
    "pay": (Answer("<p>pay</p>", 402), ("paywall", "HTTP 402")),
    "paid": (
        Answer("<p>The first lines.</p>" + PAID % "false"),
        ("paywall", "the page says that it is not free to read, and held no auction"),
    ),
    "paid-in-words": (
        Answer("<p>The first lines.</p>" + PAID % '"False"'),
        ("paywall", "the page says that it is not free to read, and held no auction"),
    ),
    "paid-attribute": (
        Answer("<p>Lines.</p><meta itemprop=isAccessibleForFree content=false>"),
        ("paywall", "the page says that it is not free to read, and held no auction"),
    ),
    "empty": (Answer(""), ("empty", "empty response")),
    # Ordinary pages load the same scripts, say that they are free, or say nothing intelligible.
    "ordinary": (Answer(CHALLENGE), ("complete", None)),
    "free": (Answer("<p>All of it.</p>" + PAID % "true"), ("complete", None)),
    "broken": (Answer("<p>All.</p>" + PAID % "fal"), ("complete", None)),
}
AUCTION = """<script>window.pbjs = {que: [], version: "v9.1", libLoaded: true,
    onEvent(name, tell) { if (name === "auctionInit") setTimeout(() => tell({auctionId: "a"})) ;
      if (name === "auctionEnd") setTimeout(() => tell({auctionId: "a"}), 50); },
    getEvents: () => [], getBidResponses: () => ({}), requestBids() {}}</script>"""


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", PAGES)
def test_what_is_shown_instead_of_a_page_has_a_name(sites, browser, tmp_path, name):
    answer, expected = PAGES[name]
    sites.pages = {(NEWS, "/"): answer}
    visit = browser.visit(f"https://{NEWS}/", tmp_path)
    assert (visit.state, visit.reason) == expected


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
def test_a_challenge_that_leads_on_by_itself_is_no_challenge(sites, browser, tmp_path):
    sites.pages = {
        (NEWS, "/"): lambda request: (
            Answer("<p>News of today.</p>")
            if "passed" in request.cookies
            else Answer(
                "<script>document.cookie='passed=1';location.reload()</script>",
                403,
                headers=[("cf-mitigated", "challenge")],
            )
        )
    }
    visit = browser.visit(f"https://{NEWS}/", tmp_path)
    assert (visit.state, visit.reason) == ("complete", None)


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
def test_a_page_that_is_not_free_and_holds_an_auction_is_complete(sites, browser, tmp_path):
    sites.pages = {(NEWS, "/"): Answer(AUCTION + PAID % "false")}
    visit = browser.visit(f"https://{NEWS}/", tmp_path)
    assert (visit.state, dict(visit.prebid)) == ("complete", {"pbjs": "v9.1"})


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
def test_what_robots_txt_does_not_allow_is_left_out_where_it_is_obeyed(
    sites, browser, tmp_path, monkeypatch
):
    own = "robots.test"
    obeying = browser._settings.model_copy(update={"robots": "obey"})
    monkeypatch.setattr(browser, "_settings", obeying)
    rules = Answer("User-agent: *\nDisallow: /*?s=\n", mime="text/plain")
    sites.pages = {(own, "/robots.txt"): rules, (own, "/"): Answer("<p>News.</p>")}
    sites.log.clear()
    left = browser.visit(f"https://{own}/?s=1", tmp_path / "left")
    seen = browser.visit(f"https://{own}/", tmp_path / "seen")
    assert (left.state, left.reason) == ("robots", "robots.txt does not allow the page")
    assert (seen.state, left.requests, entries(tmp_path / "left")) == ("complete", 0, [])
    asked = [one.path for one in sites.log if one.host == own and one.path != "/favicon.ico"]
    assert asked == ["/robots.txt", "/"]
    files = {path.name for path in (tmp_path / "seen").iterdir()} - {"page.png"}
    assert {path.name for path in (tmp_path / "left").iterdir()} == files


@pytest.mark.parametrize("marker", CHALLENGES, ids=lambda marker: marker.maker)
def test_each_marker_finds_its_maker_and_only_with_all_that_it_states(marker):
    value = marker.values[0] if marker.values else "anything"
    headers = {marker.header: value} if marker.header else {}
    requests = [f"https://a.example{marker.request}x"] if marker.request[:2] != "//" else []
    requests += [f"https:{marker.request}x"] if marker.request[:2] == "//" else []
    found = judge(429, headers, requests, 100)
    assert found is not None
    assert found == ("challenge", f"a challenge of {marker.maker} (HTTP 429)")
    if marker.refusing:
        assert judge(200, headers, requests, 100) is None
    assert judge(429, {}, ["https://a.example/"], 100) == ("blocked", "HTTP 429")
