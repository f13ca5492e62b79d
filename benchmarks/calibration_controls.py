"""How often the check of the controls fails where they are alike, and where they are of two kinds.

    python benchmarks/calibration.py --controls [--studies 1000] [--json]

Simulates the controls of a study as ``calibration.py`` does, with spread 0.2, and makes half of
them another kind: after the treatment their prices are twice or six times as high, or they have
four things of their own. The kinds are every second account, the first half, or drawn at random.
Beside it: a claim of ``different`` where the treated accounts are of the first kind and nothing was
done to them. Seeded; prints the tables of docs/inference.md.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import calibration
import calibration_sets
import numpy as np
from numpy.typing import NDArray

from echoaudit.inference import sets, tests
from echoaudit.inference.halves import FAMILY, divisions

Floats = NDArray[np.float64]
ALPHA = calibration.ALPHA
LEVEL = ALPHA / FAMILY
TREATED = 3
SIZES = (4, 6, 8, 12)
KINDS = ("alike", "every second", "first half", "at random")
FACTORS = (2.0, 6.0)
SET_SIZES = (6, 9, 12)
SET_MEASURES = ("count", "distance", "exclusive", "accounts")
SPREAD = next(s for s in calibration.SCENARIOS if s.name == "spread 0.2")


def kinds(rng: np.random.Generator, kind: str, studies: int, size: int) -> NDArray[np.bool_]:
    """Which controls of each study are of the other kind: half of them, or none."""
    other = np.zeros((studies, size), dtype=bool)
    if kind == "every second":
        other[:, 1::2] = True
    elif kind == "first half":
        other[:, : (size + 1) // 2] = True
    elif kind == "at random":
        order = rng.random((studies, size)).argsort(axis=1)
        other = order < size // 2
    return other


def places(size: int) -> Iterator[tuple[list[int], list[int]]]:
    """The divisions of so many controls, as columns."""
    for _, first, second in divisions([str(n) for n in range(size)]):
        yield [int(n) for n in first], [int(n) for n in second]


def fails(scores: Floats) -> NDArray[np.bool_]:
    """Whether the check of controls' scores (study, account) fails (``halves.control_check``)."""
    failed = np.zeros(len(scores), dtype=bool)
    for first, second in places(scores.shape[1]):
        if min(len(first), len(second)) >= 2:
            failed |= two_sided(scores[:, [*first, *second]], len(first), LEVEL) <= LEVEL
    return failed


def two_sided(scores: Floats, k: int, level: float) -> Floats:
    """p of the test of ``different`` that decides at a level."""
    if tests.smallest_p(k, scores.shape[1] - k, "different") <= level:
        return tests.permutation_p(scores, k, "different")
    return tests.t_tests(scores, k, "different").p


@dataclass(frozen=True)
class Row:
    """One line of the table; shares of studies."""

    controls: int
    kinds: str
    factor: float
    failed: float
    """The check of the controls fails."""
    claimed: float
    """The claim is rejected, whatever the check says."""
    supported: float
    """The claim is rejected and the check passes."""
    studies: int


def measure(size: int, kind: str, factor: float, studies: int, seed: int) -> Row:
    """Check and judge studies whose controls are of two kinds."""
    rng = np.random.default_rng([seed, size, KINDS.index(kind), int(factor)])
    drawn = calibration.simulate(rng, SPREAD, studies, TREATED, size)
    other = np.zeros((studies, TREATED + size), dtype=bool)
    other[:, TREATED:] = kinds(rng, kind, studies, size)
    drawn.logs[1] += math.log(factor) * other[..., None]
    scored = calibration.score(drawn, "value")
    assert not np.isnan(scored).any()
    failed = fails(scored[:, TREATED:])
    claimed = two_sided(scored, TREATED, ALPHA) <= ALPHA
    return Row(
        size, kind, factor, float(failed.mean()), float(claimed.mean()),
        float((claimed & ~failed).mean()), studies,
    )  # fmt: skip


@dataclass(frozen=True)
class SetRow:
    """One line of the table of sets: shares of studies whose check fails, by measure."""

    controls: int
    kinds: str
    smallest_p: float
    failed: dict[str, float]
    studies: int


def measure_sets(size: int, kind: str, studies: int, seed: int) -> SetRow:
    """Check controls of which half have things of their own."""
    rng = np.random.default_rng([seed, size, KINDS.index(kind)])
    scenario = calibration_sets.SCENARIOS[0]
    before, after = calibration_sets.simulate(rng, scenario, studies, size)
    other = kinds(rng, kind, studies, size)
    shape = (studies, size, calibration_sets.OWN)
    own = (rng.random(shape) < calibration_sets.SHARE) & other[..., None]
    item = rng.random((studies, size)) < np.where(other, 0.9, 0.1 if kind != "alike" else 0.5)
    more = calibration_sets.simulate(rng, scenario, studies, size)[1] & other[..., None]
    having = {
        "count": np.concatenate([after, more], axis=2),
        "distance": np.concatenate([after, own], axis=2),
    }
    having["exclusive"] = having["accounts"] = having["distance"]
    failed = {name: float(_fails(name, before, having[name], item).mean()) for name in SET_MEASURES}
    half = size // 2
    least = tests.smallest_p(size - half, half, "different")
    return SetRow(size, kind, least, failed, studies)


def _fails(
    name: str, before: NDArray[np.bool_], after: NDArray[np.bool_], item: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    failed = np.zeros(len(after), dtype=bool)
    for first, second in places(after.shape[1]):
        order, k = [*first, *second], len(first)
        failed |= _p(name, before[:, order], after[:, order], item[:, order], k) <= LEVEL
    return failed


def _p(
    name: str,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    item: NDArray[np.bool_],
    k: int,
) -> Floats:
    m = after.shape[1] - k
    if name == "count":
        half = calibration_sets.HALF
        scores = np.log(after.sum(axis=2) + half) - np.log(before.sum(axis=2) + half)
        return tests.permutation_p(scores, k, "different")
    if name == "accounts":
        pairs = zip(item[:, :k].sum(axis=1), item[:, k:].sum(axis=1), strict=True)
        return np.array([sets.fisher((int(a), k), (int(b), m), "different").p for a, b in pairs])
    found = []
    for own in after.astype(float):
        if name == "distance":
            found.append(sets.distance_test(own, k).test.p)
        else:
            turned = np.concatenate([own[k:], own[:k]])
            both = sets.exclusive_test(own, k).test.p, sets.exclusive_test(turned, m).test.p
            found.append(min(1.0, 2 * min(both)))
    return np.array(found)


def table(studies: int, seed: int = 1) -> Iterator[Row]:
    """All rows about bids."""
    for size in SIZES:
        yield measure(size, "alike", 1.0, studies, seed)
        for kind in KINDS[1:]:
            for factor in FACTORS:
                yield measure(size, kind, factor, studies, seed)


def set_table(studies: int, seed: int = 1) -> Iterator[SetRow]:
    """All rows about counts and sets."""
    for size in SET_SIZES:
        for kind in KINDS:
            yield measure_sets(size, kind, studies, seed)


HEADER = (
    "| controls | kinds | times | check fails | claimed | claimed and passed |\n"
    "|---|---|---|---|---|---|"
)
SET_HEADER = (
    "| controls | kinds | smallest p | check fails: count | distance | exclusive | accounts |\n"
    "|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """A row of the Markdown table."""
    shares = (row.failed, row.claimed, row.supported)
    factor = "" if row.kinds == "alike" else f"{row.factor:.0f}"
    cells = (str(row.controls), row.kinds, factor, *(f"{100 * s:.1f} %" for s in shares))
    return f"| {' | '.join(cells)} |"


def set_line(row: SetRow) -> str:
    """A row of the Markdown table of sets."""
    shares = [f"{100 * row.failed[name]:.1f} %" for name in SET_MEASURES]
    return f"| {row.controls} | {row.kinds} | {row.smallest_p:.2g} | {' | '.join(shares)} |"


def show(studies: int, seed: int, as_json: bool) -> None:
    """Print the tables, as Markdown or as JSON."""
    if as_json:
        rows = [asdict(row) for row in (*table(studies, seed), *set_table(studies, seed))]
        json.dump(rows, sys.stdout, indent=2)
        print()
        return
    print(HEADER)
    for row in table(studies, seed):
        print(line(row), flush=True)
    print(f"\n{SET_HEADER}")
    for found in set_table(studies, seed):
        print(set_line(found), flush=True)
