"""Numbers beside the test: does one account carry the result, how large is chance there?"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from echoaudit.inference import tests
from echoaudit.inference.conclusion import SplitCheck
from echoaudit.inference.scores import Coded, observations
from echoaudit.inference.tests import Direction, Floats

MIN_CONTROLS = 4
"""Fewer controls cannot be split into two arms that have a variance."""
MIN_FOR_OUTLIERS = 6
FAR = 3.5
"""Modified z score from which an account counts as an outlier."""
SHOWN = 200


def leave_one_out(treated: Floats, controls: Floats) -> tuple[float, float] | None:
    """Lowest and highest ratio of the arms' means when one account is left out."""
    if len(treated) < 2 or len(controls) < 2:
        return None
    t_mean, c_mean = treated.mean(), controls.mean()
    without_t = (treated.sum() - treated) / (len(treated) - 1) - c_mean
    without_c = t_mean - (controls.sum() - controls) / (len(controls) - 1)
    differences = np.concatenate([without_t, without_c])
    return math.exp(differences.min()), math.exp(differences.max())


def outliers(treated: Floats, controls: Floats, accounts: tuple[str, ...]) -> tuple[str, ...]:
    """Accounts far from the others of their arm, by Iglewicz and Hoaglin's (1993) modified z.

    Distances are from the arm's median, their scale is the median over both arms. With fewer than
    ``MIN_FOR_OUTLIERS`` accounts nothing can be said. ``accounts`` names treated ones first.
    """
    if len(accounts) < MIN_FOR_OUTLIERS or not len(treated) or not len(controls):
        return ()
    away = np.concatenate([arm - np.median(arm) for arm in (treated, controls)])
    scale = float(np.median(np.abs(away)))
    if scale <= tests.TOLERANCE:
        return ()
    far = np.abs(away) > FAR * scale / 0.6745
    return tuple(name for name, is_far in zip(accounts, far, strict=True) if is_far)


def baseline(treated: Floats, controls: Floats) -> tuple[float | None, float | None]:
    """Ratio of the arms before the treatment with its two-sided p; ``None`` without baseline."""
    if np.isnan(treated).any() or np.isnan(controls).any() or len(treated) + len(controls) < 3:
        return None, None
    found = tests.t_test(treated, controls, "different")
    return math.exp(found.difference), found.p


def split_check(
    controls: Floats,
    bids: Coded | None,
    accounts: list[str],
    direction: Direction,
    alpha: float,
) -> SplitCheck | None:
    """Repeat the analysis on every division of the controls into two halves: a description.

    Whether controls differ is tested by ``halves.control_check``.

    ``accounts`` names the controls in the order of their scores; ``bids`` may hold others', and is
    ``None`` when the scores are not of bids. More than 20,000 divisions are sampled. ``None`` with
    fewer than ``MIN_CONTROLS`` controls.
    """
    if len(controls) < MIN_CONTROLS:
        return None
    labels = tests.labelings(len(controls), len(controls) // 2)
    differences, p_values = tests.pooled_t_of(controls, labels, direction)
    pooled = None if bids is None else _pooled_p(bids, accounts, labels, direction)
    rejected = int((p_values <= alpha).sum())
    shown = np.linspace(0, len(labels) - 1, min(SHOWN, len(labels))).round().astype(int)
    return SplitCheck(
        splits=len(labels),
        rejected=rejected,
        pooled_rejected=None if pooled is None else int((pooled <= alpha).sum()),
        ratios=tuple(float(r) for r in np.exp(np.sort(differences)[shown])),
    )


def _pooled_p(bids: Coded, accounts: list[str], labels: Floats, direction: Direction) -> Floats:
    """p of the Mann-Whitney test on pooled bids (normal approximation) for every labeling."""
    place = {account: number for number, account in enumerate(accounts)}
    wanted = np.array([place.get(account, -1) for account in (*bids.accounts, "")])
    after = observations(bids, "value")
    rows = after.after & (wanted[after.account] >= 0)
    ranks = stats.rankdata(after.value[rows])
    index = wanted[after.account[rows]]
    sums = np.bincount(index, weights=ranks, minlength=len(accounts))
    counts = np.bincount(index, minlength=len(accounts)).astype(float)
    k = labels @ counts
    m = len(ranks) - k
    u = labels @ sums - k * (k + 1) / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    n = max(len(ranks), 2)
    variance = k * m / 12 * (n + 1 - (ties**3 - ties).sum() / (n * (n - 1)))
    z = (u - k * m / 2) / np.sqrt(np.maximum(variance, 1e-12))
    if direction == "different":
        return np.asarray(2 * stats.norm.sf(np.abs(z)))
    return np.asarray(stats.norm.sf(z if direction == "higher" else -z))
