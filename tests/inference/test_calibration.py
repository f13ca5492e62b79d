"""The benchmark's simulations: a small run holds its rates and equals the package's arithmetic."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_bids, make_delivery
from test_claims_about_sets import tables
from test_conclude import SMALL

from echoaudit.inference import conclude_all
from echoaudit.study.models import Claim

PLACE = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, PLACE / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


calibration_sets = load("calibration_sets")
calibration = load("calibration")
calibration_controls = load("calibration_controls")
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


def most(runs, level=0.05):
    return level + 2.6 * math.sqrt(level * (1 - level) / runs)


@pytest.mark.parametrize("scenario", calibration_sets.SCENARIOS, ids=lambda s: s.name)
def test_counts_and_sets_hold_their_level_alone_and_in_families(scenario):
    row = calibration_sets.measure(scenario, (3, 6), RUNS, seed=11)
    assert max(*row.false_claims.values(), row.family_wise) <= most(RUNS)


def test_what_only_treated_accounts_have_is_found():
    row = calibration_sets.measure(calibration_sets.SCENARIOS[0], (3, 6), RUNS, seed=11)
    assert min(row.power["count"], row.power["exclusive"]) > 0.8
    assert row.power["distance"] > 0.6


def test_the_simulated_decisions_are_those_of_whole_studies():
    """The same sets as tables of findings, judged through :func:`conclude_all`."""
    scenario, k, m = calibration_sets.SCENARIOS[1], 3, 6
    rng = np.random.default_rng(2)
    before, after = calibration_sets.simulate(rng, scenario, 12, k + m)
    after = calibration_sets.treated_own(rng, after, k)
    item = after[:, :, -1]
    states = set()
    for study in range(12):
        sets = [frozenset(f"t{n}" for n in np.flatnonzero(own)) for own in after[study]]
        facts = tables(sets)
        last = f"t{after.shape[2] - 1}"
        for measure in calibration_sets.MEASURES[1:]:
            p = calibration_sets.p_values(
                measure, before[study : study + 1], after[study : study + 1],
                item[study : study + 1], k,
            )[0]  # fmt: skip
            claim = Claim(
                claim="c", outcome="interests", measure=measure, treated="fashion",
                control="vanilla", item=last if measure == "accounts" else None,
                direction="different" if measure == "distance" else "higher",
            )  # fmt: skip
            (found,) = conclude_all([claim], facts)
            assert found.test.p == pytest.approx(p, abs=1e-6)
            assert (found.state == "supported") == (p <= calibration_sets.ALPHA)
            states.add(found.state)
    assert states == {"supported", "not supported"}


@pytest.mark.parametrize("size", [4, 6, 8])
def test_the_check_of_controls_holds_its_level_and_notices_kinds(size):
    alike = calibration_controls.measure(size, "alike", 1.0, RUNS, seed=3)
    assert alike.failed <= most(RUNS, 0.01)
    for kind in ("every second", "first half"):
        kinds = calibration_controls.measure(size, kind, 6.0, RUNS, seed=3)
        assert kinds.failed > (0.2 if size == 4 else 0.95)
        assert kinds.supported <= most(RUNS)


def test_the_check_of_sets_holds_its_level_and_notices_kinds_where_it_can():
    few = calibration_controls.measure_sets(6, "first half", RUNS, seed=3)
    assert max(few.failed.values()) == 0
    alike, kinds = (
        calibration_controls.measure_sets(12, kind, RUNS, seed=3)
        for kind in ("alike", "first half")
    )
    assert max(alike.failed.values()) <= most(RUNS, 0.01)
    assert min(kinds.failed.values()) > 0.15


def test_the_simulated_check_is_that_of_whole_studies():
    """The same scores as bids, judged through :func:`conclude_all`."""
    failed = set()
    for seed in range(6):
        bids = make_bids(seed, **SMALL)
        if seed % 2:
            last = bids["account"].isin(["vanilla-4", "vanilla-5", "vanilla-6"])
            bids.loc[last & (bids["phase"] == "after"), "cpm_usd"] *= 9
        claim = Claim(claim="c", treated="fashion", control="vanilla")
        (found,) = conclude_all([claim], {"bids": bids, "delivery": make_delivery()})
        check = found.diagnostics.controls
        scores = np.array([[one.score for one in found.control.scores]])
        assert calibration_controls.fails(scores)[0] == (check.passed is False)
        failed.add(check.passed)
    assert failed == {True, False}
