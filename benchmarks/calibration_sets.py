"""How often the tests of counts and sets claim what is not there, and find what is.

    python benchmarks/calibration.py --sets [--studies 1000] [--json]

Simulates what accounts had (hosts contacted, ads seen, interests): things of unequal popularity,
by accounts of unequal activity, before and after the treatment. Judged as ``echoaudit.inference``
does, with its own tests of counts, distances, exclusive things and accounts that had one. Seeded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from echoaudit.inference import sets, tests
from echoaudit.inference.examine import HALF

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ALPHA = 0.05
DESIGNS = ((3, 6), (2, 4), (5, 5), (5, 10))
FAMILY = 4
"""Personas that share their controls, for the error of a family: as many as 3 + 6 can support."""
MEASURES = ("count", "distance", "exclusive", "accounts")
OWN, SHARE = 4, 0.8
"""Things of the treated persona's own where something is true, and the share of its accounts."""


@dataclass(frozen=True)
class Scenario:
    """What is true of all accounts alike."""

    name: str
    things: int = 40
    popularity: float = -0.8
    """Mean log odds that an account has a thing; things differ by a standard deviation of 1.5."""
    activity: float = 0.0
    """Spread of accounts, log odds: one that does more has more of everything."""
    clumps: int = 1
    """Things that come together: an account has all of them or none."""


SCENARIOS = (
    Scenario("accounts alike"),
    Scenario("accounts of unequal activity", activity=0.8),
    Scenario("things that come together", clumps=5),
    Scenario("rare things", things=200, popularity=-4.0),
    Scenario("few things", things=4, popularity=0.0),
)


def simulate(
    rng: np.random.Generator, scenario: Scenario, studies: int, accounts: int
) -> tuple[Bools, Bools]:
    """What accounts had before and after: (study, account, thing)."""
    groups = scenario.things // scenario.clumps
    odds = scenario.popularity + rng.normal(0, 1.5, (studies, 1, groups))
    odds = odds + rng.normal(0, 1.0, (studies, accounts, 1)) * scenario.activity
    share = 1 / (1 + np.exp(-odds))
    before, after = (
        np.repeat(rng.random(odds.shape) < share, scenario.clumps, axis=2) for _ in range(2)
    )
    return before, after


def treated_more(rng: np.random.Generator, scenario: Scenario, found: Bools, k: int) -> Bools:
    """The same with as many other things again for the treated accounts: twice the count."""
    other = simulate(rng, scenario, len(found), found.shape[1])[1]
    other[:, k:] = False
    return np.concatenate([found, other], axis=2)


def treated_own(rng: np.random.Generator, found: Bools, k: int) -> Bools:
    """The same with ``OWN`` things that a share of the treated accounts have and nobody else."""
    own = rng.random((*found.shape[:2], OWN)) < SHARE
    own[:, k:] = False
    return np.concatenate([found, own], axis=2)


def one_thing(rng: np.random.Generator, shape: tuple[int, int], k: int, lifted: bool) -> Bools:
    """Which accounts had the one thing that is asked for: half of all, or nine in ten and one."""
    share = np.full(shape, 0.5)
    if lifted:
        share[:, :k], share[:, k:] = 0.9, 0.1
    return rng.random(shape) < share


def p_values(measure: str, before: Bools, after: Bools, item: Bools, k: int) -> Floats:
    """p of each study by the package's test; ``k`` treated accounts come first."""
    if measure == "count":
        scores = np.log(after.sum(axis=2) + HALF) - np.log(before.sum(axis=2) + HALF)
        return tests.permutation_p(scores, k, "higher")
    if measure == "accounts":
        having = zip(item[:, :k].sum(axis=1), item[:, k:].sum(axis=1), strict=True)
        m = item.shape[1] - k
        return np.array([_fisher((int(a), k), (int(b), m)) for a, b in having])
    test = sets.distance_test if measure == "distance" else sets.exclusive_test
    return np.array([test(own.astype(float), k).test.p for own in after])


@cache
def _fisher(treated: tuple[int, int], controls: tuple[int, int]) -> float:
    return sets.fisher(treated, controls, "higher").p


@dataclass(frozen=True)
class Row:
    """One line of the table: shares of studies, by measure."""

    scenario: str
    treated: int
    control: int
    smallest_p: float
    false_claims: dict[str, float]
    family_wise: float | None
    """Any false claim among four personas with common controls, after Holm: worst measure."""
    power: dict[str, float]
    studies: int


def measure(scenario: Scenario, design: tuple[int, int], studies: int, seed: int) -> Row:
    """Judge null and lifted studies of one scenario and design."""
    k, m = design
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), k, m])
    before, after = simulate(rng, scenario, studies, k + m)
    lifted = {
        "count": treated_more(rng, scenario, after, k),
        "distance": treated_own(rng, after, k),
    }
    lifted["exclusive"] = lifted["accounts"] = lifted["distance"]
    alike, unlike = (one_thing(rng, (studies, k + m), k, lift) for lift in (False, True))
    null = {name: p_values(name, before, after, alike, k) for name in MEASURES}
    found = {name: p_values(name, before, lifted[name], unlike, k) for name in MEASURES}
    return Row(
        scenario.name,
        k,
        m,
        tests.smallest_p(k, m, "higher"),
        {name: float((p <= ALPHA).mean()) for name, p in null.items()},
        family_wise(scenario, studies, seed) if design == DESIGNS[0] else None,
        {name: float((p <= ALPHA).mean()) for name, p in found.items()},
        studies,
    )


def family_wise(scenario: Scenario, studies: int, seed: int) -> float:
    """Share of studies of four personas with any claim after Holm; nothing is true."""
    k, m = DESIGNS[0]
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), FAMILY])
    whole = simulate(rng, scenario, studies, FAMILY * k + m)
    item = one_thing(rng, whole[0].shape[:2], k, lifted=False)
    worst = 0.0
    for name in MEASURES:
        smallest = np.ones(studies)
        for n in range(FAMILY):
            chosen = [*range(n * k, n * k + k), *range(FAMILY * k, FAMILY * k + m)]
            own = p_values(name, whole[0][:, chosen], whole[1][:, chosen], item[:, chosen], k)
            smallest = np.minimum(smallest, own)
        # Holm rejects any claim exactly when it rejects the one with the smallest p.
        worst = max(worst, float((smallest * FAMILY <= ALPHA).mean()))
    return worst


HEADER = (
    "| scenario | accounts | smallest p | false: count | distance | exclusive | accounts | "
    "any of four (Holm) | power: count | distance | exclusive | accounts |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """A row of the Markdown table."""
    cells = [
        row.scenario,
        f"{row.treated} + {row.control}",
        f"{row.smallest_p:.2g}",
        *(f"{100 * row.false_claims[name]:.1f} %" for name in MEASURES),
        "" if row.family_wise is None else f"{100 * row.family_wise:.1f} %",
        *(f"{100 * row.power[name]:.0f} %" for name in MEASURES),
    ]
    return f"| {' | '.join(cells)} |"


def table(studies: int, seed: int = 1) -> Iterator[Row]:
    """All rows."""
    for scenario in SCENARIOS:
        for design in DESIGNS:
            yield measure(scenario, design, studies, seed)


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
        json.dump([asdict(row) for row in rows], sys.stdout, indent=2)
        print()
