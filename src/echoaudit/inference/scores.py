"""Bids to one score per account, freed of what site, slot, bidder and round explain."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

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
CELL = ("site", "slot", "bidder", "round", "forced")
"""What is alike for all accounts: values are compared within cells only. An auction that the visit
had to start (``forced``) has other units and another moment than one that the page held."""
SLOT = ("site", "slot", "round", "forced")
"""The cell of the highest bid, which may be any bidder's."""
HALF_A_BID = 0.5
"""What an account without any bid is taken to have had (see :func:`floor`)."""
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


@dataclass(frozen=True)
class Coded:
    """Bids as integers, coded once for all measures; one element per request to a bidder."""

    accounts: tuple[str, ...]
    account: Ints
    """Position in ``accounts``."""
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    round: Ints
    cell: Ints
    """``CELL``, alike for requests of the same site, slot, bidder and round."""
    slot: Ints
    """``SLOT``."""
    bid: NDArray[np.bool_]
    none: NDArray[np.bool_]
    """Whether the bidder answered that it offers nothing."""
    price: Floats
    """US dollars; NaN when unknown."""


def code(bids: pd.DataFrame) -> Coded:
    """Code the outcome ``bids``."""
    account, accounts = pd.factorize(bids["account"].astype("string"), sort=True)
    parts = {name: pd.factorize(bids[name], sort=True, use_na_sentinel=False) for name in CELL}
    states = bids["state"].astype("string")
    return Coded(
        tuple(map(str, accounts)),
        account.astype(np.int64),
        _equal(bids["phase"], {"before"}),
        _equal(bids["phase"], {"after"}),
        parts["round"][0],
        _mixed([parts[name] for name in CELL]),
        _mixed([parts[name] for name in SLOT]),
        _equal(states, BID_STATES),
        _equal(states, NO_BID_STATES),
        bids["cpm_usd"].to_numpy(dtype=float, na_value=np.nan),
    )


def _equal(values: pd.Series[str], wanted: Collection[str]) -> NDArray[np.bool_]:
    """Which values are among ``wanted``: asked of the few different ones, not of each."""
    codes, names = pd.factorize(values)
    among = np.array([name in wanted for name in names] + [False], dtype=bool)
    return among[codes]


def _mixed(parts: Sequence[tuple[Any, Any]]) -> Ints:
    """One number for each combination of codes, counted from 0 without large gaps."""
    mixed = np.zeros(len(parts[0][0]), dtype=np.int64)
    size = 1
    for codes, names in parts:
        mixed = mixed * max(len(names), 1) + codes
        size *= max(len(names), 1)
    if size > 4 * len(mixed) + 4:
        mixed = np.unique(mixed, return_inverse=True)[1].astype(np.int64)
    return mixed


def counted(coded: Coded, measure: Measure) -> NDArray[np.bool_]:
    """The requests that count for a measure, of the rounds before and after the treatment.

    Timeouts, errors and rejected bids are neither bids nor zeros: they are left out.
    """
    priced = coded.bid & (np.nan_to_num(coded.price) > 0)
    compared = coded.before | coded.after
    if measure == "rate":
        return compared & (coded.bid | coded.none)
    if measure == "value-per-opportunity":
        return compared & (priced | coded.none)
    return compared & priced


@dataclass(frozen=True)
class Observations:
    """The rows that count for a measure."""

    account: Ints
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    round: Ints
    cell: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.value)

    def only(self, rows: NDArray[np.bool_] | Ints) -> Observations:
        """Some of them."""
        return Observations(
            self.account[rows], self.before[rows], self.after[rows], self.round[rows],
            self.cell[rows], self.value[rows],
        )  # fmt: skip


def observations(coded: Coded, measure: Measure) -> Observations:
    """The rows that count for a measure, in the rounds before and after the treatment.

    Values are logarithms of prices for ``value`` and ``maximum``.
    """
    rows = counted(coded, measure)
    if measure == "rate":
        return _taken(coded, rows, coded.bid[rows].astype(float))
    if measure == "value-per-opportunity":
        return _taken(coded, rows, np.where(coded.bid, coded.price, 0.0)[rows])
    found = _taken(coded, rows, np.log(coded.price[rows]))
    return found if measure == "value" else _highest(found, coded.slot[rows])


def _taken(coded: Coded, rows: NDArray[np.bool_], values: Floats) -> Observations:
    return Observations(
        coded.account[rows], coded.before[rows], coded.after[rows], coded.round[rows],
        coded.cell[rows], values,
    )  # fmt: skip


def _highest(found: Observations, slots: Ints) -> Observations:
    """The highest value of each account, phase and slot, whichever bidder's it is."""
    if not len(found):
        return found
    size = int(slots.max()) + 1
    keys = (found.account * 2 + found.after) * size + slots
    place = pd.factorize(keys)[0]
    highest = np.full(int(place.max()) + 1, -np.inf)
    np.maximum.at(highest, place, found.value)
    first = np.unique(place, return_index=True)[1]
    one = found.only(first)
    return Observations(one.account, one.before, one.after, one.round, slots[first], highest)


def _levels(
    rows: Observations, chosen: NDArray[np.bool_], accounts: int, unit: float | None
) -> tuple[Floats, Ints]:
    """Each account's level on the log scale, and its number of observations.

    ``unit`` is ``None`` where the values are logarithms already; otherwise the fit is made on the
    values as they are (they contain zeros) and its logarithm is taken afterwards, of at least
    :func:`floor`. NaN where an account has too few observations or shares no cell with the others.
    """
    fit = two_way(rows.value[chosen], rows.account[chosen], rows.cell[chosen], accounts)
    levels = np.where(fit.counts >= MIN_OBSERVATIONS, fit.levels, np.nan)
    if unit is not None:
        levels = np.log(np.maximum(levels, floor(fit.counts, unit)))
    return levels.round(DECIMALS), fit.counts


def floor(observations: Ints, unit: float) -> Floats:
    """The least level of accounts with so many observations: that of half a bid among them.

    An account for which nobody bid any more has a level of zero (or below, by what its cells
    explain), which has no logarithm, and is the strongest evidence of fewer bids there is: it must
    not be left out. Half a bid is less than could have been seen of any, so a ratio errs towards 1.
    ``unit`` is what one bid counts.
    """
    return np.asarray(HALF_A_BID * unit / np.maximum(observations, 1))


def unit(values: Floats, measure: Measure) -> float | None:
    """What one bid counts in the values of a measure: 1, or the median price of all bids.

    ``None`` where values are logarithms. NaN, which leaves all without a level, where nobody bid.
    """
    if measure in ("value", "maximum"):
        return None
    bids = values[values > 0]
    return float(np.median(bids)) if len(bids) else math.nan


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


def score_accounts(bids: Coded | pd.DataFrame, accounts: list[str], measure: Measure) -> Scores:
    """Score the accounts by a measure.

    A baseline is used when any of the accounts has one; an account that then lacks either phase
    cannot be scored.
    """
    coded = bids if isinstance(bids, Coded) else code(bids)
    place = {account: number for number, account in enumerate(accounts)}
    wanted = np.array([place.get(account, -1) for account in (*coded.accounts, "")])
    rows = observations(coded, measure)
    own = wanted[rows.account]
    if (own < 0).any():
        rows, own = rows.only(own >= 0), own[own >= 0]
    rows = replace(rows, account=own)
    one_bid = unit(rows.value, measure)
    before, n_before = _levels(rows, rows.before, len(accounts), one_bid)
    after, n_after = _levels(rows, rows.after, len(accounts), one_bid)
    has_baseline = bool(rows.before.any())
    usable = ~np.isnan(after) & (~np.isnan(before) | (not has_baseline))
    scored = tuple(
        Score(
            account,
            float(before[i]) if has_baseline else None,
            float(after[i]),
            int(n_before[i] + n_after[i]),
        )
        for i, account in enumerate(accounts)
        if usable[i]
    )
    return Scores(
        scored,
        tuple(a for i, a in enumerate(accounts) if not usable[i]),
        len(np.unique(rows.round[rows.before])),
        len(np.unique(rows.round[rows.after])),
    )
