"""Tests on sets agree with other implementations, and count accounts, not requests."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from statsmodels.stats.proportion import confint_proportions_2indep

from echoaudit.inference import sets

SIZES = [(3, 6), (4, 4), (2, 5)]


def random_sets(seed, accounts, things=30, share=0.4):
    rng = np.random.default_rng(seed)
    return [
        frozenset(f"t{n}" for n in np.flatnonzero(rng.random(things) < share))
        for _ in range(accounts)
    ]


@pytest.mark.parametrize("sizes", SIZES)
def test_distances_and_their_test_agree_with_scipy(sizes):
    k, n = sizes[0], sum(sizes)
    for seed in range(3):
        matrix, _ = sets.incidence(random_sets(seed, n))
        distances = squareform(pdist(matrix.astype(bool), "jaccard"))
        assert sets.jaccard(matrix) == pytest.approx(distances, abs=1e-12)

        def inside(x, y, distances=distances):
            arms = (np.asarray(arm, dtype=int) for arm in (x, y))
            return sum((distances[np.ix_(a, a)] ** 2).sum() / 2 / len(a) for a in arms)

        other = stats.permutation_test(
            (np.arange(k), np.arange(k, n)), inside, n_resamples=np.inf, alternative="less"
        )
        found = sets.distance_test(matrix, k)
        assert found.test.exact
        assert found.test.p == pytest.approx(other.pvalue, abs=1e-9)
        assert found.test.p >= found.test.smallest_p
        assert found.between == pytest.approx(distances[:k, k:].mean(), abs=1e-12)
        whole = (distances**2).sum() / 2 / n
        assert found.explained == pytest.approx(1 - other.statistic / whole, abs=1e-9)


def test_sets_of_two_kinds_are_as_far_apart_as_labels_allow():
    matrix, _ = sets.incidence([frozenset("ab")] * 3 + [frozenset("cd")] * 6)
    found = sets.distance_test(matrix, 3)
    assert (found.between, found.within, found.explained) == (1, 0, 1)
    assert found.test.p == found.test.smallest_p == pytest.approx(1 / 84)
    equal_arms = sets.distance_test(matrix[1:], 2)
    assert equal_arms.test.smallest_p == pytest.approx(1 / 28)


def test_arms_of_one_size_cannot_be_told_from_each_other():
    matrix, _ = sets.incidence([frozenset("ab")] * 3 + [frozenset("cd")] * 3)
    found = sets.distance_test(matrix, 3)
    assert found.test.p == found.test.smallest_p == pytest.approx(2 / 20)


@pytest.mark.parametrize("sizes", SIZES)
def test_exclusive_things_agree_with_a_count_over_all_labelings(sizes):
    k, n = sizes[0], sum(sizes)
    for seed in range(6):
        had = random_sets(seed, n, things=60, share=0.15)
        matrix, things = sets.incidence(had)

        def own(treated, had=had):
            inside = [had[a] for a in treated]
            outside = frozenset().union(*(had[a] for a in range(n) if a not in treated))
            return {t for t in frozenset().union(*inside) if sum(t in s for s in inside) >= 2} - (
                outside
            )

        counts = [len(own(chosen)) for chosen in combinations(range(n), k)]
        mine = own(tuple(range(k)))
        found = sets.exclusive_test(matrix, k)
        assert {things[c] for c in found.things} == mine
        assert found.expected == pytest.approx(np.mean(counts), abs=1e-9)
        assert found.test.p == pytest.approx(np.mean(np.array(counts) >= len(mine)), abs=1e-9)


@pytest.mark.parametrize("direction", ["higher", "lower", "different"])
def test_accounts_with_a_thing_are_fishers_table(direction):
    """Fisher's test is the permutation test of the labels of accounts."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        n, m = (int(x) for x in rng.integers(2, 6, 2))
        a, b = int(rng.integers(0, n + 1)), int(rng.integers(0, m + 1))
        found = sets.fisher((a, n), (b, m), direction)
        has = np.array([1] * a + [0] * (n - a) + [1] * b + [0] * (m - b))
        dealt = np.array([has[list(c)].sum() for c in combinations(range(n + m), n)])
        chance = stats.hypergeom(n + m, a + b, n)
        expected = {
            "higher": (dealt >= a).mean(),
            "lower": (dealt <= a).mean(),
            "different": sum(
                chance.pmf(x) for x in range(n + 1) if chance.pmf(x) <= chance.pmf(a) * (1 + 1e-7)
            ),
        }
        assert found.p == pytest.approx(expected[direction], abs=1e-9)
        assert found.smallest_p <= found.p + 1e-12
        low, high = confint_proportions_2indep(a, n, b, m, compare="diff", method="newcomb")
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_many_accounts_are_labelled_at_random_and_p_is_never_zero():
    matrix, _ = sets.incidence([frozenset("ab")] * 8 + [frozenset("cd")] * 14)
    assert math.comb(22, 8) > 20_000
    for found in (sets.distance_test(matrix, 8).test, sets.exclusive_test(matrix, 8).test):
        assert not found.exact
        assert found.p == found.smallest_p == 1 / 10_000


@pytest.mark.parametrize("k", [0, 4])
def test_an_arm_without_accounts_is_refused(k):
    matrix, _ = sets.incidence(random_sets(1, 4))
    for test in (sets.distance_test, sets.exclusive_test):
        with pytest.raises(ValueError, match="account in each arm"):
            test(matrix, k)
    with pytest.raises(ValueError, match="account in each arm"):
        sets.fisher((0, 0), (1, 2), "higher")


def test_accounts_without_anything_are_alike():
    matrix, _ = sets.incidence([frozenset()] * 9)
    found = sets.distance_test(matrix, 3)
    assert (found.between, found.explained, found.test.p) == (0, 0, 1)
    assert sets.exclusive_test(matrix, 3).test.p == 1


def test_label_permutation_holds_its_level():
    """Accounts alike in law: false claims at most 5 % plus simulation error."""
    runs, rejected = 300, np.zeros(2)
    for seed in range(runs):
        matrix, _ = sets.incidence(random_sets(seed, 9, things=25, share=0.3))
        tests = (sets.distance_test(matrix, 3).test, sets.exclusive_test(matrix, 3).test)
        rejected += [test.p <= 0.05 for test in tests]
    assert rejected.max() <= runs * 0.05 + 2.6 * math.sqrt(runs * 0.05 * 0.95)
