"""How often the tests claim what is not there, find what is, and cover the truth.

    python benchmarks/calibration.py [--sets | --controls] [--studies 1000] [--json]

Simulates studies whose truth is known, by scenario (spread of accounts, drift, zero inflation, one
bidder more active, unequal rounds, missing cells) and by design (accounts per arm), and judges them
as ``echoaudit.inference`` does: account scores from a two-way fit, label permutation where it can
reach the level, else the t test; Holm over families. Beside it stands the published study's test,
Mann-Whitney on pooled bids, on the same data. Seeded; prints the table of docs/inference.md.

The fit is done for all studies at once here; :func:`check` compares it, and every decision, with
the package's own functions on some of the same studies. ``--sets`` prints the table of counts and
sets instead (``calibration_sets.py``), ``--controls`` those of the check of the controls
(``calibration_controls.py``).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import calibration_sets
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from echoaudit.inference import imc2023, scores, tests

Floats = NDArray[np.float64]
SITES, BIDDERS, ROUNDS = 4, 5, 2
"""Of each phase; a cell is one of each."""
ALPHA = 0.05
LIFT = 2.0
FAMILY = 9
"""Personas that share their controls, for the error of a family."""


@dataclass(frozen=True)
class Scenario:
    """What is true in a study besides the treatment."""

    name: str
    account_sd: float = 0.2
    """Spread of accounts; half of it again by account and bidder, and by account and phase."""
    bid_share: float = 0.6
    """Chance of a bid."""
    drift: float = 0.0
    """Rise of log prices over the study; accounts are interleaved at random in each round."""
    silent: float = 0.0
    """Share of account-visits in which no bidder bids: zeros that come in clumps."""
    active: bool = False
    """The cheapest bidder bids nearly always for treated accounts after the treatment."""
    short: bool = False
    """Every second account has only the first of the rounds after."""
    missing: float = 0.0
    """Share of visits that failed; besides, one control never saw the last site."""
    outliers: float = 0.0
    """Share of bids that are 30 times as high."""
    measure: scores.Measure = "value"
    vanish: bool = False
    """What is to be found is not a higher price but that treated accounts get no bid any more."""

    @property
    def direction(self) -> tests.Direction:
        """What the claim says."""
        return "lower" if self.vanish else "higher"


SCENARIOS = (
    Scenario("no spread of accounts", account_sd=0.0),
    Scenario("spread 0.1", account_sd=0.1),
    Scenario("spread 0.2"),
    Scenario("spread 0.3", account_sd=0.3),
    Scenario("drift", drift=1.0),
    Scenario("zero inflation, value of a bid", silent=0.3, bid_share=0.4),
    Scenario(
        "zero inflation, worth of a chance",
        silent=0.3,
        bid_share=0.4,
        measure="value-per-opportunity",
    ),
    Scenario("one bidder more active", active=True),
    Scenario("unequal rounds", short=True),
    Scenario("missing cells", missing=0.3),
    Scenario("outliers among bids", outliers=0.01),
    Scenario("bids that vanish, rate", measure="rate", vanish=True),
    Scenario("hardly any bids, rate", bid_share=0.1, measure="rate", vanish=True),
    Scenario(
        "hardly any bids, worth of a chance",
        bid_share=0.1,
        measure="value-per-opportunity",
        vanish=True,
    ),
)
DESIGNS = ((3, 6), (2, 4), (1, 6), (5, 5))


@dataclass(frozen=True)
class Studies:
    """Many simulated studies: log prices and what was observed, by phase (before, after)."""

    logs: Floats
    """Phase, study, account, cell."""
    bid: NDArray[np.bool_]
    """Whether there was a bid."""
    asked: NDArray[np.bool_]
    """Whether there was a visit: no bid without one is no zero."""


def simulate(
    rng: np.random.Generator,
    scenario: Scenario,
    studies: int,
    treated: int,
    control: int,
    lift: float = 1.0,
) -> Studies:
    """Log-normal bids with effects of account, site, bidder and round; treated accounts first."""
    n, sd = treated + control, scenario.account_sd
    shape = (2, studies, n, SITES, BIDDERS, ROUNDS)
    at = (np.arange(2)[:, None] * ROUNDS + np.arange(ROUNDS)) / (2 * ROUNDS)
    place = rng.random((2, studies, n, 1, 1, ROUNDS)) / (2 * ROUNDS)
    logs = (
        rng.normal(0, sd, (1, studies, n, 1, 1, 1))
        + rng.normal(0, sd / 2, (1, studies, n, 1, BIDDERS, 1))
        + rng.normal(0, sd / 2, (2, studies, n, 1, 1, 1))
        + rng.normal(0, 0.5, (1, studies, 1, SITES, 1, 1))
        + np.linspace(-0.7, 0.7, BIDDERS)[:, None]
        + rng.normal(0, 0.1, (2, studies, 1, 1, 1, ROUNDS))
        + scenario.drift * (at[:, None, None, None, None, :] + place)
        + rng.normal(0, 0.5, shape)
    )
    logs[1, :, :treated] += math.log(lift)
    if scenario.outliers:
        logs += math.log(30) * (rng.random(shape) < scenario.outliers)
    share = np.full((2, 1, n, 1, BIDDERS, 1), scenario.bid_share)
    if scenario.active:
        share[1, :, :treated, :, 0] = 0.95
    bid = rng.random(shape) < share
    bid &= rng.random((2, studies, n, SITES, 1, ROUNDS)) >= scenario.silent
    if scenario.vanish and lift != 1:
        bid[1, :, :treated] = False
    asked = np.broadcast_to(
        rng.random((2, studies, n, SITES, 1, ROUNDS)) >= scenario.missing, shape
    ).copy()
    if scenario.missing:
        asked[:, :, -1, -1] = False
    if scenario.short:
        asked[1, :, ::2, :, :, 1:] = False
    flat = (2, studies, n, SITES * BIDDERS * ROUNDS)
    return Studies(logs.reshape(flat), (bid & asked).reshape(flat), asked.reshape(flat))


def levels(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Accounts' levels of a two-way fit, for all studies at once: (study, account).

    NaN, as in ``scores``, for accounts with too few observations and for those that share no cell
    with the largest group.
    """
    enough = seen.sum(axis=2) >= scores.MIN_OBSERVATIONS
    linked = _linked(seen.astype(float))
    inside = seen & linked[..., None]
    mask = inside.astype(float)
    kept = np.where(inside, values, 0.0)
    size = np.maximum(mask.sum(axis=1), 1.0)[:, None, :]
    centred = np.where(inside, kept - kept.sum(axis=1)[:, None, :] / size, 0.0)
    counts = mask.sum(axis=2)
    laplacian = -(mask / size) @ mask.transpose(0, 2, 1)
    every = np.arange(mask.shape[1])
    laplacian[:, every, every] += counts
    effects = (np.linalg.pinv(laplacian, hermitian=True) @ centred.sum(axis=2)[..., None])[..., 0]
    mean = kept.sum(axis=(1, 2)) / counts.sum(axis=1)
    middle = (effects * linked).sum(axis=1) / linked.sum(axis=1)
    found = effects + (mean - middle)[:, None]
    return np.asarray(np.where(linked & enough, found, np.nan))


def _linked(mask: Floats) -> NDArray[np.bool_]:
    """Accounts of each study's largest group that cells link."""
    reach = (mask @ mask.transpose(0, 2, 1) > 0).astype(float)
    for _ in range(math.ceil(math.log2(mask.shape[1])) + 1):
        reach = (reach @ reach > 0).astype(float)
    largest = reach.sum(axis=2).argmax(axis=1)
    return np.asarray(reach[np.arange(len(mask)), largest] > 0)


def observed(studies: Studies, measure: scores.Measure) -> tuple[Floats, NDArray[np.bool_]]:
    """Values and where they are, as ``scores.observations`` has them for the measure."""
    if measure == "value":
        return studies.logs, studies.bid
    if measure == "rate":
        return studies.bid.astype(float), studies.asked
    assert measure == "value-per-opportunity"
    return np.where(studies.bid, np.exp(studies.logs), 0.0), studies.asked


def score(studies: Studies, measure: scores.Measure) -> Floats:
    """Accounts' scores, after minus before: (study, account)."""
    values, seen = observed(studies, measure)
    phases = [levels(values[phase], seen[phase]) for phase in (0, 1)]
    if measure != "value":
        bids = np.where(seen & (values > 0), values, np.nan)
        one = np.nanmedian(bids, axis=(0, 2, 3))[:, None]
        counts = seen.sum(axis=3)
        floors = [scores.floor(counts[phase], 1.0) * one for phase in (0, 1)]
        phases = [
            np.log(np.maximum(level, least)) for level, least in zip(phases, floors, strict=True)
        ]
    return np.asarray(phases[1] - phases[0])


@dataclass(frozen=True)
class Judged:
    """Decisions over many studies."""

    p: Floats
    low: Floats
    high: Floats


def judge(
    scored: Floats, treated: int, family: int = 1, direction: tests.Direction = "higher"
) -> Judged:
    """p of the test that decides (``examine``), and the interval of the log ratio.

    Accounts without a score are left out; a study that is unreplicated then claims nothing.
    """
    p = np.ones(len(scored))
    low, high = np.full(len(scored), -np.inf), np.full(len(scored), np.inf)
    patterns, which = np.unique(np.isnan(scored), axis=0, return_inverse=True)
    for number, lost in enumerate(patterns):
        rows = which == number
        k, m = int((~lost[:treated]).sum()), int((~lost[treated:]).sum())
        if (m >= 3 and k >= 1) or (k >= 2 and m >= 2):
            p[rows], low[rows], high[rows] = _judge(scored[rows][:, ~lost], k, family, direction)
    return Judged(p, low, high)


def _judge(
    scored: Floats, k: int, family: int, direction: tests.Direction
) -> tuple[Floats, Floats, Floats]:
    t = tests.t_tests(scored, k, direction)
    reaches = k > 1 and tests.smallest_p(k, scored.shape[1] - k, "higher") <= ALPHA / family
    p = tests.permutation_p(scored, k, direction) if reaches else t.p
    half = stats.t.ppf(0.975, t.df) * t.error
    return p, t.difference - half, t.difference + half


def pooled(studies: Studies, treated: int) -> Floats:
    """p of the published study's test on the bids after the treatment, of all studies.

    Log prices are continuous: without ties the test needs only the ranks.
    """
    logs, seen = studies.logs[1], studies.bid[1]
    flat = np.where(seen, logs, np.inf).reshape(len(logs), -1)
    ranks = np.empty(flat.shape)
    np.put_along_axis(ranks, flat.argsort(axis=1), np.arange(1.0, flat.shape[1] + 1), axis=1)
    ranks = np.where(seen, ranks.reshape(logs.shape), 0.0)
    k, n = seen[:, :treated].sum(axis=(1, 2)), seen.sum(axis=(1, 2))
    u = ranks[:, :treated].sum(axis=(1, 2)) - k * (k + 1) / 2
    expected, variance = k * (n - k) / 2, k * (n - k) * (n + 1) / 12
    z = (np.abs(u - expected) - 0.5) / np.sqrt(np.maximum(variance, 1e-9))
    # Without bids on either side there is no test: nothing is claimed.
    return np.asarray(np.where(variance > 0, np.minimum(1.0, 2 * stats.norm.sf(z)), 1.0))


@dataclass(frozen=True)
class Row:
    """One line of the table; shares of studies."""

    scenario: str
    treated: int
    control: int
    test: str
    false_claims: float
    family_wise: float | None
    """Any false claim among nine personas that share their controls, after Holm."""
    pooled: float
    """Mann-Whitney on pooled bids, two-sided at 5 %, no correction."""
    power: float
    covered: float
    """95 % intervals that hold the truth, over null and lifted studies; no ratio of vanished bids
    is true."""
    studies: int


def measure(scenario: Scenario, design: tuple[int, int], studies: int, seed: int) -> Row:
    """Judge null and lifted studies of one scenario and design."""
    treated, control = design
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), treated, control])
    null = simulate(rng, scenario, studies, treated, control)
    without = judge(score(null, scenario.measure), treated, 1, scenario.direction)
    lifted = simulate(rng, scenario, studies, treated, control, LIFT)
    found = judge(score(lifted, scenario.measure), treated, 1, scenario.direction)
    truth = math.log(LIFT)
    covered = (without.low <= 0) & (without.high >= 0)
    if not scenario.vanish:
        there = (found.low <= truth) & (found.high >= truth)
        covered = np.concatenate([covered, there])
    reaches = treated > 1 and tests.smallest_p(treated, control, "higher") <= ALPHA
    test = "permutation" if reaches else "t" if treated > 1 else "Crawford-Howell"
    return Row(
        scenario.name,
        treated,
        control,
        test,
        float((without.p <= ALPHA).mean()),
        family_wise(scenario, studies, seed) if design == DESIGNS[0] else None,
        float((pooled(null, treated) <= ALPHA).mean()),
        float((found.p <= ALPHA).mean()),
        float(covered.mean()),
        studies,
    )


def family_wise(scenario: Scenario, studies: int, seed: int) -> float:
    """Share of studies of nine personas with any claim after Holm, where nothing is true."""
    treated, control = DESIGNS[0]
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), FAMILY])
    people = FAMILY * treated
    whole = simulate(rng, scenario, studies, people, control)
    scored = score(whole, scenario.measure)
    p_values = [
        judge(
            np.concatenate(
                [scored[:, treated * n : treated * (n + 1)], scored[:, people:]], axis=1
            ),
            treated,
            FAMILY,
            scenario.direction,
        ).p
        for n in range(FAMILY)
    ]
    smallest = np.min(p_values, axis=0)
    # Holm rejects any claim exactly when it rejects the one with the smallest p.
    return float((smallest * FAMILY <= ALPHA).mean())


def check(scenario: Scenario, design: tuple[int, int], seed: int, studies: int = 5) -> None:
    """The batch arithmetic equals the package's, study by study; ``AssertionError`` otherwise."""
    treated, control = design
    drawn = simulate(np.random.default_rng(seed), scenario, studies, treated, control)
    values, seen = observed(drawn, scenario.measure)
    together = score(drawn, scenario.measure)
    judged, by_bids = judge(together, treated, 1, scenario.direction), pooled(drawn, treated)
    for study in range(studies):
        own = []
        one = scores.unit(values[:, study][seen[:, study]], scenario.measure)
        for phase in (0, 1):
            account, cell = np.nonzero(seen[phase, study])
            fit = scores.two_way(
                values[phase, study][account, cell], account, cell, treated + control
            )
            own.append(
                fit.levels
                if one is None
                else np.log(np.maximum(fit.levels, scores.floor(fit.counts, one)))
            )
            own[-1][fit.counts < scores.MIN_OBSERVATIONS] = np.nan
        alone = own[1] - own[0]
        prices, there = drawn.logs[1, study], drawn.bid[1, study]
        arms = prices[treated:][there[treated:]], prices[:treated][there[:treated]]
        published = imc2023.pooled_test(*arms).p if min(map(len, arms)) else 1.0
        np.testing.assert_allclose(by_bids[study], published, rtol=0, atol=1e-9)
        np.testing.assert_allclose(together[study], alone, rtol=0, atol=1e-9)
        ours, theirs = (arm[~np.isnan(arm)] for arm in (alone[:treated], alone[treated:]))
        t = tests.t_test(ours, theirs, scenario.direction)
        exact = tests.permutation_test(ours, theirs, scenario.direction)
        decides = len(ours) > 1 and exact.smallest_p <= ALPHA
        np.testing.assert_allclose(judged.p[study], exact.p if decides else t.p, atol=1e-9)
        np.testing.assert_allclose(
            (judged.low[study], judged.high[study]), t.interval(), rtol=0, atol=1e-9
        )


def table(studies: int, seed: int = 1) -> Iterator[Row]:
    """All rows, each checked against the package on some studies first."""
    for scenario in SCENARIOS:
        for design in DESIGNS if scenario in SCENARIOS[:4] else DESIGNS[:2]:
            check(scenario, design, seed)
            yield measure(scenario, design, studies, seed)


HEADER = (
    "| scenario | accounts | test | false claims | any of nine (Holm) | pooled bids | "
    "power at 2× | interval covers |\n|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """A row of the Markdown table."""
    family = "" if row.family_wise is None else f"{100 * row.family_wise:.1f} %"
    return (
        f"| {row.scenario} | {row.treated} + {row.control} | {row.test} | "
        f"{100 * row.false_claims:.1f} % | {family} | {100 * row.pooled:.0f} % | "
        f"{100 * row.power:.0f} % | {100 * row.covered:.1f} % |"
    )


def show(studies: int, seed: int, as_json: bool) -> None:
    """Print the table, as Markdown or as JSON."""
    rows = []
    if not as_json:
        print(HEADER)
    for row in table(studies, seed):
        rows.append(row)
        if not as_json:
            print(line(row), flush=True)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sets", action="store_true", help="counts and sets instead of bids")
    parser.add_argument("--controls", action="store_true", help="the check of the controls")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.process_time()
    if options.sets:
        calibration_sets.show(options.studies, options.seed, options.json)
    elif options.controls:
        import calibration_controls

        calibration_controls.show(options.studies, options.seed, options.json)
    else:
        show(options.studies, options.seed, options.json)
    error = 100 * math.sqrt(ALPHA * (1 - ALPHA) / options.studies)
    print(
        f"{options.studies} studies a row, {time.process_time() - started:.0f} s of CPU; "
        f"simulation error of 5 %: {error:.1f} points",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
