"""An account's score is what its bids say once site, slot, bidder and round are accounted for."""

import numpy as np
import pandas as pd
import pytest
from synthetic import accounts, make_bids

from echoaudit.inference.scores import code, observations, score_accounts, two_way

NAMES = [account for account, _ in accounts(3, 6)]


def test_fit_agrees_with_dummy_regression_on_unbalanced_data():
    rng = np.random.default_rng(1)
    who, cell = rng.integers(0, 7, 900), rng.integers(0, 60, 900)
    values = rng.normal(size=900) + who * 0.3 + cell * 0.1
    fit = two_way(values, who, cell, 7)
    design = np.zeros((900, 67))
    design[np.arange(900), who] = 1
    design[np.arange(900), 7 + cell] = 1
    other = np.linalg.lstsq(design, values, rcond=None)[0][:7]
    assert fit.levels - fit.levels.mean() == pytest.approx(other - other.mean(), abs=1e-9)


def test_accounts_without_common_cells_cannot_be_compared():
    who = np.array([0, 0, 1, 1, 2, 2])
    cell = np.array([0, 1, 0, 1, 2, 3])
    fit = two_way(np.arange(6.0), who, cell, 3)
    assert np.isnan(fit.levels[2])
    assert fit.levels[1] - fit.levels[0] == pytest.approx(2)


def test_a_planted_lift_is_the_difference_of_scores():
    scores = score_accounts(make_bids(3, lift=2, account_sd=0, noise=0), NAMES, "value")
    values = [score.value for score in scores.scored]
    assert np.mean(values[:3]) - np.mean(values[3:]) == pytest.approx(np.log(2), abs=1e-6)


def test_what_is_common_to_a_cell_does_not_matter():
    bids = make_bids(4)
    dearer = bids.assign(
        cpm_usd=bids["cpm_usd"].where(bids["site"] != "site-2", bids["cpm_usd"] * 9)
    )
    first, second = (
        np.array([score.value for score in score_accounts(b, NAMES, "value").scored])
        for b in (bids, dearer)
    )
    assert first - first.mean() == pytest.approx(second - second.mean(), abs=1e-8)


@pytest.mark.parametrize("state", ["timeout", "error", "rejected", "requested"])
@pytest.mark.parametrize("measure", ["value", "rate", "value-per-opportunity", "maximum"])
def test_failures_are_neither_bids_nor_zeros(state, measure):
    bids = make_bids(5)
    lost = bids[bids["account"] == "fashion-1"].assign(state=state, cpm_usd=0.0)
    with_failures = pd.concat([bids, lost], ignore_index=True)
    assert score_accounts(bids, NAMES, measure) == score_accounts(with_failures, NAMES, measure)


def test_won_and_rendered_bids_are_bids():
    bids = make_bids(6)
    won = bids.assign(state=bids["state"].replace("bid", "rendered"))
    assert score_accounts(bids, NAMES, "value") == score_accounts(won, NAMES, "value")


def test_no_bid_is_a_zero_for_the_rate_only():
    bids = make_bids(7)
    assert len(observations(code(bids), "value")) == (bids["state"] == "bid").sum()
    assert len(observations(code(bids), "rate")) == len(bids)
    opportunity = observations(code(bids), "value-per-opportunity")
    assert (opportunity.value == 0).sum() == (bids["state"] == "no-bid").sum()


def test_highest_bid_of_each_slot():
    bids = make_bids(8, noise=0.1)
    highest = observations(code(bids), "maximum")
    slots = bids[bids["state"] == "bid"].groupby(["account", "phase", "round", "site", "slot"])
    expected = np.log(slots["cpm_usd"].max()).to_numpy()
    assert np.sort(highest.value) == pytest.approx(np.sort(expected))


def test_an_account_without_baseline_is_left_out_when_others_have_one():
    bids = make_bids(9)
    kept = bids[~((bids["account"] == "vanilla-2") & (bids["phase"] == "before"))]
    scores = score_accounts(kept, NAMES, "value")
    assert scores.unscored == ("vanilla-2",)
    without = score_accounts(bids[bids["phase"] == "after"], NAMES, "value")
    assert without.unscored == ()
    assert without.rounds_before == 0


def test_hardly_any_bids_are_no_score():
    bids = make_bids(10)
    mine = bids["account"] == "fashion-3"
    few = pd.concat([bids[~mine], bids[mine & (bids["state"] == "bid")].head(4)])
    assert score_accounts(few, NAMES, "value").unscored == ("fashion-3",)


def silenced(bids, lost):
    """The same where nobody bids for some accounts any more after the treatment."""
    gone = bids["account"].isin(lost) & (bids["phase"] == "after")
    return bids.assign(state=bids["state"].mask(gone, "no-bid"), cpm_usd=bids["cpm_usd"].mask(gone))


@pytest.mark.parametrize("measure", ["rate", "value-per-opportunity"])
def test_an_account_without_any_bid_has_half_a_bid(measure):
    bids = make_bids(11)
    scores = score_accounts(silenced(bids, ["fashion-1", "fashion-2"]), NAMES, measure)
    assert scores.unscored == ()
    gone, kept = scores.scored[0], scores.scored[2]
    asked = len(bids[(bids["account"] == "fashion-1") & (bids["phase"] == "after")])
    left = bids[~bids["account"].isin(["fashion-1", "fashion-2"]) | (bids["phase"] == "before")]
    one = 1.0 if measure == "rate" else left["cpm_usd"].median()
    assert gone.after == pytest.approx(np.log(0.5 * one / asked), abs=1e-8)
    assert gone.value < kept.value - 3


def test_where_nobody_bids_there_is_nothing_to_compare():
    bids = make_bids(12)
    nobody = bids.assign(state="no-bid", cpm_usd=np.nan)
    for measure in ("rate", "value-per-opportunity", "value"):
        assert score_accounts(nobody, NAMES, measure).scored == ()


@pytest.mark.parametrize("measure", ["value", "rate", "value-per-opportunity", "maximum"])
def test_auctions_that_the_visit_started_are_not_compared_with_the_pages_own(measure):
    """Forced auctions bring a fifth of the price, and one account had to force most of its own."""
    rng = np.random.default_rng(13)
    bids = make_bids(13, account_sd=0, noise=0.01, bid_share=1.0, slots=4, sites=12)
    slots = bids[["account", "site", "slot", "phase"]].drop_duplicates()
    after = slots["phase"] == "after"
    mostly = after & (slots["account"] == "fashion-1")
    slots["forced"] = after & (rng.random(len(slots)) < np.where(mostly, 0.9, 0.3))
    mixed = bids.drop(columns="forced").merge(slots, on=["account", "site", "slot", "phase"])
    mixed["cpm_usd"] *= np.where(mixed["forced"], 0.2, 1.0)
    if measure in ("rate", "value-per-opportunity"):
        silent = mixed["forced"] & (rng.random(len(mixed)) < 0.8)
        mixed.loc[silent, "state"] = "no-bid"
        mixed.loc[silent, "cpm_usd"] = np.nan
    scores = score_accounts(mixed, NAMES, measure)
    values = {score.account: score.value for score in scores.scored}
    others = [value for name, value in values.items() if name != "fashion-1"]
    assert values["fashion-1"] == pytest.approx(np.mean(others), abs=0.25)
    if measure == "value":
        pooled = score_accounts(mixed.assign(forced=False), NAMES, measure)
        assert pooled.scored[0].value < np.mean(others) - 0.5
