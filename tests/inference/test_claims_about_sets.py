"""Claims about hosts, syncs and ads; families of claims; claims stated later; equivalence."""

import json

import pandas as pd
import pytest
from synthetic import accounts, make_bids, make_delivery

from echoaudit.inference import conclude_all
from echoaudit.study.models import Claim

BASE = {"treated": "fashion", "control": "vanilla"}


def tables(sets, treated=3, control=6, missing=()):
    """Facts in which account number n had ``sets[n]``: hosts, pairs, ads alike."""
    who = accounts(treated, control)
    rows = [
        {"account": account, "persona": persona, "thing": thing}
        for (account, persona), own in zip(who, sets, strict=True)
        for thing in sorted(own)
        if account not in missing
    ]
    things = pd.DataFrame(rows, columns=["account", "persona", "thing"])
    seen = pd.DataFrame([{"account": a, "persona": p} for a, p in who if a not in missing])
    return {
        "bids": make_bids(1, treated=treated, control=control, sites=1, slots=1, before=1, after=1),
        "delivery": make_delivery(treated, control),
        "endpoints": things.assign(
            host=things["thing"], contacted=True, role="tracking", organisation=things["thing"]
        ),
        "captures": seen.assign(status="complete"),
        "syncs": things.assign(source=things["thing"], target="to", phase="after"),
        "steps": seen.assign(kind="visit", state="complete", phase="after", round=1),
        "ads": things.assign(creative=things["thing"], advertiser=things["thing"], phase="after"),
        "audio_ads": things.assign(segment=things["thing"], creative=things["thing"]),
        "audio_segments": seen.assign(segment=seen["account"] + "/s@0", at=0.0, seconds=3600.0),
        "interests": things.assign(
            interest=things["thing"], list="platform", phase="after", latest=True
        ),
        "data_requests": seen.assign(phase="after", latest=True, state="answered"),
    }


def one(claim, facts):
    return conclude_all([Claim(claim="c", **{**BASE, **claim})], facts)[0]


OWN = [frozenset("xyz") | frozenset("abcd"[: n + 1]) for n in range(3)] + [
    frozenset("abcd"[: n % 3 + 1]) for n in range(6)
]
ALIKE = [frozenset("abcd"[: n % 3 + 1]) for n in range(9)]
SET_OUTCOMES = [
    "endpoints", "trackers", "organisations", "syncs", "creatives", "ads", "advertisers",
    "interests",
]  # fmt: skip


@pytest.mark.parametrize("outcome", SET_OUTCOMES)
@pytest.mark.parametrize("measure", ["count", "distance", "exclusive", "accounts"])
def test_sets_of_their_own_are_supported_and_like_sets_are_not(outcome, measure):
    claim = {"outcome": outcome, "measure": measure}
    if measure == "distance":
        claim["direction"] = "different"
    if measure == "accounts":
        claim["item"] = "x to to" if outcome == "syncs" else "x"
    found, null = one(claim, tables(OWN)), one(claim, tables(ALIKE))
    assert found.state == "supported", found.sentence
    assert found.test.smallest_p == pytest.approx(1 / 84, rel=1e-5)
    assert found.test.p <= 0.025
    assert "3 against 6 accounts" in found.sentence
    assert null.state != "supported"
    if measure == "exclusive":
        assert len(found.sets.own) == found.sets.own_count == 3
    if measure == "accounts":
        assert (found.sets.treated_with, found.sets.control_with) == (3, 0)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["sets"]["things"] > 0


def test_ads_are_counted_per_hour():
    facts = tables(ALIKE)
    usual = one({"outcome": "audio-ads", "measure": "count"}, facts)
    longer = facts["audio_segments"].copy()
    longer.loc[longer["account"].str.startswith("fashion"), "seconds"] = 7200.0
    found = one({"outcome": "audio-ads", "measure": "count"}, facts | {"audio_segments": longer})
    assert found.effect.ratio == pytest.approx(usual.effect.ratio / 2, rel=1e-5)


def test_an_account_that_was_not_observed_is_no_zero():
    claim = {"outcome": "endpoints", "measure": "count"}
    found = one(claim, tables(OWN, missing=("fashion-1", "vanilla-2")))
    assert found.treated.unscored == ("fashion-1",)
    assert found.control.unscored == ("vanilla-2",)
    few = one(claim, tables(OWN, missing=("fashion-1", "fashion-2")))
    assert few.reason == "only 1 of 3 accounts of fashion were observed"


def test_counts_without_spread_are_never_certain_with_few_accounts():
    """A t test would call one more host than four controls that all have 5 certain."""
    hosts = [frozenset("abcdef")] + [frozenset("abcde")] * 4
    claim = {"outcome": "endpoints", "measure": "count"}
    found = one(claim, tables(hosts, treated=1, control=4))
    assert found.state == "insufficient"
    assert found.reason.startswith("unreplicated: 1 account of fashion and 4 accounts of vanilla")
    assert "19 accounts of vanilla" in found.needed


@pytest.mark.parametrize("measure", ["count", "distance", "exclusive", "accounts"])
def test_one_account_an_arm_is_unreplicated(measure):
    direction = "different" if measure == "distance" else "higher"
    claim = {"outcome": "endpoints", "measure": measure, "direction": direction}
    found = one(claim, tables([{"a"}, {"b"}], treated=1, control=1))
    assert found.state == "insufficient"
    assert found.reason.startswith("unreplicated: 1 account of fashion and 1")


def test_requests_do_not_count():
    facts = tables(ALIKE)
    many = pd.concat([facts["syncs"]] + [facts["syncs"][:5]] * 50)
    claim = {"outcome": "syncs", "measure": "count", "direction": "different"}
    assert one(claim, facts | {"syncs": many}) == one(claim, facts)


def test_a_baseline_of_syncs_is_subtracted():
    facts = tables(OWN)
    before = facts["syncs"].assign(phase="before")
    steps = pd.concat([facts["steps"], facts["steps"].assign(phase="before")])
    with_before = facts | {"syncs": pd.concat([facts["syncs"], before]), "steps": steps}
    claim = {"outcome": "syncs", "measure": "count"}
    found = one(claim, with_before)
    assert found.effect.ratio == 1
    assert (found.rounds_before, found.rounds_after) == (1, 1)
    assert one(claim, facts).effect.ratio > 1.5


@pytest.mark.parametrize("measure", ["count", "distance", "exclusive", "accounts"])
def test_controls_of_two_kinds_are_noticed_in_sets_too_if_there_are_enough(measure):
    direction = "different" if measure == "distance" else "higher"
    claim = {"outcome": "endpoints", "measure": measure, "direction": direction}
    claim["item"] = "p" if measure == "accounts" else None
    kinds = [*OWN[:3], *([{"a"}] * 6), *([{"a", *"pqrs"}] * 6)]
    found = one(claim, tables(kinds, control=12))
    assert (found.state, found.flawed) == ("insufficient", True)
    assert "the first accounts of vanilla from the last ones" in found.reason
    few = one(claim, tables(OWN))
    assert few.diagnostics.controls.passed is None
    assert "controls" not in (few.reason or "")


def test_nothing_anywhere_is_insufficient():
    found = one({"outcome": "trackers", "measure": "exclusive"}, tables([frozenset()] * 9))
    assert found.state == "insufficient"
    assert "no account of either persona had any advertising or tracking hosts" in found.reason


def test_equivalence_needs_close_arms_and_enough_accounts():
    claim = Claim(claim="alike", **BASE, direction="equivalent", smallest_effect=1.25)
    many = {"treated": 10, "control": 10}

    def judge(**design):
        facts = {
            "bids": make_bids(3, **design),
            "delivery": make_delivery(design["treated"], design["control"]),
        }
        return conclude_all([claim], facts)[0]

    alike = judge(account_sd=0.05, **many)
    assert (alike.state, alike.test.method) == ("supported", "tost")
    assert "to be within 0.80 and 1.25 times" in alike.sentence
    apart = judge(account_sd=0.05, lift=1.6, **many)
    assert apart.state == "not supported"
    few = judge(account_sd=0.3, treated=3, control=6)
    assert few.state == "insufficient"
    assert "within a ratio of 1.25" in few.reason


def test_counts_are_never_shown_alike():
    """Two accounts against two with the same count have no spread: a t test would be certain."""
    facts = tables([frozenset("ab")] * 4, treated=2, control=2)
    claim = {"outcome": "endpoints", "measure": "count", "direction": "equivalent"}
    found = one(claim, facts)
    assert (found.state, found.flawed, found.test.p) == ("insufficient", True, 1.0)
    assert found.reason.startswith("counts are too coarse")
    assert one({**claim, "direction": "different"}, facts).test.equivalence_p is None


def test_accounts_without_any_spread_are_not_shown_alike():
    bids = make_bids(1, treated=2, control=2, bid_share=1.0)
    claim = Claim(claim="c", **BASE, measure="rate", direction="equivalent")
    (found,) = conclude_all([claim], {"bids": bids, "delivery": make_delivery(2, 2)})
    assert (found.state, found.effect.ratio, found.test.p) == ("insufficient", 1.0, 1.0)
    assert "do not differ at all" in found.reason


def test_families_are_corrected_apart():
    facts = {"bids": make_bids(6, lift=1.6), "delivery": make_delivery()}
    main = Claim(claim="main", **BASE)
    questions = [
        Claim(claim=m, measure=m, **BASE, family="questions", correction="bh", exploratory=True)
        for m in ("rate", "maximum", "value-per-opportunity")
    ]
    alone = conclude_all([main], facts)[0]
    first, *others = conclude_all([main, *questions], facts)
    assert first == alone
    assert {(c.test.family, c.test.correction, c.exploratory) for c in others} == {(3, "bh", True)}
    assert "Benjamini and Hochberg over 3 claims" in others[0].sentence


def test_claims_stated_later_are_exploratory_and_take_nothing_from_the_others():
    facts = {"bids": make_bids(6, lift=1.6), "delivery": make_delivery()}
    main, late = Claim(claim="main", **BASE), Claim(claim="late", measure="rate", **BASE)
    before = conclude_all([main], facts)
    first, second = conclude_all([main], facts, later=[late])
    assert [first] == before
    assert (first.exploratory, first.registered) == (False, True)
    assert (second.exploratory, second.registered, second.test.family) == (True, False, 1)


def asked_before(facts, filled):
    """The same where accounts were also asked about before: account to what it had then."""
    told, asked = facts["interests"], facts["data_requests"]
    rows = [
        {**told.iloc[0].to_dict(), "account": account, "interest": thing, "phase": "before"}
        for account, own in filled.items() for thing in own
    ]  # fmt: skip
    earlier = asked[asked["account"].isin(filled)].assign(phase="before")
    return {
        **facts,
        "interests": pd.concat([told, pd.DataFrame(rows, columns=told.columns)]),
        "data_requests": pd.concat([asked, earlier]),
    }


def test_interests_that_accounts_had_before_are_not_compared():
    facts = tables(OWN)
    claim = {"outcome": "interests", "measure": "exclusive"}
    assert one(claim, facts).state == "supported"
    everybody = {account: "abcdxyz" for account, _ in accounts(3, 6)}
    found = one(claim, asked_before(facts, everybody))
    assert found.state == "insufficient" and "any interests" in found.reason
    some = {account: "ab" for account, _ in accounts(3, 6)}
    assert one(claim, asked_before(facts, some)).sets.own == ("x", "y", "z")


def test_an_account_without_a_baseline_of_interests_is_left_out_where_others_have_one():
    filled = {account: "ab" for account, _ in accounts(3, 6) if account != "vanilla-1"}
    found = one({"outcome": "interests", "measure": "exclusive"}, asked_before(tables(OWN), filled))
    assert found.control.unscored == ("vanilla-1",)
    assert len(found.control.accounts) == 5


def test_an_earlier_request_of_the_same_phase_does_not_count():
    facts = tables(OWN)
    facts["interests"].loc[facts["interests"]["interest"] == "x", "latest"] = False
    found = one({"outcome": "interests", "measure": "exclusive"}, facts)
    assert found.sets.own == ("y", "z")
