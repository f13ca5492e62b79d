"""The tests agree with other implementations of the same methods."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind

from echoaudit.inference import tests as own

SCIPY = {"higher": "greater", "lower": "less", "different": "two-sided"}
SIZES = [(3, 6), (4, 4), (2, 5), (5, 9)]


def samples(seed, treated, controls, shift=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 0.2, treated), rng.normal(0, 0.2, controls)


@pytest.mark.parametrize("direction", SCIPY)
@pytest.mark.parametrize("sizes", SIZES)
def test_permutation_agrees_with_scipy(sizes, direction):
    for seed in range(5):
        treated, controls = samples(seed, *sizes)

        def welch(x, y, axis):
            return stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic

        other = stats.permutation_test(
            (treated, controls),
            welch,
            n_resamples=np.inf,
            alternative=SCIPY[direction],
            vectorized=True,
        )
        found = own.permutation_test(treated, controls, direction)
        assert found.exact
        assert found.labelings == math.comb(sum(sizes), sizes[0])
        assert found.p == pytest.approx(other.pvalue, abs=1e-9)
        assert found.p >= found.smallest_p


def test_random_labelings_come_close_to_all_and_are_never_zero():
    treated, controls = samples(1, 6, 15, shift=0.1)
    found = own.permutation_test(treated, controls, "higher")
    assert not found.exact
    scores = np.concatenate([treated, controls])
    statistics = [
        stats.ttest_ind(scores[list(chosen)], np.delete(scores, chosen), equal_var=False).statistic
        for chosen in list(combinations(range(21), 6))[::40]
    ]
    observed = stats.ttest_ind(treated, controls, equal_var=False).statistic
    assert found.p == pytest.approx(np.mean(np.array(statistics) >= observed), abs=0.03)
    extreme = own.permutation_test(treated + 99, controls, "higher")
    assert extreme.p == extreme.smallest_p == 1 / (own.DRAWS + 1)


@pytest.mark.parametrize("direction", SCIPY)
@pytest.mark.parametrize("sizes", SIZES)
def test_t_agrees_with_scipy(sizes, direction):
    for seed in range(20):
        treated, controls = samples(seed, *sizes)
        found = own.t_test(treated, controls, direction)
        equal = found.name == "pooled"
        other = stats.ttest_ind(treated, controls, equal_var=equal, alternative=SCIPY[direction])
        assert found.p == pytest.approx(other.pvalue, abs=1e-9)
        both = stats.ttest_ind(treated, controls, equal_var=equal).confidence_interval()
        assert found.interval() == pytest.approx((both.low, both.high), abs=1e-9)


def test_unequal_variances_are_noticed():
    rng = np.random.default_rng(3)
    found = own.t_test(rng.normal(0, 0.01, 6), rng.normal(0, 5, 6), "different")
    assert found.name == "welch"


def test_one_account_against_controls_is_crawford_and_howells_test():
    controls = np.random.default_rng(5).normal(0, 1, 7)
    found = own.t_test(np.array([1.7]), controls, "higher")
    t = (1.7 - controls.mean()) / (controls.std(ddof=1) * math.sqrt(1 + 1 / 7))
    assert found.name == "crawford-howell"
    assert found.df == 6
    assert found.p == pytest.approx(stats.t.sf(t, 6), abs=1e-12)


def test_too_few_accounts_have_no_t_test():
    with pytest.raises(ValueError, match="three accounts"):
        own.t_test(np.array([1.0]), np.array([2.0]), "higher")


def test_accounts_without_any_spread_do_not_break_the_tests():
    same, more = np.full(6, 0.1), np.full(3, 0.8)
    assert own.permutation_test(more, same, "higher").p == 1 / 84
    assert own.permutation_test(same[:3], same, "higher").p == 1
    assert own.t_test(more, same, "higher").p == 0
    assert own.t_test(same[:3], same, "higher").p == 0.5


@pytest.mark.parametrize(("sizes", "direction", "expected"), [
    ((3, 6), "higher", 1 / 84), ((3, 3), "different", 0.1), ((1, 1), "higher", 0.5),
])  # fmt: skip
def test_smallest_p(sizes, direction, expected):
    assert own.smallest_p(*sizes, direction) == pytest.approx(expected)


def test_detectable_effect_is_found_four_times_in_five():
    delta = own.detectable(0.2, 3, 6, 0.05)
    rng = np.random.default_rng(11)
    treated, controls = rng.normal(delta, 0.2, (20_000, 3)), rng.normal(0, 0.2, (20_000, 6))
    found = stats.ttest_ind(treated, controls, axis=1, alternative="greater").pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_needed_accounts_are_the_fewest_that_suffice():
    needed = own.accounts_needed(math.log(1.5), 0.2, 0.05)
    assert own.power(math.log(1.5), 0.2, needed, 2 * needed, 0.05) >= 0.8
    assert own.power(math.log(1.5), 0.2, needed - 1, 2 * needed - 2, 0.05) < 0.8
    assert own.accounts_needed(0.01, 5.0, 0.05) is None


def test_holm_is_the_closed_bonferroni_procedure():
    rng = np.random.default_rng(2)
    for _ in range(20):
        p = list(rng.random(4) ** 3)
        subsets = [s for n in range(1, 5) for s in combinations(range(4), n)]
        closed = [
            max(min(1, len(s) * min(p[i] for i in s)) for s in subsets if claim in s)
            for claim in range(4)
        ]
        assert own.holm(p) == pytest.approx(closed)


@pytest.mark.parametrize(("correction", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_corrections_agree_with_statsmodels(correction, theirs):
    rng = np.random.default_rng(4)
    for size in (1, 2, 9, 45):
        p = list(rng.random(size) ** 3)
        assert own.corrected(p, correction) == pytest.approx(
            multipletests(p, method=theirs)[1], abs=1e-9
        )
    assert own.corrected([], correction) == []


@pytest.mark.parametrize("sizes", SIZES)
def test_equivalence_agrees_with_statsmodels(sizes):
    margin = math.log(1.25)
    for seed in range(10):
        treated, controls = samples(seed, *sizes, shift=0.05)
        found = own.t_test(treated, controls, "different")
        kind = "pooled" if found.name == "pooled" else "unequal"
        other = ttost_ind(treated, controls, -margin, margin, usevar=kind)[0]
        assert own.equivalence_p(found, margin) == pytest.approx(other, abs=1e-9)


def test_power_agrees_with_statsmodels():
    for treated, controls in SIZES:
        exact = TTestIndPower().power(
            0.4 / 0.2, treated, 0.02, controls / treated, alternative="larger"
        )
        assert own.power(0.4, 0.2, treated, controls, 0.02) == pytest.approx(exact, abs=1e-9)


def test_many_outcomes_are_tested_as_each_alone():
    scores = np.random.default_rng(9).normal(0, 0.2, (40, 9))
    scores[0] = 0.1
    scores[1, 3:] *= 40
    for direction in SCIPY:
        found, p = own.t_tests(scores, 3, direction), own.permutation_p(scores, 3, direction)
        for n, row in enumerate(scores):
            alone = own.t_test(row[:3], row[3:], direction)
            assert (found.p[n], found.difference[n]) == pytest.approx(
                (alone.p, alone.difference), abs=1e-12
            )
            assert p[n] == own.permutation_test(row[:3], row[3:], direction).p
        assert found.welch[1]
