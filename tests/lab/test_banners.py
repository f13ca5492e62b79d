"""Consent banners from server to score: a world that withholds, and our browser that answers."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from cloud_kit import running_cloud

from echoaudit.instruments.browser import Browser
from echoaudit.lab.score import score_consents
from echoaudit.lab.world import find_world
from echoaudit.study.models import BrowserSettings

SITE = "harbor-gazette"


def banner_world(folder, cmp):
    """The paper world with one publisher, which has a banner."""
    text = find_world("paper").read_text()
    (folder / "paper.yaml").write_text(text)
    paper = yaml.safe_load(text)
    (publisher,) = [one for one in paper["publishers"] if one["site"] == SITE]
    world = {
        "based_on": "paper.yaml",
        "world": "banners",
        "catalogues": [],
        "publishers": [{**publisher, "consent": cmp}],
    }
    path = folder / "banners.yaml"
    path.write_text(yaml.safe_dump(world))
    return path, f"https://{publisher['host']}/"


def visits(cloud, url, folder, policy, number):
    """Some visits by one browser: the visit and its files, each."""
    settings = BrowserSettings(
        trusted_authority=cloud.state / "ca" / "ca.pem",
        page_timeout=60.0,
        settle=8.0,
        consent=policy,
    )
    names = (
        f"--host-resolver-rules=MAP *:443 127.0.0.1:{cloud.port},"
        "EXCLUDE 127.0.0.1,EXCLUDE localhost,MAP * ~NOTFOUND",
    )
    with Browser(settings, folder / "profile", extra_arguments=names) as browser:
        for turn in range(number):
            place = folder / str(turn)
            yield browser.visit(url, place), place


def read(place, name):
    return json.loads((place / name).read_text())


def scored(cloud, found):
    """The score of visits, as ``lab score`` makes it of a recording."""
    steps = [
        {
            "step": str(place),
            "consent": visit.consent.state,
            "consent_policy": visit.consent.policy,
            "cmp": visit.consent.cmp,
        }
        for visit, place in found
    ]
    views = {
        view: str(place)
        for _, place in found
        for entry in read(place, "page.har")["log"]["entries"]
        for view in re.findall(r"[?&]view=([0-9a-f]{16})", entry["request"]["url"])
    }
    return score_consents(steps, cloud.log("consents"), views)


@pytest.mark.web
@pytest.mark.parametrize(
    ("policy", "cmp"),
    [("accept", "onetrust"), ("reject", "cookieconsent3"), ("ignore", "quantcast")],
)
def test_bids_are_withheld_until_a_banner_is_accepted(tmp_path, policy, cmp):
    world, url = banner_world(tmp_path, cmp)
    with running_cloud(world, tmp_path / "state") as cloud:
        found = list(visits(cloud, url, tmp_path, policy, 2))
        logged = [row["what"] for row in cloud.log("consents")]
        asked = cloud.log("bids")
        score = scored(cloud, found)
    (first, one), (second, two) = found
    assert {first.state, second.state} == {"complete"}
    cookies = {cookie["name"] for cookie in read(two, "cookies.json")["after"]}
    if policy == "accept":
        assert (first.consent.state, first.consent.cmp) == ("done", "Onetrust")
        assert logged == ["shown", "accept"]
        # The bids of both visits: those upon the answer, and those of a page that knows it.
        assert first.bids > 0
        assert second.bids > 0
        assert len(read(one, "bids.json")) + len(read(two, "bids.json")) == len(asked)
        assert second.consent.state == "none"
    elif policy == "reject":
        assert (first.consent.state, first.consent.cmp) == ("done", "cookieconsent3")
        assert logged == ["shown", "reject"]
        assert (first.bids, second.bids, asked) == (0, 0, [])
        assert cookies == {"consent"}
        assert second.consent.state == "none"
    else:
        assert {first.consent.state, second.consent.state} == {"ignored"}
        assert first.consent.cmp == second.consent.cmp == "quantcast"
        assert logged == ["shown", "shown"]
        assert (first.bids, second.bids, asked, cookies) == (0, 0, [], set())
    assert score.perfect
    assert score.planted == 2


def step(consent, policy="reject", cmp=None):
    return {"step": "v", "consent": consent, "consent_policy": policy, "cmp": cmp}


@pytest.mark.parametrize(
    ("found", "log", "wrong", "missed"),
    [
        (step("none"), ["shown"], (), ("v shown",)),
        (step("failed"), ["shown"], (), ()),
        (step("done"), ["shown"], ("v reject",), ()),
        (step("failed"), ["shown", "reject"], (), ("v reject",)),
        (step("done", "accept"), ["shown", "reject"], ("v accept",), ("v reject",)),
        (step("done"), [], ("v reject", "v shown"), ()),
        (step("ignored", "ignore"), ["shown"], (), ()),
        (step("ignored", "ignore"), ["shown", "accept"], (), ("v accept",)),
        (step("ignored", "ignore", "x"), [], ("v shown",), ()),
        (step("unknown", "ignore"), ["shown"], (), ()),
        (step("none", "ignore"), ["shown"], (), ("v shown",)),
    ],
)
def test_the_score_knows_what_was_shown_and_answered(found, log, wrong, missed):
    rows = [{"view": "1", "what": what} for what in log]
    score = score_consents([found], [*rows, {"view": "2", "what": "accept"}], {"1": "v"})
    assert (score.wrong, score.missed) == (wrong, missed)
