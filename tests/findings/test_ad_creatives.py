"""Ads on pages: whose they are, and that a persona's own are told from those by chance."""

from __future__ import annotations

import pytest

from echoaudit.findings.ads import ad_channels_table, ad_creatives_table
from echoaudit.findings.steps import STEPS
from echoaudit.outcomes import ads, bids

SIZES = {"fashion": 4, "vanilla": 6}
ACCOUNTS = [(f"{p}-{n + 1}", p) for p, size in SIZES.items() for n in range(size)]
STUDY = {
    "personas": [
        {"persona": "fashion", "interest": "Fashion & Style", "catalogue": {"skills": []}},
        {"persona": "vanilla", "interest": None, "catalogue": None},
    ]
}
VISITS = STEPS.conform(
    [{**dict.fromkeys(STEPS.names), "step": f"{account}/visits/a1", "kind": "visit",
      "account": account, "persona": persona, "phase": "after", "state": "complete"}
     for account, persona in ACCOUNTS]
)  # fmt: skip


def shown(creative, accounts, text="", phase="after", **more):
    usual = {"site": "news", "channel": "publisher", "index": 0, "bidder": "ix", "party": "",
             "advertiser": f"{creative}.example", "landing": ""}  # fmt: skip
    return [
        {**dict.fromkeys(ads.TABLE.names), **usual, "creative": creative, "text": text,
         "account": account, "persona": account.rpartition("-")[0], "phase": phase,
         "visit": f"{account}/visits/{phase}", **more}
        for account in accounts
    ]  # fmt: skip


FASHION, ALL = [a for a, p in ACCOUNTS if p == "fashion"], [a for a, _ in ACCOUNTS]
TABLE = ads.TABLE.conform(
    shown("coat", FASHION, "A winter coat and a dress")
    + shown("bank", ALL, "Save with us")
    + shown("bank", ALL[:2], "Save with us", phase="before")
    + shown("echo", ALL[-2:], party="platform", channel="platform")
    + shown("once", FASHION[:1])
)


@pytest.fixture(scope="module")
def creatives():
    return ad_creatives_table(TABLE, VISITS, STUDY).set_index("creative")


def test_an_ad_of_one_persona_only_is_its_own_when_chance_is_unlikely(creatives):
    coat = creatives.loc["coat"]
    assert (coat["exclusive_to"], bool(coat["exclusive"])) == ("fashion", True)
    assert coat["p"] == pytest.approx(1 / 210)
    assert coat["personas"] == "fashion 4 of 4"
    assert list(creatives.index[creatives["exclusive"]]) == ["coat"]


def test_an_ad_seen_once_or_by_controls_is_nobodys_own(creatives):
    assert not creatives.loc["once", "exclusive_to"]
    assert creatives.loc["echo", "exclusive_to"] == "vanilla"
    assert not creatives.loc["echo", "exclusive"]


def test_earlier_impressions_and_interests_are_told(creatives):
    assert creatives.loc["bank", ["impressions", "accounts_before"]].tolist() == [10, 2]
    assert creatives.loc["coat", "interests"] == "Fashion & Style"
    assert creatives.loc["bank", "interests"] == ""


def test_channels_are_counted_apart(creatives):
    none = bids.TABLE.empty()
    table = ad_channels_table(TABLE, creatives.reset_index(), none, STUDY)
    rows = table.set_index(["persona", "phase", "channel"])
    after = rows.loc["fashion", "after", "publisher"]
    assert (after["ads"], after["fitting_ads"], after["exclusive"]) == (9, 4, 1)
    assert rows.loc[("vanilla", "after", "platform"), "platform_ads"] == 2
    assert rows.loc[("vanilla", "after", "publisher"), "fitting_ads"] == 0


def test_no_ads_are_empty_tables():
    empty = ads.TABLE.empty()
    made = ad_creatives_table(empty, VISITS, STUDY)
    assert made.empty
    assert ad_channels_table(empty, made, bids.TABLE.empty(), STUDY).empty
