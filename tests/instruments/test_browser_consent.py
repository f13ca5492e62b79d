"""Consent banners for real: the kept rule set in Chromium, on pages with banners that it knows."""

from __future__ import annotations

import json
import tarfile
import time
from io import BytesIO

import pytest
from loopback_sites import NEWS, TRACKER, Answer, entries, settings

from echoaudit import npm
from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import Browser, consent_rules, standing
from echoaudit.instruments.browser.consent import LIMIT, Banner
from echoaudit.instruments.browser.targets import Document

# Markup of three consent managers as their users' pages have it, and words of our own.
CMPS = {
    "cookieconsent3": """<div id=cc-main><div class=cm-wrapper><p>We value your privacy</p>
        <button class=cm__btn data-role=all>Accept all</button>
        <button class=cm__btn data-role=necessary>Reject all</button></div></div>""",
    "Onetrust": """<div id=onetrust-consent-sdk><div id=onetrust-banner-sdk>Cookies
        <button id=onetrust-accept-btn-handler>Accept</button>
        <button id=onetrust-reject-all-handler>Reject</button></div></div>""",
    "Test page CMP": """<div id=privacy-test-page-cmp-test>Cookies
        <button id=accept-all>Accept</button><button id=reject-all>Reject</button></div>""",
}
BUTTONS = "[data-role=all],#onetrust-accept-btn-handler,#accept-all"
SCRIPT = """<script>
  window.results = {results: []};
  for (const button of document.querySelectorAll("button")) button.onclick = () => {
    document.cookie = "choice=" + button.textContent.slice(0, 6) + ";max-age=9999;secure";
    button.parentElement.remove();
    fetch("/chosen?" + button.textContent.slice(0, 6).trim());
  };
  window.seen = Object.keys(window).filter((name) => /consent|echoaudit/i.test(name));
  fetch("/seen?" + window.seen.length);
</script>"""


def page(banner: str) -> Answer:
    return Answer(f"<h1>News</h1><p>Words.</p>{banner}{SCRIPT}")


@pytest.fixture(scope="module", params=["accept", "reject"])
def answering(request, sites, tmp_path_factory):
    """A policy and a browser that follows it."""
    consent_rules.load()
    profile = tmp_path_factory.mktemp("profile")
    choice = settings(sites, consent=request.param, settle=6.0)
    with Browser(choice, profile, extra_arguments=sites.arguments) as browser:
        yield request.param, browser


@pytest.mark.web
@pytest.mark.parametrize("cmp", CMPS)
def test_a_banner_is_answered_as_the_policy_says(sites, answering, tmp_path, cmp):
    policy, browser = answering
    sites.pages = {(NEWS, "/"): page(CMPS[cmp]), (NEWS, "/chosen"): Answer("ok")}
    sites.log.clear()
    visit = browser.visit(f"https://{NEWS}/", tmp_path)
    found = visit.consent
    assert visit.state == "complete"
    assert (found.policy, found.state, found.cmp, found.reason) == (policy, "done", cmp, None)
    assert 0 <= found.seconds < LIMIT
    assert found.rules == f"autoconsent {consent_rules.VERSION}"
    chosen = [seen.path for seen in sites.log if seen.path.startswith("/chosen")]
    assert chosen == ["/chosen?Accept" if policy == "accept" else "/chosen?Reject"]
    # What the page asked for upon the answer is recorded, and it saw nothing of who answered.
    assert f"https://{NEWS}{chosen[0]}" in [e["request"]["url"] for e in entries(tmp_path)]
    assert [s.path for s in sites.log if s.path.startswith("/seen")] == ["/seen?0"]


FRAME = """<button class=sp_choice_type_11>Accept</button>
    <button class=sp_choice_type_13>Reject</button><script>
    for (const button of document.querySelectorAll("button")) button.onclick = () =>
      fetch("/chosen?" + button.textContent).then(() => parent.postMessage("close", "*"));
    </script>"""
OUTER = f"""<div id=sp_message_container_1><iframe width=400 height=300
    src="https://{TRACKER}/index.html?message_id=1"></iframe></div><script>
    onmessage = () => document.querySelector("iframe").remove()</script>"""


@pytest.mark.web
def test_a_banner_in_a_frame_of_another_site_is_answered(sites, answering, tmp_path):
    policy, browser = answering
    sites.pages = {(NEWS, "/"): Answer(OUTER), (TRACKER, "/index.html"): Answer(FRAME),
                   (TRACKER, "/chosen"): Answer("ok")}  # fmt: skip
    sites.log.clear()
    found = browser.visit(f"https://{NEWS}/", tmp_path).consent
    assert (found.state, found.cmp) == ("done", "Sourcepoint-frame")
    chosen = [seen.path for seen in sites.log if seen.path.startswith("/chosen")]
    assert chosen == ["/chosen?Accept" if policy == "accept" else "/chosen?Reject"]


RELOADS = """<script>onload = () => {
    const banner = document.querySelector("#onetrust-banner-sdk");
    if (document.cookie.includes("told=")) banner.remove();
    for (const button of document.querySelectorAll("button")) button.onclick = () => {
      document.cookie = "told=1;secure"; location.reload(); };
    }</script>"""


@pytest.mark.web
def test_a_page_that_loads_anew_upon_the_answer_was_answered(sites, answering, tmp_path):
    _, browser = answering
    sites.pages = {(NEWS, "/"): Answer(CMPS["Onetrust"] + RELOADS)}
    sites.log.clear()
    visit = browser.visit(f"https://{NEWS}/", tmp_path / "1")
    assert (visit.state, visit.consent.state, visit.consent.cmp) == ("complete", "done", "Onetrust")
    assert [seen.path for seen in sites.log if seen.path == "/"] == ["/", "/"]
    # The choice is in the profile: the next visit meets no banner.
    visit = browser.visit(f"https://{NEWS}/", tmp_path / "2")
    assert (visit.consent.state, visit.consent.cmp, visit.consent.clicks) == ("none", None, 0)


@pytest.mark.web
def test_a_banner_without_the_button_for_it_is_a_failure_and_the_visit_goes_on(
    sites, answering, tmp_path
):
    policy, browser = answering
    banner = "<div id=onetrust-banner-sdk>Cookies</div>"
    sites.pages = {(NEWS, "/"): Answer(banner)}
    visit = browser.visit(f"https://{NEWS}/", tmp_path)
    found = visit.consent
    assert (visit.state, found.state, found.cmp) == ("complete", "failed", "Onetrust")
    assert (
        found.reason
        == {
            "accept": "the rule of Onetrust could not accept",
            "reject": "the rule of Onetrust pressed its buttons, the banner stayed",
        }[policy]
    )


HOME_MADE = """<div style="position:fixed;bottom:0;left:0;right:0;height:200px;background:#fff">
    <p>We use cookies and similar technologies to personalise ads. Privacy policy.</p>
    <button onclick="fetch('/chosen?Accept');this.parentElement.remove()">Accept all</button>
    <button onclick="fetch('/chosen?Reject');this.parentElement.remove()">Reject all</button>
    </div>"""


@pytest.mark.web
def test_of_unknown_banners_only_a_button_that_rejects_is_pressed(sites, answering, tmp_path):
    policy, browser = answering
    sites.pages = {(NEWS, "/"): Answer(f"<p>News.</p>{HOME_MADE}"), (NEWS, "/chosen"): Answer("")}
    sites.log.clear()
    found = browser.visit(f"https://{NEWS}/", tmp_path).consent
    chosen = [seen.path for seen in sites.log if seen.path.startswith("/chosen")]
    if policy == "reject":
        assert (found.state, found.cmp) == ("done", "HEURISTIC-REJECT")
        assert chosen == ["/chosen?Reject"]
    else:
        assert (found.state, found.cmp, chosen) == ("none", None, [])


WATCHFUL = """<script>
    let changes = 0;
    const before = Object.keys(window).length;
    const all = {subtree: true, childList: true, attributes: true, characterData: true};
    onload = () => setTimeout(() =>
      new MutationObserver((seen) => { changes += seen.length; }).observe(document, all));
    onpagehide = () => navigator.sendBeacon(
      "/left?" + [changes, Object.keys(window).length - before, document.activeElement.tagName]);
    </script>"""


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
def test_a_banner_that_is_ignored_is_named_and_left_standing_unseen_by_the_page(
    sites, browser, tmp_path
):
    own = "ignoring.test"  # no other test's pages have left anything there
    banner = page(CMPS["cookieconsent3"]).body + WATCHFUL
    sites.pages = {(own, "/"): Answer(banner), (own, "/seen"): Answer(""),
                   (own, "/left"): Answer("")}  # fmt: skip
    sites.log.clear()
    found = browser.visit(f"https://{own}/", tmp_path).consent
    assert (found.policy, found.state, found.cmp) == ("ignore", "ignored", "cookieconsent3")
    assert (found.clicks, found.rules) == (0, consent_rules.NAME)
    assert json.loads((tmp_path / "storage.json").read_text()) == []
    assert await_left(sites) == "/left?0,0,BODY"
    assert not [seen for seen in sites.log if seen.path.startswith("/chosen")]


def await_left(sites):
    """What the page told when it was left."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for seen in list(sites.log):
            if seen.path.startswith("/left"):
                return seen.path
        time.sleep(0.05)
    return None


@pytest.mark.web
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("body", "state", "cmp"),
    [
        (OUTER, "ignored", "Sourcepoint-frame"),
        (f"<iframe src=https://{TRACKER}/piano></iframe>", "ignored", "piano.io"),
        ("<p>Words.</p><div id=CybotCookiebotDialog>Cookies</div>", "ignored", "Cybotcookiebot"),
        ("<p>Words.</p><div id=onetrust-banner-sdk hidden>Cookies</div>", "none", "Onetrust"),
        ("<p>Words.</p>", "none", None),
    ],
)
def test_what_stands_is_told_from_what_does_not(sites, browser, tmp_path, body, state, cmp):
    sites.pages = {
        (NEWS, "/"): Answer(body),
        (TRACKER, "/index.html"): Answer(FRAME),
        (TRACKER, "/piano"): Answer("<div id=piano-cookie_banner>Cookies</div>"),
    }
    found = browser.visit(f"https://{NEWS}/", tmp_path).consent
    assert (found.state, found.cmp) == (state, cmp)


# --- the rule set -----------------------------------------------------------------------------


def packed(**texts: str) -> bytes:
    data = BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, BytesIO(text.encode()))
    return data.getvalue()


def test_library_licence_and_rules_come_out_of_the_package_and_nothing_else():
    found = consent_rules.unpack(
        packed(
            **{
                consent_rules.LIBRARY: "library()",
                consent_rules.LICENCE: "MPL",
                "package/rules/generated/b.json": '{"name": "b"}',
                "package/rules/autoconsent/a.json": '{"name": "a"}',
                "package/rules/autoconsent/readme.md": "words",
                "package/other.js": "other()",
            }
        )
    )
    rules = [{"name": "a"}, {"name": "b"}]
    assert found == {"licence": "MPL", "library": "library()", "rules": rules}


def test_rules_that_give_no_answer_are_left_out():
    steps = [{"click": "#x"}]
    rules = [
        {"name": "both", "optIn": steps, "optOut": steps, "prehideSelectors": ["#x"]},
        {"name": "no-accept", "optIn": [], "optOut": steps},
        {"name": "hides", "optIn": steps, "optOut": steps, "cosmetic": True},
        {"name": "framed", "optIn": steps, "optOut": steps, "runContext": {"frame": True}},
    ]
    names = lambda *a, **k: [r["name"] for r in consent_rules.usable(rules, *a, **k)]  # noqa: E731
    assert names("accept") == ["both", "framed"]
    assert names("reject") == ["both", "no-accept", "framed"]
    assert names("accept", framed=True) == ["framed"]
    assert "prehideSelectors" not in consent_rules.usable(rules, "accept")[0]


def test_without_the_rule_set_one_line_says_how_to_get_it(tmp_path, monkeypatch, sites):
    monkeypatch.setattr(npm, "kept_at", lambda name: tmp_path / name)
    with pytest.raises(Unavailable, match="rules for consent banners") as caught:
        consent_rules.load()
    assert caught.value.fix == (
        "python -m echoaudit.instruments.browser.consent_rules, or set browser.consent to ignore"
    )


def test_what_is_only_looked_for_is_neither_worked_nor_asked_for():
    sight, asked = {"visible": "#x"}, {"eval": "EVAL_X"}
    rule = {
        "name": "a", "runContext": {"frame": True}, "optIn": [{"click": "#x"}],
        "detectCmp": [asked, {"exists": "#x"}, {"any": [asked, sight]}], "detectPopup": [sight],
    }  # fmt: skip
    found, own = standing.seeing([rule, {"name": "b", "cosmetic": True, "detectCmp": [sight]}])
    assert found == {
        "name": "a", "runContext": {"frame": True},
        "detectCmp": [{"exists": "#x"}, {"any": [sight]}], "detectPopup": [sight],
    }  # fmt: skip
    assert own["name"] == "Cybotcookiebot"


def test_every_kept_rule_still_looks_for_something_when_it_asks_nothing():
    for rule in standing.seeing(consent_rules.load().rules):
        assert rule["detectCmp"]
        assert rule["detectPopup"]
        assert '"eval"' not in json.dumps(rule)
        assert not any(step.get("any") == [] for step in rule["detectCmp"] + rule["detectPopup"])


def test_a_document_gets_the_rules_that_are_meant_for_it():
    rules = [
        {"name": "all"},
        {"name": "site", "runContext": {"urlPattern": "^https://x[.]test/"}},
        {"name": "frame", "runContext": {"main": False, "frame": True}},
    ]
    names = lambda url, **k: [r["name"] for r in standing.fitting(rules, url, **k)]  # noqa: E731
    assert names("https://x.test/", framed=False) == ["all", "site"]
    assert names("https://y.test/", framed=False) == ["all"]
    assert names("https://x.test/", framed=True) == ["frame"]


def test_a_page_that_could_not_be_looked_at_is_unknown():
    page, frame = Document("s", "tab", 1), Document("t", "inner", 2)
    nothing = {"looked": True, "cmps": [], "popup": None}
    assert standing.outcome({page: nothing}, "tab").state == "none"
    for seen in ({}, {frame: nothing}, {page: {**nothing, "looked": False}}):
        assert standing.outcome(seen, "tab") == standing.UNSEEN
    stands = {"looked": True, "cmps": ["x"], "popup": "x"}
    assert standing.outcome({frame: stands}, "tab").cmp == "x"


def test_without_the_rule_set_nobody_can_tell_and_the_visit_goes_on(monkeypatch, tmp_path):
    standing.kept.cache_clear()
    monkeypatch.setattr(npm, "kept_at", lambda name: tmp_path / name)
    look = standing.Look(None, "tab", "")
    look.begin()
    found = look.end()
    assert (found.state, found.reason[:31]) == ("unknown", "the rules for consent banners (")


# --- what the library tells -------------------------------------------------------------------

OWN = ("session", 7)


def told(*messages: dict, answer: str = "accept") -> Banner:
    banner = Banner(answer)
    for message in messages:
        banner.take(OWN, json.dumps(message))
    return banner


def test_a_page_without_banner_is_looked_at_twice_and_until_it_is_calm():
    once = told({"type": "report", "main": True, "lifecycle": "started", "attempts": 1})
    twice = told({"type": "report", "main": True, "lifecycle": "started", "attempts": 2})
    assert not once.is_over(quiet=True, late=False)
    assert not twice.is_over(quiet=False, late=False)
    assert twice.is_over(quiet=True, late=False)
    assert once.is_over(quiet=False, late=True)
    assert twice.outcome().state == "none"


def test_a_consent_manager_that_shows_no_banner_is_named():
    found = told({"type": "cmpDetected", "cmp": "quantcast"}).outcome()
    assert (found.state, found.cmp) == ("none", "quantcast")


def test_a_banner_is_waited_for_until_it_is_answered():
    popup = {"type": "popupFound", "cmp": "x"}
    banner = told(popup)
    assert not banner.is_over(quiet=True, late=True)
    assert banner.outcome().reason == "its banner was not answered within 20 s"
    banner.take(OWN, json.dumps({"type": "autoconsentDone", "cmp": "x", "totalClicks": 2}))
    assert banner.is_over(quiet=False, late=False)
    assert (banner.outcome().state, banner.outcome().clicks) == ("done", 2)


def test_a_first_step_alone_is_no_answer():
    banner = told({"type": "popupFound", "cmp": "x"}, {"type": "optInResult", "result": True})
    assert banner.is_over(quiet=False, late=True)
    assert banner.outcome().state == "failed"


def test_the_rules_own_test_is_asked_for_and_kept():
    banner = told({"type": "popupFound", "cmp": "x"}, answer="reject")
    result = {"type": "optOutResult", "cmp": "x", "result": True, "scheduleSelfTest": True}
    assert banner.take(OWN, json.dumps(result)) is None
    done = json.dumps({"type": "autoconsentDone", "cmp": "x"})
    assert banner.take(OWN, done) == {"type": "selfTest"}
    banner.take(OWN, json.dumps({"type": "selfTestResult", "result": False}))
    assert (banner.outcome().state, banner.outcome().confirmed) == ("done", False)


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"type": "report", "attempts": "many"}'])
def test_what_is_no_message_changes_nothing(payload):
    banner = Banner("accept")
    assert banner.take(OWN, payload) is None
    assert banner.outcome() == Banner("accept").outcome()
