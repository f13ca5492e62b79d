"""Label permutations of a whole study, beside ``scipy.stats.permutation_test``.

    python benchmarks/inference.py [--bids 1000000] [--permutations 9999] [--json]

A study of nine personas with seven accounts each and fourteen controls (C(21, 7) = 116,280
labelings, so 9,999 random ones), a million requests to bidders, and five outcomes per persona: bid
value, rate, value per opportunity, maximum, and value without baseline: 45 families. Timed is CPU
on one core, after the table is loaded: coding of the columns, account scores of all measures from
one pass of bincounts, and the permutations of all outcomes as matrix products.

scipy is given the same statistic, Welch's t of account scores, in two ways. From bids: its
statistic takes the labels and computes scores and t from the bids, as whoever permutes without
seeing that the scores do not depend on labels would; a few permutations are timed, and the time for
all of them is extrapolated. From scores: it permutes the scores that echoaudit computed,
vectorised; here the p values of both are compared too.
"""
# ruff: noqa: E402 - the number of threads has to be set before numpy is loaded

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from echoaudit.inference import scores, tests

Floats = NDArray[np.float64]
PERSONAS, TREATED, CONTROL = 9, 7, 14
SITES, SLOTS, BIDDERS = 25, 2, 10
MEASURES: tuple[scores.Measure, ...] = ("value", "rate", "value-per-opportunity", "maximum")
FEW = 3
"""Permutations of bids that scipy is timed for."""


def study(bids: int, seed: int = 1) -> pd.DataFrame:
    """The outcome ``bids`` of such a study, typed as the findings' Parquet gives it."""
    rng = np.random.default_rng(seed)
    accounts = [f"persona{p}-{i + 1}" for p in range(PERSONAS) for i in range(TREATED)]
    accounts += [f"vanilla-{i + 1}" for i in range(CONTROL)]
    rounds = -(-bids // (len(accounts) * SITES * SLOTS * BIDDERS * 2))
    shape = (len(accounts), 2, rounds, SITES, SLOTS, BIDDERS)
    a, phase, r, site, slot, bidder = (axis.ravel()[:bids] for axis in np.indices(shape))
    log = (
        rng.normal(0, 0.2, len(accounts))[a]
        + rng.normal(0, 0.1, (len(accounts), 2))[a, phase]
        + rng.normal(0, 0.5, SITES)[site]
        + rng.normal(0, 0.5, BIDDERS)[bidder]
        + rng.normal(0, 0.5, a.size)
    )
    bid = rng.random(a.size) < 0.6
    text = pd.StringDtype()
    return pd.DataFrame(
        {
            "account": pd.array(np.array(accounts)[a], dtype=text),
            "phase": pd.array(np.array(["before", "after"])[phase], dtype=text),
            "round": pd.array(r + 1, dtype="Int64"),
            "site": pd.array(np.array([f"site-{n}" for n in range(SITES)])[site], dtype=text),
            "slot": pd.array(np.array(["top", "side"])[slot], dtype=text),
            "bidder": pd.array(np.array([f"bidder{n}" for n in range(BIDDERS)])[bidder], text),
            "forced": pd.array(np.zeros(a.size, dtype=bool), dtype="boolean"),
            "state": pd.array(np.where(bid, "bid", "no-bid"), dtype=text),
            "cpm_usd": np.where(bid, np.exp(log), np.nan),
        }
    )


def account_scores(coded: scores.Coded) -> Floats:
    """Five outcomes by all accounts, sorted by name: personas first, then the controls."""
    names = list(coded.accounts)
    rows = [scores.score_accounts(coded, names, measure) for measure in MEASURES]
    values = [[score.value for score in row.scored] for row in rows]
    return np.array([*values, [score.after for score in rows[0].scored]])


def all_p(values: Floats) -> Floats:
    """p of every outcome and persona: 45 families."""
    control = values[:, PERSONAS * TREATED :]
    return np.array(
        [
            tests.permutation_p(
                np.concatenate([values[:, TREATED * p : TREATED * (p + 1)], control], axis=1),
                TREATED,
                "higher",
            )
            for p in range(PERSONAS)
        ]
    )


def welch(x: Floats, y: Floats, axis: int = -1) -> Floats:
    """The statistic, vectorised for scipy."""
    return np.asarray(stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic)


def scipy_from_bids(coded: scores.Coded, permutations: int) -> float:
    """CPU seconds for one family, permuting labels of accounts and scoring from the bids."""
    names = list(coded.accounts)
    where = np.concatenate([np.arange(TREATED), np.arange(PERSONAS * TREATED, len(names))])
    keep = np.isin(coded.account, where)
    own = replace(
        coded,
        **{
            name: getattr(coded, name)[keep]
            for name in (
                "account", "before", "after", "round", "cell", "slot", "bid", "none", "price",
            )
        },
    )  # fmt: skip
    chosen = [names[n] for n in where]

    def statistic(x: Floats, y: Floats) -> float:
        found = scores.score_accounts(own, chosen, "value")
        value = np.array([score.value for score in found.scored])
        return float(welch(value[x.astype(int)], value[y.astype(int)]))

    started = time.process_time()
    stats.permutation_test(
        (np.arange(TREATED), np.arange(TREATED, len(where))),
        statistic,
        n_resamples=permutations,
        alternative="greater",
        vectorized=False,
        rng=np.random.default_rng(1),
    )
    return time.process_time() - started


def scipy_from_scores(values: Floats, permutations: int) -> tuple[float, float]:
    """CPU seconds for all families, permuting the scores; and the largest difference in p."""
    control = values[:, PERSONAS * TREATED :]
    ours = all_p(values)
    started = time.process_time()
    theirs = np.array(
        [
            stats.permutation_test(
                (values[:, TREATED * p : TREATED * (p + 1)], control),
                welch,
                axis=1,
                n_resamples=permutations,
                alternative="greater",
                vectorized=True,
                rng=np.random.default_rng(p),
            ).pvalue
            for p in range(PERSONAS)
        ]
    )
    return time.process_time() - started, float(np.abs(ours - theirs).max())


def main() -> int:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bids", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bids = study(options.bids)
    tests.labelings(4, 2)

    started = time.process_time()
    coded = scores.code(bids)
    at_code = time.process_time()
    values = account_scores(coded)
    at_scores = time.process_time()
    p_values = all_p(values)
    ended = time.process_time()

    families = p_values.size
    few = scipy_from_bids(coded, FEW) / (FEW + 1)
    whole = few * tests.DRAWS * families
    from_scores, apart = scipy_from_scores(values, tests.DRAWS)
    own = ended - started
    found = {
        "bids": len(bids),
        "families": families,
        "permutations": tests.DRAWS,
        "echoaudit_cpu_s": round(own, 3),
        "of_which_coding": round(at_code - started, 3),
        "of_which_scores": round(at_scores - at_code, 3),
        "of_which_permutations": round(ended - at_scores, 3),
        "scipy_from_bids_cpu_s": round(whole),
        "scipy_from_bids_is_extrapolated_from": FEW + 1,
        "ratio_from_bids": round(whole / own),
        "scipy_from_scores_cpu_s": round(from_scores, 2),
        "ratio_of_permutations_from_scores": round(from_scores / (ended - at_scores), 1),
        "largest_difference_of_p": round(apart, 4),
    }
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for key, value in found.items():
            print(f"{key:<40} {value:,}" if isinstance(value, int) else f"{key:<40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
