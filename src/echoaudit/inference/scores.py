"""Bids to one score per account, freed of what site, slot, bidder and round explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.signedinteger]
Measure = Literal["value", "rate", "value-per-opportunity", "maximum"]

BID_STATES = frozenset({"bid", "won", "rendered"})
"""States in which a bidder offered a price that could be compared."""
NO_BID_STATES = frozenset({"no-bid"})
"""States in which a bidder answered that it offers nothing: a zero, unlike a failure."""
MIN_OBSERVATIONS = 5
"""An account with fewer observations in a phase is left out of that phase, and counted."""
CELL = ["site", "slot", "bidder", "round"]
"""What is alike for all accounts: values are compared within cells only."""
SLOT = ["site", "slot", "round"]
"""The cell of the highest bid, which may be any bidder's."""
DECIMALS = 9
"""Levels are rounded so that no machine's arithmetic shows."""


@dataclass(frozen=True)
class Fit:
    """Two-way least-squares fit of values on accounts and cells."""

    levels: Floats
    """Per account: its effect plus the grand mean; NaN when it shares no cell with the others."""
    counts: Ints
    """Per account: its observations."""


def two_way(values: Floats, accounts: Ints, cells: Ints, n_accounts: int) -> Fit:
    """Fit ``value ~ account + cell`` and return the accounts' levels.

    The cells are eliminated from the normal equations, so what is solved has one row per account.
    Accounts that are not linked to the largest group by shared cells cannot be compared with it;
    their level is NaN.
    """
    counts = np.bincount(accounts, minlength=n_accounts)
    levels = np.full(n_accounts, np.nan)
    if not len(values):
        return Fit(levels, counts)
    n_cells = int(cells.max()) + 1
    table = np.bincount(accounts * n_cells + cells, minlength=n_accounts * n_cells).astype(float)
    table = table.reshape(n_accounts, n_cells)
    size = np.maximum(table.sum(axis=0), 1)
    mean = np.bincount(cells, weights=values, minlength=n_cells) / size
    right = np.bincount(accounts, weights=values - mean[cells], minlength=n_accounts)
    laplacian = np.diag(counts.astype(float)) - (table / size) @ table.T
    linked = _largest_group(laplacian, counts)
    effects = np.linalg.lstsq(laplacian[np.ix_(linked, linked)], right[linked], rcond=None)[0]
    inside = np.isin(accounts, linked)
    levels[linked] = effects - effects.mean() + values[inside].mean()
    return Fit(levels, counts)


def _largest_group(laplacian: Floats, counts: Ints) -> Ints:
    """Accounts of the largest group linked by shared cells."""
    _, group = connected_components(np.abs(laplacian) > 1e-12, directed=False)
    sizes = np.bincount(group, weights=(counts > 0).astype(float))
    return np.flatnonzero((group == int(np.argmax(sizes))) & (counts > 0))


def observations(bids: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """The rows that count for a measure, as ``account, phase, round, cell, value``.

    Timeouts, errors and rejected bids are neither bids nor zeros: they are left out.
    """
    prices = bids["cpm_usd"].to_numpy(dtype=float, na_value=np.nan)
    is_bid = bids["state"].isin(BID_STATES).to_numpy(dtype=bool)
    answered = is_bid | bids["state"].isin(NO_BID_STATES).to_numpy(dtype=bool)
    priced = is_bid & (np.nan_to_num(prices) > 0)
    if measure == "rate":
        return _frame(bids[answered], is_bid[answered].astype(float), CELL)
    if measure == "value-per-opportunity":
        known = answered & (priced | ~is_bid)
        return _frame(bids[known], np.where(is_bid, prices, 0.0)[known], CELL)
    if measure == "value":
        return _frame(bids[priced], np.log(prices[priced]), CELL)
    slots = _frame(bids[priced], np.log(prices[priced]), SLOT)
    return slots.groupby(["account", "phase", "round", "cell"], as_index=False, sort=True).max()


def _frame(rows: pd.DataFrame, values: Floats, cell: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account": rows["account"].astype(str).to_numpy(),
            "phase": rows["phase"].astype(str).to_numpy(),
            "round": rows["round"].to_numpy(),
            "cell": rows.groupby(cell, dropna=False, sort=True).ngroup().to_numpy(),
            "value": values,
        }
    )


def account_levels(rows: pd.DataFrame, accounts: list[str], *, logs: bool) -> tuple[Floats, Ints]:
    """Each account's level on the log scale, and its number of observations.

    ``logs`` says that the values are logarithms already; otherwise the fit is made on the values
    as they are (they contain zeros) and its logarithm is taken afterwards. NaN where an account
    has too few observations, shares no cell with the others, or has no positive level.
    """
    index = pd.Categorical(rows["account"], categories=accounts).codes.astype(np.int64)
    cells = pd.factorize(rows["cell"], sort=True)[0].astype(np.int64)
    fit = two_way(rows["value"].to_numpy(dtype=float), index, cells, len(accounts))
    levels = np.where(fit.counts >= MIN_OBSERVATIONS, fit.levels, np.nan)
    if not logs:
        levels = np.log(np.where(levels > 0, levels, np.nan))
    return levels.round(DECIMALS), fit.counts


@dataclass(frozen=True)
class Score:
    """One account's score: its level after the treatment, minus its level before if there is one.

    Levels are natural logarithms.
    """

    account: str
    before: float | None
    after: float
    observations: int
    """Over both phases."""

    @property
    def value(self) -> float:
        """What the tests compare."""
        return self.after - (self.before or 0.0)


@dataclass(frozen=True)
class Scores:
    """The accounts that could be scored, those that could not, and what they rest on."""

    scored: tuple[Score, ...]
    unscored: tuple[str, ...]
    rounds_before: int
    rounds_after: int


def score_accounts(bids: pd.DataFrame, accounts: list[str], measure: Measure) -> Scores:
    """Score the accounts by a measure.

    A baseline is used when any of the accounts has one; an account that then lacks either phase
    cannot be scored.
    """
    rows = observations(bids[bids["account"].isin(accounts)], measure)
    before, after = rows[rows["phase"] == "before"], rows[rows["phase"] == "after"]
    logs = measure in ("value", "maximum")
    level_before, n_before = account_levels(before, accounts, logs=logs)
    level_after, n_after = account_levels(after, accounts, logs=logs)
    has_baseline = len(before) > 0
    usable = ~np.isnan(level_after) & (~np.isnan(level_before) | (not has_baseline))
    scored = tuple(
        Score(
            account,
            float(level_before[i]) if has_baseline else None,
            float(level_after[i]),
            int(n_before[i] + n_after[i]),
        )
        for i, account in enumerate(accounts)
        if usable[i]
    )
    return Scores(
        scored,
        tuple(a for i, a in enumerate(accounts) if not usable[i]),
        before["round"].nunique(),
        after["round"].nunique(),
    )
