"""Several studies of one claim are pooled as another implementation does, flaws left out."""

import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from synthetic import make_bids, make_delivery

from echoaudit.inference import conclude_all, meta
from echoaudit.inference.random_effects import random_effects
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
        found = random_effects(estimates, variances)
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
        found = random_effects(estimates, variances)
        inside += found.low <= 0.5 <= found.high
    assert inside / runs > 0.92


@pytest.mark.parametrize(
    ("estimates", "variances"),
    [([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([0.1, np.nan], [0.1, 0.1])],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances):
    with pytest.raises(ValueError, match="pooling needs"):
        random_effects(np.array(estimates), np.array(variances))


def facts_of(seed, delivered=10, **design):
    return {
        "bids": make_bids(seed, **SMALL, **design),
        "delivery": make_delivery(delivered=delivered),
    }


def study(seed, claims=(CLAIM,), delivered=10, **design):
    return conclude_all(claims, facts_of(seed, delivered, **design))


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


def claims_of_each_measure(**more):
    return [
        CLAIM.model_copy(update={"claim": measure, "measure": measure, **more})
        for measure in ("value", "rate", "value-per-opportunity", "maximum")
    ]


def corrected_by_statsmodels(pooled, method):
    """What is not tested counts with 1, and has no corrected p."""
    p_values = [1.0 if one.p is None else one.p for one in pooled]
    corrected = multipletests(p_values, method=method)[1]
    return [
        None if one.p is None else pytest.approx(p, rel=1e-4)
        for one, p in zip(pooled, corrected, strict=True)
    ]


def test_pooled_claims_are_corrected_for_each_other():
    stated = claims_of_each_measure()
    pooled = meta.pool({f"s{n}": study(n, stated, lift=1.3) for n in range(4)})
    assert [one.p_corrected for one in pooled] == corrected_by_statsmodels(pooled, "holm")
    assert pooled[0].p_corrected > pooled[0].p
    assert (pooled[3].p, pooled[3].state) == (None, "insufficient"), "untested, yet counted"
    assert {(one.family, one.claims, one.correction) for one in pooled} == {("main", 4, "holm")}
    assert "after Holm over 4 claims" in pooled[0].sentence
    anytime = [one.anytime_p for one in pooled[:3]]
    assert [one.anytime_p_corrected for one in pooled[:3]] == pytest.approx(
        list(multipletests([*anytime, 1.0], method="holm")[1][:3]), rel=1e-4
    )
    for one in pooled[:3]:
        assert (one.state == "supported") == (one.p_corrected <= one.alpha)


def test_a_claim_that_passes_alone_does_not_pass_among_many():
    """The verdict is that of the corrected p."""
    (alone,) = meta.pool({f"s{n}": study(n, lift=1.6) for n in range(4)})
    many = meta.pool({f"s{n}": study(n, claims_of_each_measure(), lift=1.6) for n in range(4)})
    assert alone.p == many[0].p
    assert (alone.state, many[0].state) == ("supported", "not supported")


def test_questions_are_marked_and_corrected_apart():
    prediction, *others = claims_of_each_measure()
    questions = [
        c.model_copy(update={"family": "questions", "correction": "bh", "exploratory": True})
        for c in others
    ]
    studies = {f"s{n}": study(n, [prediction, *questions], lift=1.3) for n in range(3)}
    pooled = meta.pool(studies)
    assert [one.exploratory for one in pooled] == [False, True, True, True]
    assert pooled[0].p_corrected == pooled[0].p, "questions cost the prediction nothing"
    asked = pooled[1:]
    assert [one.p_corrected for one in asked] == corrected_by_statsmodels(asked, "fdr_bh")
    assert {(one.family, one.claims, one.correction) for one in asked} == {("questions", 3, "bh")}


def test_what_one_study_asked_and_another_predicted_is_a_question():
    asked = CLAIM.model_copy(update={"exploratory": True})
    (pooled,) = meta.pool({"a": study(1, [asked]), "b": study(2)})
    assert pooled.exploratory
    later = conclude_all([], facts_of(1), [CLAIM])
    (pooled,) = meta.pool({"a": later, "b": study(2)})
    assert pooled.exploratory, "stated after the run"
    flawed = study(1, [asked], delivered=0)
    (pooled,) = meta.pool({"a": flawed, "b": study(2), "c": study(3)})
    assert not pooled.exploratory, "a study that is left out suggests nothing of the others' data"


def test_families_with_a_pooled_claim_in_common_are_one():
    value, rate, worth, _ = claims_of_each_measure()
    apart = [value, rate.model_copy(update={"family": "rates", "alpha": 0.01}), worth]
    pooled = meta.pool({"a": study(1, [value, rate, worth]), "b": study(2, apart)})
    assert {(one.family, one.claims, one.alpha) for one in pooled} == {("main and rates", 3, 0.01)}


def test_a_study_counts_once_in_a_claim():
    again = CLAIM.model_copy(update={"claim": "again", "family": "other", "exploratory": True})
    once = meta.pool({"a": study(1, lift=1.5), "b": study(2, lift=1.5)})
    twice = meta.pool(
        {"a": study(1, [again, CLAIM], lift=1.5), "b": study(2, [CLAIM, again], lift=1.5)}
    )
    assert twice == once
    assert meta.pool({"a": study(1, [CLAIM, again])}) == []


def test_equivalence_is_pooled_by_two_one_sided_tests_of_one_margin():
    alike = CLAIM.model_copy(update={"direction": "equivalent", "smallest_effect": 1.5})
    studies = {f"s{n}": study(n, [alike]) for n in range(4)}
    (pooled,) = meta.pool(studies)
    estimate, half = np.log(pooled.ratio), np.log(pooled.high / pooled.low) / 2
    error = half / stats.t.ppf(0.975, 3)
    sides = [stats.t.sf((np.log(1.5) - sign * estimate) / error, 3) for sign in (1, -1)]
    assert pooled.p == pytest.approx(max(sides), rel=1e-3)
    assert (pooled.state, pooled.anytime_p) == ("supported", None)
    wider = alike.model_copy(update={"smallest_effect": 2.0})
    assert meta.pool({"a": study(1, [alike]), "b": study(2, [wider])}) == []
