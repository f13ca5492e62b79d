"""Tests on the sets of things that accounts had: hosts contacted, parties synced with, ads heard.

Accounts are rows of an incidence matrix and things its columns; the first ``k`` rows are the
treated accounts. What is permuted is always the accounts' labels, never requests or plays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from echoaudit.inference.tests import (
    DRAWS,
    EXACT_LABELINGS,
    TOLERANCE,
    Direction,
    Floats,
    Permutation,
    labelings,
)

FEWEST = 2
"""Accounts that must have a thing before it can be called a persona's own."""
SIDES = {"higher": "greater", "lower": "less", "different": "two-sided"}


def incidence(sets: Sequence[frozenset[str]]) -> tuple[Floats, tuple[str, ...]]:
    """Accounts by things: 1 where the account had the thing; and the things, sorted."""
    things = tuple(sorted(frozenset[str]().union(*sets)))
    place = {thing: number for number, thing in enumerate(things)}
    matrix = np.zeros((len(sets), len(things)))
    for row, own in enumerate(sets):
        matrix[row, [place[thing] for thing in own]] = 1.0
    return matrix, things


def jaccard(matrix: Floats) -> Floats:
    """Distances of all pairs of accounts: 1 - shared things / things of either; 0 if both empty."""
    shared = matrix @ matrix.T
    sizes = matrix.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - shared
    return 1.0 - np.where(either > 0, shared / np.maximum(either, 1), 1.0)


@dataclass(frozen=True)
class Distances:
    """Mean Jaccard distances of a division of accounts, and its test."""

    between: float
    """Of a treated and a control account."""
    within: float | None
    """Of two accounts of the same persona; ``None`` when each arm has one."""
    explained: float
    """Share of the squared distances that the division accounts for (R squared)."""
    test: Permutation


def distance_test(matrix: Floats, k: int) -> Distances:
    """Whether accounts of different personas are less alike than those of one.

    Permutational analysis of variance (Anderson 2001) on Jaccard distances: the statistic is the
    sum of squared distances inside the arms, small when the division matters. Raises
    ``ValueError`` when an arm has no account.
    """
    n = len(matrix)
    if not 0 < k < n:
        raise ValueError("a comparison needs an account in each arm")
    distances = jaccard(matrix)
    squares = distances**2
    own = np.zeros((1, n))
    own[0, :k] = 1.0
    inside = _inside(squares, own)[0]
    labels = labelings(n, k)
    permuted = _inside(squares, labels)
    test = _permutation((permuted <= inside + TOLERANCE).sum(), n, k, symmetric=2 * k == n)
    total = squares.sum() / 2 / n
    pairs = [distances[:k, :k], distances[k:, k:]]
    upper = np.concatenate([block[np.triu_indices(len(block), 1)] for block in pairs])
    return Distances(
        between=float(distances[:k, k:].mean()),
        within=float(upper.mean()) if len(upper) else None,
        explained=float(1 - inside / total) if total > 0 else 0.0,
        test=test,
    )


def _inside(squares: Floats, labels: Floats) -> Floats:
    """Per labeling: squared distances inside each arm over twice its size, added up."""
    others = 1.0 - labels
    k, m = labels.sum(axis=1), others.sum(axis=1)
    return np.asarray(
        ((labels @ squares) * labels).sum(axis=1) / 2 / k
        + ((others @ squares) * others).sum(axis=1) / 2 / m
    )


@dataclass(frozen=True)
class Own:
    """Things of treated accounts only, and what chance would have given."""

    things: tuple[int, ...]
    """Columns of the matrix."""
    expected: float
    """Mean number over the labelings."""
    test: Permutation


def exclusive_test(matrix: Floats, k: int) -> Own:
    """Whether more things are treated accounts' own than labels dealt at random would give.

    A thing counts when at least ``FEWEST`` treated accounts had it and no control did. Raises
    ``ValueError`` when an arm has no account.
    """
    n = len(matrix)
    if not 0 < k < n:
        raise ValueError("a comparison needs an account in each arm")
    totals = matrix.sum(axis=0)
    common = totals >= FEWEST
    found = np.flatnonzero(common & (matrix[:k].sum(axis=0) == totals))
    labels = labelings(n, k)
    counts = ((labels @ matrix[:, common]) == totals[common]).sum(axis=1)
    test = _permutation((counts >= len(found)).sum(), n, k)
    return Own(tuple(int(column) for column in found), float(counts.mean()), test)


def _permutation(as_extreme: int, n: int, k: int, *, symmetric: bool = False) -> Permutation:
    """p from the number of labelings at least as extreme; ``symmetric``: swapped arms are equal."""
    total = math.comb(n, k)
    exact = total <= EXACT_LABELINGS
    p = int(as_extreme) / total if exact else (1 + int(as_extreme)) / (1 + DRAWS)
    least = (1 / total if exact else 1 / (1 + DRAWS)) * (2 if symmetric and exact else 1)
    return Permutation(min(1.0, p), total if exact else DRAWS, exact, min(1.0, least))


@dataclass(frozen=True)
class Fisher:
    """How many accounts of each arm had a thing, compared."""

    p: float
    smallest_p: float
    """With so many accounts, all treated ones and no control having it."""
    difference: float
    """Share of treated accounts minus share of controls."""
    low: float
    """95 % interval of the difference (Newcombe 1998, from Wilson's intervals)."""
    high: float


def fisher(treated: tuple[int, int], controls: tuple[int, int], direction: Direction) -> Fisher:
    """Fisher's exact test on accounts: ``(accounts with the thing, accounts)`` of each arm.

    It is the permutation test of the accounts' labels. Raises ``ValueError`` when an arm has no
    account.
    """
    (a, n), (b, m) = treated, controls
    if not n or not m:
        raise ValueError("a comparison needs an account in each arm")
    table = [[a, n - a], [b, m - b]]
    p = float(stats.fisher_exact(table, alternative=SIDES[direction]).pvalue)
    extreme = [[n, 0], [0, m]] if direction != "lower" else [[0, n], [m, 0]]
    least = float(stats.fisher_exact(extreme, alternative=SIDES[direction]).pvalue)
    ours, theirs = _wilson(a, n), _wilson(b, m)
    first, second = a / n, b / m
    low = math.hypot(first - ours[0], theirs[1] - second)
    high = math.hypot(ours[1] - first, second - theirs[0])
    difference = first - second
    return Fisher(min(1.0, p), least, difference, difference - low, difference + high)


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    found = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
