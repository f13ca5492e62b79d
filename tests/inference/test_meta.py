"""Several studies of one claim are pooled as another implementation does, flaws left out."""

import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from synthetic import make_bids, make_delivery

from echoaudit.inference import conclude_all, meta
from echoaudit.study.models import Claim

CLAIM = Claim(claim="fashion-above-vanilla", treated="fashion", control="vanilla")
SMALL = {"sites": 3, "slots": 1, "before": 1, "after": 2}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("between", [0.0, 0.5])
@pytest.mark.parametrize("k", [2, 3, 8])
def test_random_effects_agree_with_statsmodels(k, between):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        variances = rng.uniform(0.01, 0.1, k)
        estimates = rng.normal(0.3, np.sqrt(variances + between**2))
        found = meta.random_effects(estimates, variances)
        other = combine_effects(estimates, variances, method_re="chi2", use_t=True)
        spread = found.heterogeneity
        # A negative variance between studies is none: then theirs is the fixed-effect result.
        kind = "re" if other.tau2 > 0 else "fe"
        mean, weights = getattr(other, f"mean_effect_{kind}"), getattr(other, f"weights_rel_{kind}")
        assert found.estimate == pytest.approx(mean, abs=1e-9)
        assert found.weights == pytest.approx(weights, abs=1e-9)
        assert spread.tau**2 == pytest.approx(max(0, other.tau2), abs=1e-9)
        assert spread.q == pytest.approx(other.q, abs=1e-9)
        assert spread.i2 == pytest.approx(max(0, other.i2), abs=1e-9)
        assert spread.p == pytest.approx(other.test_homogeneity().pvalue, abs=1e-9)
        usual = max(getattr(other, f"sd_eff_w_{kind}"), getattr(other, f"sd_eff_w_{kind}_hksj"))
        half = stats.t.ppf(0.975, k - 1) * usual
        assert found.error == pytest.approx(usual, abs=1e-9)
        assert (found.low, found.high) == pytest.approx((mean - half, mean + half), abs=1e-9)


def test_the_interval_covers_the_mean_effect():
    rng = np.random.default_rng(1)
    runs, inside = 600, 0
    for _ in range(runs):
        variances = rng.uniform(0.01, 0.05, 5)
        estimates = rng.normal(rng.normal(0.5, 0.2, 5), np.sqrt(variances))
        found = meta.random_effects(estimates, variances)
        inside += found.low <= 0.5 <= found.high
    assert inside / runs > 0.92


@pytest.mark.parametrize(
    ("estimates", "variances"),
    [([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([0.1, np.nan], [0.1, 0.1])],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances):
    with pytest.raises(ValueError, match="pooling needs"):
        meta.random_effects(np.array(estimates), np.array(variances))


def study(seed, claims=(CLAIM,), delivered=10, **design):
    facts = {
        "bids": make_bids(seed, **SMALL, **design),
        "delivery": make_delivery(delivered=delivered),
    }
    return conclude_all(claims, facts)


def test_weak_studies_support_together_what_none_supports_alone():
    studies = {f"s{n}": study(n, lift=1.45, account_sd=0.25) for n in range(6)}
    alone = [c.state for (c,) in studies.values()]
    (pooled,) = meta.pool(studies)
    assert alone.count("supported") < 6
    assert (pooled.state, pooled.pooled) == ("supported", 6)
    assert pooled.anytime_p < 0.05
    assert pooled.low < 1.45 < pooled.high
    assert pooled.low_next < pooled.low < pooled.high < pooled.high_next
    assert sum(s.weight for s in pooled.studies) == pytest.approx(1, abs=1e-5)
    assert "Over 6 studies, bids for fashion were" in pooled.sentence
    assert json.loads(json.dumps(pooled.to_json(), allow_nan=False))["state"] == "supported"


def test_a_flawed_study_is_named_and_left_out():
    studies = {"a": study(1), "b": study(2), "c": study(3, lift=9, delivered=0)}
    (pooled,) = meta.pool(studies)
    assert pooled.pooled == 2
    assert pooled.state == "not supported"
    assert "treatment not delivered" in pooled.studies[2].left_out
    (few,) = meta.pool({"a": study(1), "c": study(3, delivered=0)})
    assert (few.state, few.pooled, few.ratio) == ("insufficient", 0, None)


def test_only_claims_that_studies_share_are_pooled():
    other = CLAIM.model_copy(update={"claim": "rate", "measure": "rate"})
    found = meta.pool({"a": study(1, (CLAIM, other)), "b": study(2)})
    assert [(p.measure, p.pooled) for p in found] == [("value", 2)]
    assert meta.pool({"a": study(1)}) == []
