"""Looking after each block costs no more false claims than alpha; peeking at p values does."""

import numpy as np
import pytest
from scipy import stats

from echoaudit.inference.sequential import TILTS, e_process, e_values
from echoaudit.inference.tests import labelings

LOOKS, RUNS = 12, 400


def blocks(rng, lift=0.0, looks=LOOKS):
    return [(rng.normal(lift, 0.2, 3), rng.normal(0, 0.2, 6)) for _ in range(looks)]


@pytest.mark.parametrize("direction", ["higher", "lower", "different"])
def test_the_mean_over_all_labelings_is_one(direction):
    scores = np.random.default_rng(3).normal(size=9)
    dealt = [
        e_values(scores[labels == 1], scores[labels == 0], direction) for labels in labelings(9, 3)
    ]
    assert np.mean(dealt, axis=0) == pytest.approx(np.ones(len(TILTS)), abs=1e-9)


def test_random_labelings_are_no_better_than_one_on_average():
    """With more labelings than are tried, the observed one is among those averaged."""
    rng = np.random.default_rng(4)
    dealt = [e_values(rng.normal(size=9), rng.normal(size=14), "higher") for _ in range(40)]
    assert np.mean(dealt, axis=0)[0] < 1.5
    assert np.isfinite(dealt).all()


def test_peeking_at_evidence_holds_its_level_and_peeking_at_p_values_does_not():
    rng = np.random.default_rng(5)
    treated = rng.normal(0, 0.2, (RUNS, LOOKS, 3))
    controls = rng.normal(0, 0.2, (RUNS, LOOKS, 6))
    ever = [
        max(e_process(list(zip(t, c, strict=True)), "higher").values) >= 20
        for t, c in zip(treated, controls, strict=True)
    ]
    looks = [
        stats.ttest_ind(
            treated[:, :n].reshape(RUNS, -1),
            controls[:, :n].reshape(RUNS, -1),
            axis=1,
            alternative="greater",
        ).pvalue
        for n in range(1, LOOKS + 1)
    ]
    assert np.mean(ever) <= 0.05 + 2.6 * np.sqrt(0.0475 / RUNS)
    assert (np.min(looks, axis=0) <= 0.05).mean() > 0.12


def test_a_real_difference_is_found_early():
    rng = np.random.default_rng(6)
    found = [e_process(blocks(rng, lift=np.log(1.5), looks=6), "higher") for _ in range(60)]
    assert np.mean([one.anytime_p <= 0.05 for one in found]) > 0.9


def test_blocks_that_tell_nothing_change_nothing():
    same = np.full(3, 0.1), np.full(6, 0.1)
    none = np.array([]), np.array([0.3, 0.1])
    assert e_process([same, none], "higher").values == (1.0, 1.0)
    assert e_process([], "higher").anytime_p == 1
