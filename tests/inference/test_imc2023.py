"""The published study's tests, to its own digits."""

import numpy as np
import pytest
from synthetic import make_bids

from echoaudit.inference.imc2023 import band, pooled_test, pooled_tests
from echoaudit.study.models import Claim

CLAIM = Claim(claim="fashion-above-vanilla", treated="fashion", control="vanilla")


def divided(values, size, u):
    """A division of ``values`` whose first part has ``size`` of them and Mann-Whitney's ``u``."""
    values = np.asarray(values, dtype=float)
    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(values))
    first, second = values[chosen[:size]], values[chosen[size:]]

    def statistic():
        pairs = first[:, None] - second[None, :]
        return (pairs > 0).sum() + (pairs == 0).sum() / 2

    while (now := statistic()) != u:
        i, j = rng.integers(len(first)), rng.integers(len(second))
        first[i], second[j] = second[j], first[i]
        if abs(statistic() - u) > abs(now - u):
            first[i], second[j] = second[j], first[i]
    return first, second


def tied(size, *groups):
    """``size`` values of which some are equal, in groups of the given sizes."""
    equal = [float(i) for i, group in enumerate(groups) for _ in range(group)]
    return equal + [float(len(groups) + i) for i in range(size - len(equal))]


@pytest.mark.parametrize(
    ("values", "size", "u", "effect", "p"),
    [
        (tied(30, 6, 3, 2, 2, 2), 13, 104.5, 0.0543, 0.8171),
        (tied(42, 6, 3, 2, 2, 2), 13, 111.5, 0.4085, 0.0371),
        (range(306), 85, 8778, 0.0654, 0.3758),
        (range(316), 95, 7438, 0.2915, 0.00004),
    ],
)
def test_published_figures(values, size, u, effect, p):
    found = pooled_test(*divided(values, size, u))
    digits = 4 if p > 0.001 else 5
    assert (found.u, round(found.effect, 4), round(found.p, digits)) == (u, effect, p)


def test_bands():
    assert [band(e) for e in (0.05, -0.11, 0.2915, 0.4085, -0.5)] == [
        "negligible", "small", "medium", "medium", "large",
    ]  # fmt: skip


def test_pairs_of_a_study_with_higher_bids_have_a_positive_effect():
    bids = make_bids(3, lift=3.0)
    bids.loc[bids.index[:40], "state"] = "timeout"
    table = pooled_tests([CLAIM, CLAIM], bids)
    (row,) = table.to_dict("records")
    after = bids[(bids["phase"] == "after") & (bids["state"] == "bid")]
    assert row["n_treated"] == (after["persona"] == "fashion").sum()
    assert row["effect"] > 0.43
    assert row["band"] == "large"
    assert row["median_treated"] > row["median_control"]
    assert row["max_over_mean"] > row["mean_treated"] / row["mean_control"]


def test_a_pair_without_bids_is_left_out_and_an_empty_sample_refused():
    bids = make_bids(3)
    assert pooled_tests([CLAIM], bids[bids["persona"] == "fashion"]).empty
    with pytest.raises(ValueError, match="both sides"):
        pooled_test(np.zeros(0), np.ones(3))
