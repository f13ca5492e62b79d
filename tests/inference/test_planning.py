"""Planned power is what simulated studies find, and a pilot tells the variances that are in it."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from synthetic import make_bids

from echoaudit.inference import planning
from echoaudit.inference.planning import ASSUMED, Design, power


@pytest.mark.parametrize(("treated", "control"), [(2, 4), (5, 5), (1, 9)])
def test_power_agrees_with_statsmodels_where_the_t_test_decides(treated, control):
    sd, effect = 0.2, 1.6
    design = Design(treated, control, alpha=0.01 if treated > 1 else 0.05)
    if treated == 5:
        design = Design(5, 5, alpha=0.003)
    exact = TTestIndPower().power(
        math.log(effect) / sd, treated, design.alpha, control / treated, alternative="larger"
    )
    assert power(design, sd, effect) == pytest.approx(exact, abs=0.035)


def test_families_are_corrected_as_statsmodels_does():
    p_values = np.random.default_rng(1).random((20, 6)) ** 3
    for own, corrected in zip(p_values, planning._holm(p_values), strict=True):
        assert corrected == pytest.approx(multipletests(own, method="holm")[1], abs=1e-12)


def test_more_accounts_and_larger_effects_are_found_more_often():
    small, large = power(Design(3, 6), 0.2, 1.3), power(Design(3, 6), 0.2, 2.0)
    assert small < large
    assert power(Design(5, 10), 0.2, 1.3) > small
    assert power(Design(3, 6, personas=9), 0.2, 1.5) < power(Design(3, 6), 0.2, 1.5)
    assert power(Design(3, 6), 0.2, 1.0) <= 0.05 + 2.6 * math.sqrt(0.0475 / planning.SIMULATIONS)
    assert power(Design(1, 1), 0.2, 2.0) == 0
    assert power(Design(3, 6, direction="lower"), 0.2, 1.3) == pytest.approx(small, abs=0.05)


def test_the_same_seed_gives_the_same_power():
    assert power(Design(2, 4), 0.2, 1.5, seed=3) == power(Design(2, 4), 0.2, 1.5, seed=3)
    assert power(Design(2, 4), 0.2, 1.5, seed=3) != power(Design(2, 4), 0.2, 1.5, seed=4)


def test_sites_and_rounds_average_bids_out_but_not_accounts():
    assert ASSUMED.score(10, 2, 3) > ASSUMED.score(100, 2, 3) > ASSUMED.change
    assert ASSUMED.score(10_000, 9, 9) == pytest.approx(ASSUMED.change, rel=0.01)
    assert ASSUMED.score(20, 2, 3) > ASSUMED.score(20, 2, 10)
    assert ASSUMED.score(20, 0, 3) > ASSUMED.level


def test_a_pilot_tells_the_variances_that_are_in_it():
    """Account by phase has half the spread of accounts, twice: 0.3 / 2 * sqrt(2) = 0.21."""
    design = {"treated": 20, "control": 40, "sites": 4, "slots": 1, "before": 2, "after": 2}
    found = planning.pilot(make_bids(2, account_sd=0.3, noise=0.5, **design))
    assert found.accounts == 60
    assert found.change == pytest.approx(0.21, rel=0.25)
    assert found.level == pytest.approx(0.3, rel=0.25)
    assert found.bid == pytest.approx(math.hypot(0.5, 0.15), rel=0.05)
    assert found.bids_per_visit == pytest.approx(5 * 0.6, rel=0.1)
    none = planning.pilot(make_bids(3, account_sd=0.0, noise=0.5, **design))
    assert none.change < 0.06
    assert none.bid == pytest.approx(0.5, rel=0.05)
    assert none.change_low < 0.5 * math.sqrt(2 / 24) * 1.15 < none.change_high * 1.3


def test_a_pilot_of_single_accounts_tells_nothing():
    assert planning.pilot(make_bids(1, treated=1, control=2)) is None
