"""The benchmark's simulations: a small run holds its rates and equals the package's arithmetic."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
SPEC = importlib.util.spec_from_file_location("calibration", PATH)
calibration = importlib.util.module_from_spec(SPEC)
sys.modules["calibration"] = calibration
SPEC.loader.exec_module(calibration)
RUNS = 200


@pytest.mark.parametrize("scenario", calibration.SCENARIOS, ids=lambda s: s.name.replace(" ", "-"))
def test_batches_equal_the_package_and_hold_their_level(scenario):
    """False claims are at most 5 % plus simulation error in every scenario."""
    calibration.check(scenario, (3, 6), seed=3, studies=2)
    calibration.check(scenario, (1, 6), seed=3, studies=1)
    null = calibration.simulate(np.random.default_rng(5), scenario, RUNS, 2, 4)
    judged = calibration.judge(calibration.score(null, scenario.measure), 2)
    assert (judged.p <= calibration.ALPHA).mean() <= most(RUNS)


def test_twice_the_price_is_found_and_covered_and_families_hold_their_level():
    scenario = calibration.SCENARIOS[2]
    row = calibration.measure(scenario, (3, 6), RUNS, seed=7)
    assert (row.treated, row.control, row.test) == (3, 6, "permutation")
    assert row.power >= 0.95
    assert 0.92 <= row.covered <= 0.98
    assert row.pooled > 0.1
    assert max(row.false_claims, row.family_wise) <= most(RUNS)


def most(runs):
    return 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)
