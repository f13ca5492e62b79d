"""The tests of the published study of Alexa skills, reproduced; not how conclusions are drawn.

Iqbal et al., *Tracking, Profiling, and Ad Targeting in the Alexa Echo Smart Speaker Ecosystem*
(IMC 2023), pool all bids of a persona and compare them with the control's by a two-sided
Mann-Whitney U test, without correction. Bids of one account are not independent, so such a test
finds differences between accounts that were treated alike; ``docs/inference.md`` says how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from echoaudit.inference.scores import BID_STATES

if TYPE_CHECKING:
    from echoaudit.inference.tests import Floats
    from echoaudit.study.models import Claim

NAME = "imc2023"
BANDS = ((0.43, "large"), (0.28, "medium"), (0.11, "small"))
"""Bands of the absolute effect size, from the largest: the study's reading, after Vargha and
Delaney (2000)."""
DIGITS = 6
"""Significant digits kept: more would show the machine's arithmetic."""


@dataclass(frozen=True)
class PooledTest:
    """Two-sided Mann-Whitney U test of pooled values."""

    u: float
    """U of the first sample: pairs in which its value is the larger, ties counting half."""
    effect: float
    """1 - 2U/(n1 n2), the rank-biserial correlation; positive when the second sample is higher."""
    band: str
    """``large``, ``medium``, ``small`` or ``negligible``."""
    p: float


def pooled_test(first: Floats, second: Floats) -> PooledTest:
    """Compare two samples as the published study does.

    p is by the normal approximation with corrections for ties and continuity, uncorrected for the
    number of comparisons. Raises ``ValueError`` when a sample is empty.
    """
    if not len(first) or not len(second):
        raise ValueError("a Mann-Whitney test needs values on both sides")
    found = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic")
    u = float(found.statistic)
    effect = 1 - 2 * u / (len(first) * len(second))
    return PooledTest(u, effect, band(effect), float(found.pvalue))


def band(effect: float) -> str:
    """How the published study reads an effect size."""
    return next((name for least, name in BANDS if abs(effect) >= least), "negligible")


def pooled_tests(claims: Iterable[Claim], bids: pd.DataFrame) -> pd.DataFrame:
    """Each compared pair of personas, as the published study would have tested it.

    Returns one row per pair with bids on both sides: ``treated``, ``control``, ``n_treated``,
    ``n_control`` (bids after the treatment), ``u`` (of the control), ``effect``, ``band``, ``p``,
    ``median_treated``, ``median_control``, ``mean_treated``, ``mean_control`` (US dollars) and
    ``max_over_mean``, the treated persona's highest bid over the control's mean.
    """
    after = bids[(bids["phase"] == "after") & bids["state"].isin(BID_STATES)]
    prices = {
        str(persona): own.to_numpy(dtype=float, na_value=np.nan)
        for persona, own in after.groupby("persona")["cpm_usd"]
    }
    priced = {persona: values[values > 0] for persona, values in prices.items()}
    pairs = dict.fromkeys((claim.treated, claim.control) for claim in claims)
    rows = [
        _row(treated, control, priced[treated], priced[control])
        for treated, control in pairs
        if len(priced.get(treated, ())) and len(priced.get(control, ()))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "treated", "control", "n_treated", "n_control", "u", "effect", "band", "p",
    "median_treated", "median_control", "mean_treated", "mean_control", "max_over_mean",
]  # fmt: skip


def _row(treated: str, control: str, ours: Floats, theirs: Floats) -> dict[str, object]:
    figures = asdict(pooled_test(theirs, ours)) | {
        "median_treated": float(np.median(ours)),
        "median_control": float(np.median(theirs)),
        "mean_treated": float(ours.mean()),
        "mean_control": float(theirs.mean()),
        "max_over_mean": float(ours.max() / theirs.mean()),
    }
    rounded = {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for name, value in figures.items()
    }
    sizes = {"n_treated": len(ours), "n_control": len(theirs)}
    return {"treated": treated, "control": control, **sizes, **rounded}
