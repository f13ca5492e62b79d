"""Ads on the shop's own home page: chosen by what the platform knows, and found as its channel."""

from __future__ import annotations

import pytest
from cloud_kit import FASHION, running_cloud
from test_store_pages import browser_of

from echoaudit.errors import BadInput
from echoaudit.lab.exchange import shop_ad
from echoaudit.lab.score import score_shop_ads
from echoaudit.lab.world import find_world, load_world
from echoaudit.lab.world_settings import overlay
from echoaudit.outcomes import ads
from echoaudit.recording import Recording, write_json
from echoaudit.study import load_catalogue
from echoaudit.study.models import SignIn

WORLD = load_world("paper")
PLATFORM = WORLD.file.platform
SLOTS = [row.slot for row in PLATFORM.shop_slots]
FASHIONABLE = {ad.ad for ad in PLATFORM.shop_ads if ad.interest == "Fashion & Style"}
GENERAL = {ad.ad for ad in PLATFORM.shop_ads if ad.interest is None}


def chosen(world, interests):
    return {shop_ad(world, "a-1", slot, turn, interests).ad for slot in SLOTS for turn in range(40)}


def test_the_platform_chooses_by_what_it_knows_of_the_account():
    assert chosen(WORLD, ["Fashion & Style"]) == FASHIONABLE
    assert chosen(WORLD, []) == chosen(WORLD, ["Nothing of the kind"]) == GENERAL
    assert chosen(load_world("null"), ["Fashion & Style"]) <= GENERAL


def test_slots_without_an_ad_for_everybody_are_refused(tmp_path):
    text = find_world("paper").read_text(encoding="utf-8")
    for name in sorted(GENERAL):
        text = "".join(
            line for line in text.splitlines(keepends=True) if f"{{ad: {name}, " not in line
        )
    file = tmp_path / "w.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match="slots in the shop without an ad that anybody"):
        load_world(file)


@pytest.mark.web
def test_a_browser_finds_each_ad_of_the_platform_as_its_channel(tmp_path):
    """One account has told its Echo of fashion, the other nothing; both visit the shop's page."""
    plan = {"waves": []}
    recording = Recording.create(
        tmp_path / "recording",
        study_files={"personas/fashion.yaml": b"persona: fashion\n"},
        study_hash="5" * 64,
        study={"study": "shop"},
        config={},
        plan=plan,
        tools={},
    )
    skill = load_catalogue(FASHION).skills[0]
    windows = []
    with recording, running_cloud("paper", tmp_path / "state") as cloud:
        form = SignIn.model_validate(overlay(WORLD, cloud.state)["sign_in"], strict=False)
        cloud.say(PLATFORM.voice, "fashion-1", f"enable:{skill.id}")
        cloud.say(PLATFORM.voice, "fashion-1", f"open:{skill.id}")
        for account in ("fashion-1", "vanilla-1"):
            persona = account.partition("-")[0]
            with browser_of(cloud, tmp_path / account) as browser:
                secret = cloud.accounts[account]
                assert browser.sign_in(form, secret.username, secret.password).state == "complete"
                for number in (1, 2):
                    id_ = f"{account}/visits/a{number}-shop"
                    with recording.step(id_, "visit", persona=persona, phase="after") as folder:
                        visit = browser.visit(f"https://{PLATFORM.shop}/", folder)
                        about = {"account": account, "persona": persona, "site": "shop",
                                 "phase": "after", "round": number, "started": visit.started,
                                 "ended": visit.ended, "state": visit.state,
                                 "url": f"https://{PLATFORM.shop}/"}  # fmt: skip
                        write_json(folder / "visit.json", about)
                    windows.append((id_, account, visit.started, visit.ended))
        log = cloud.log("shop_ads")
    table = ads.derive(Recording.open(tmp_path / "recording"))
    found = table.to_dict("records")
    score = score_shop_ads(found, log, windows)
    assert (score.found, score.planted, score.right) == (8, 8, 8), score
    shown = {who: set(part["text"]) for who, part in table.groupby("account")}
    texts = {ad.ad: ad.text for ad in PLATFORM.shop_ads}
    assert shown["fashion-1"] <= {texts[name] for name in FASHIONABLE}
    assert shown["vanilla-1"] <= {texts[name] for name in GENERAL}
    assert set(table["channel"]) == {"platform"}
    own = table[table["advertiser"] == "amazon.com"]
    assert set(own["party"]) <= {"platform"}
    other = [{**row, "text": "Something else"} for row in found[:1]]
    worse = score_shop_ads([*found[1:], *other], log, windows)
    assert (len(worse.wrong), len(worse.missed)) == (1, 1)
