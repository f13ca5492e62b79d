"""The published study's tests as a table of the findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from echoaudit.inference.imc2023 import pooled_tests
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.study.models import Claim

POOLED = Schema(
    "imc2023",
    "Personas compared as the published study compared them: all bids pooled.",
    (
        Column("treated", "string", "Persona that something was done to."),
        Column("control", "string", "Persona it is compared with."),
        Column("n_treated", "int", "Bids after the treatment."),
        Column("n_control", "int", "The control's."),
        Column("u", "float", "Mann-Whitney's U of the control."),
        Column(
            "effect", "float", "1 - 2U/(n1 n2); positive when the treated persona's are higher."
        ),
        Column("band", "string", "`large`, `medium`, `small` or `negligible`."),
        Column("p", "float", "Two-sided, not corrected for the number of comparisons."),
        Column("median_treated", "float", "Median bid.", "US dollars"),
        Column("median_control", "float", "Median bid.", "US dollars"),
        Column("mean_treated", "float", "Mean bid.", "US dollars"),
        Column("mean_control", "float", "Mean bid.", "US dollars"),
        Column("max_over_mean", "float", "Highest bid of treated over the control's mean."),
    ),
)


def imc2023_table(claims: Sequence[Claim], bids: pd.DataFrame) -> pd.DataFrame:
    """One row per compared pair of personas that has bids on both sides."""
    return POOLED.conform(pooled_tests(claims, bids))
