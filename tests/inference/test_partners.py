"""Claims that partners of the platform, rather than others, bid more for a persona."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from synthetic import BIDDERS, make_bids, make_delivery

from echoaudit.inference import conclude_all
from echoaudit.inference.partners import score_partners, sides, standings
from echoaudit.inference.scores import code
from echoaudit.study.models import Claim

CLAIM = Claim(claim="told", treated="fashion", control="vanilla", measure="partners")
STANDING = dict(zip(BIDDERS, ("partner", "partner", "apart", "unseen", "downstream"), strict=True))


def tables(bids, standing=STANDING):
    rows = [{"domain": f"{b}.example", "standing": stands} for b, stands in standing.items()]
    return {
        "bids": bids.assign(server=bids["bidder"] + ".example"),
        "sync_graph": pd.DataFrame(rows),
        "delivery": make_delivery(),
    }


def raised(seed, who, times=2.0, **design):
    bids = make_bids(seed, **design)
    higher = bids["bidder"].isin(who) & (bids["persona"] == "fashion") & (bids["phase"] == "after")
    bids.loc[higher, "cpm_usd"] *= times
    return bids


def judge(bids, **standing):
    (found,) = conclude_all([CLAIM], tables(bids, STANDING | standing))
    return found


def test_what_only_partners_pay_more_for_is_found_with_its_size():
    found = judge(raised(1, ["appnexus", "ix"]))
    assert found.state == "supported"
    assert found.effect.low < 2 < found.effect.high
    words = "the bids of the platform's partners over those of others were"
    assert words in found.sentence[0].lower() + found.sentence[1:]


def test_what_all_pay_more_for_is_no_hint():
    found = judge(raised(1, BIDDERS))
    assert found.state == "not supported"
    assert found.effect.low < 1 < found.effect.high


def test_those_downstream_are_on_neither_side():
    alone = judge(raised(1, ["rubicon"], times=50.0))
    assert alone.effect.ratio == pytest.approx(judge(make_bids(1)).effect.ratio)


@pytest.mark.parametrize("gone", ["partner", "other"])
def test_one_side_without_bidders_is_insufficient(gone):
    sided = ("appnexus", "ix") if gone == "partner" else ("openx", "pubmatic")
    found = judge(raised(1, BIDDERS), **dict.fromkeys(sided, "downstream"))
    assert found.state == "insufficient"
    assert found.effect is None


def test_nothing_is_rarely_supported():
    found = [judge(make_bids(seed, before=1, after=2)) for seed in range(60)]
    rejected = sum(one.test.p_corrected <= CLAIM.alpha for one in found)
    assert rejected <= 60 * 0.05 + 2.6 * np.sqrt(60 * 0.05 * 0.95)


def test_scores_are_those_of_two_least_squares_fits():
    """The same by statsmodels, which fits accounts and cells as they stand."""
    bids = tables(make_bids(4, sites=4, slots=1, bid_share=0.8))["bids"]
    accounts = sorted(bids["account"].unique())
    graph = tables(bids)["sync_graph"]
    found = score_partners(code(bids), sides(bids, graph), accounts)
    levels = {}
    for side in (("partner",), ("apart", "unseen")):
        own = bids[bids["bidder"].map(STANDING).isin(side) & (bids["state"] == "bid")]
        for phase, rows in own.groupby("phase"):
            cell = rows[["site", "slot", "bidder", "round"]].astype(str).agg("|".join, axis=1)
            data = pd.DataFrame({"y": np.log(rows["cpm_usd"]), "a": rows["account"], "c": cell})
            fit = smf.ols("y ~ C(a) + C(c)", data).fit()
            levels[side[0], phase] = np.array(
                [fit.params.get(f"C(a)[T.{account}]", 0.0) for account in accounts]
            )
    expected = (levels["partner", "after"] - levels["partner", "before"]) - (
        levels["apart", "after"] - levels["apart", "before"]
    )
    scores = np.array([score.value for score in found.scored])
    np.testing.assert_allclose(scores - scores.mean(), expected - expected.mean(), atol=1e-8)


def test_a_bidder_stands_where_its_usual_server_does():
    bids = tables(make_bids(1))["bids"]
    bids.loc[bids.index[:3], "server"] = "elsewhere.example"
    bids.loc[bids["bidder"] == "ix", "server"] = ""
    found = standings(bids, tables(bids)["sync_graph"])
    assert found == STANDING | {"ix": "unknown"}
