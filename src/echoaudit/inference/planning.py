"""How many accounts, rounds and sites a study needs: power by simulation, before anything is run.

An account's score has two parts of spread: how differently accounts change whatever is done to
them, which only more accounts average out, and the noise of single bids, which more sites and
rounds average out. Both are stated, or estimated from a pilot recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from echoaudit.inference import tests
from echoaudit.inference.scores import Coded, Observations, code, observations, two_way
from echoaudit.inference.tests import Direction, Floats

MOST_LABELINGS = 500
"""Above so many labelings the t test stands in for permutation: simulating all of them takes long,
and their powers differ by less than a point then."""
SIMULATIONS = 2_000
TREATED = (2, 3, 4, 5, 6, 8, 10, 15, 20)
"""Treated accounts that are tried, with one to three times as many controls."""
MULTIPLES = (1, 2, 3)
SITES = (5, 10, 20, 50, 100, 200)
ROUNDS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Variances:
    """Standard deviations on the log scale, and how many bids a visit brings."""

    change: float
    """Of accounts' change from before to after, freed of the noise of bids."""
    level: float
    """Of accounts' lasting levels: they count when there is no baseline."""
    bid: float
    """Of one bid around its account and cell."""
    bids_per_visit: float
    accounts: int | None = None
    """Accounts that they were estimated from; ``None`` when they are stated."""
    change_low: float | None = None
    """80 % interval of ``change`` and noise together in the pilot, from chi squared."""
    change_high: float | None = None

    def score(self, sites: int, before: int, after: int) -> float:
        """Standard deviation of accounts' scores with so many sites and rounds."""
        per_round = max(self.bids_per_visit * sites, 1e-9)
        noise = self.bid**2 / (per_round * after)
        if before:
            return math.sqrt(self.change**2 + noise + self.bid**2 / (per_round * before))
        return math.sqrt(self.level**2 + self.change**2 / 2 + noise)


ASSUMED = Variances(change=0.14, level=0.2, bid=0.5, bids_per_visit=6.0)
"""Of simulated accounts as in docs/inference.md; real ones may differ: run a pilot."""


def pilot(bids: pd.DataFrame) -> Variances | None:
    """Variances of a recording's bids, of accounts around the mean of their persona.

    ``None`` when there are not two degrees of freedom: three accounts of one persona, or two of
    two personas, that can be scored.
    """
    coded = code(bids)
    rows = observations(coded, "value")
    total = len(coded.accounts)
    fits = [
        two_way(rows.value[chosen], rows.account[chosen], rows.cell[chosen], total)
        for chosen in (rows.before, rows.after)
    ]
    before, after = (fit.levels for fit in fits)
    baseline = bool(rows.before.any())
    scores = after - before if baseline else after
    persona = dict(zip(bids["account"].astype(str), bids["persona"].astype(str), strict=True))
    groups = [
        [n for n, a in enumerate(coded.accounts) if persona[a] == p and not np.isnan(scores[n])]
        for p in sorted({persona[a] for a in coded.accounts})
    ]
    groups = [own for own in groups if len(own) > 1]
    df = sum(len(own) - 1 for own in groups)
    if df < 2:
        return None
    bid = math.sqrt(_residual(coded, rows))
    used = [n for own in groups for n in own]
    counts = [fit.counts[used] for fit in fits if baseline or fit is fits[1]]
    noise = bid**2 * float(np.mean([np.mean(1 / np.maximum(c, 1)) for c in counts])) * len(counts)
    spread = sum(((scores[own] - scores[own].mean()) ** 2).sum() for own in groups) / df
    levels = after if not baseline else (before + after) / 2
    lasting = sum(((levels[own] - levels[own].mean()) ** 2).sum() for own in groups) / df
    change = math.sqrt(max(0.0, spread - noise)) if baseline else 0.0
    low, high = (math.sqrt(spread * df / stats.chi2.ppf(q, df)) for q in (0.9, 0.1))
    return Variances(
        change=change,
        level=math.sqrt(max(0.0, lasting - change**2 / 4 - noise / 4 if baseline else spread)),
        bid=bid,
        bids_per_visit=_per_visit(bids, coded),
        accounts=len(used),
        change_low=low,
        change_high=high,
    )


def _residual(coded: Coded, rows: Observations) -> float:
    """Variance of log prices around account and cell, over both phases."""
    squares, freedom = 0.0, 0
    for chosen in (rows.before, rows.after):
        if not chosen.any():
            continue
        account, value = rows.account[chosen], rows.value[chosen]
        cell = np.unique(rows.cell[chosen], return_inverse=True)[1]
        fit = two_way(value, account, cell, len(coded.accounts))
        free = value - fit.levels[account]
        kept = ~np.isnan(free)
        sums = np.bincount(cell[kept], weights=free[kept], minlength=cell.max() + 1)
        sizes = np.bincount(cell[kept], minlength=cell.max() + 1)
        squares += float((free[kept] ** 2).sum() - (sums**2 / np.maximum(sizes, 1)).sum())
        freedom += int(kept.sum()) - int((sizes > 0).sum()) - len(np.unique(account[kept])) + 1
    return squares / freedom if freedom > 0 else 0.0


def _per_visit(bids: pd.DataFrame, coded: Coded) -> float:
    """Bids of a visit that any bidder was asked in, in the rounds before and after."""
    compared = coded.before | coded.after
    visits = bids.loc[compared, "visit"].nunique()
    return float((coded.bid & compared & (np.nan_to_num(coded.price) > 0)).sum() / max(visits, 1))


# --- power --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """Accounts of each persona, of the control they share, and what is claimed."""

    treated: int
    control: int
    personas: int = 1
    """Claims of the family: personas that are compared with the same control."""
    alpha: float = 0.05
    direction: Direction = "higher"


def power(
    design: Design, sd: float, effect: float, seed: int = 1, simulations: int = SIMULATIONS
) -> float:
    """Share of true claims that come out supported, after Holm over the family.

    All personas have the effect (a ratio); scores are normal with standard deviation ``sd``. The
    test is chosen as conclusions choose it.
    """
    k, m, family = design.treated, design.control, design.personas
    normal = _draws(k * family + m, seed, simulations) * sd
    if k + m < 3:
        return 0.0
    controls = normal[:, k * family :]
    sign = -1.0 if design.direction == "lower" else 1.0
    p_values = [
        _p(
            np.concatenate(
                [normal[:, k * n : k * (n + 1)] + sign * math.log(effect), controls], axis=1
            ),
            design,
        )
        for n in range(family)
    ]
    return float((_holm(np.array(p_values).T) <= design.alpha).mean())


@cache
def _draws(accounts: int, seed: int, simulations: int) -> Floats:
    return np.random.default_rng([seed, accounts]).normal(size=(simulations, accounts))


def _p(scores: Floats, design: Design) -> Floats:
    k, m = design.treated, design.control
    least = tests.smallest_p(k, m, design.direction)
    reaches = k > 1 and least <= design.alpha / design.personas
    if reaches and math.comb(k + m, k) <= MOST_LABELINGS:
        step = max(1, 2_000_000 // math.comb(k + m, k))
        parts = [
            tests.permutation_p(scores[start : start + step], k, design.direction)
            for start in range(0, len(scores), step)
        ]
        return np.concatenate(parts)
    return tests.t_tests(scores, k, design.direction).p


def _holm(p_values: Floats) -> Floats:
    """Holm's correction of many families at once, one a row."""
    size = p_values.shape[1]
    order = p_values.argsort(axis=1)
    ordered = np.take_along_axis(p_values, order, axis=1) * np.arange(size, 0, -1)
    raised = np.minimum(1.0, np.maximum.accumulate(ordered, axis=1))
    corrected = np.empty_like(raised)
    np.put_along_axis(corrected, order, raised, axis=1)
    return corrected
