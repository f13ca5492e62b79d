"""The section that shows what the published study's tests would have said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from echoaudit.inference import Conclusion
from echoaudit.report.parts import Column, Section, Table
from echoaudit.report.text import NOTHING, money, p_value, ratio

WHY = (
    "They differ because the published test takes every bid for an independent observation. Bids "
    "of one account share its history and its luck, so pooling them calls differences between "
    "accounts that were treated alike; the verdicts above compare accounts instead."
)


def section(pooled: pd.DataFrame, conclusions: Sequence[Conclusion]) -> Section:
    """Each pair of personas by the pooled test, beside this report's own conclusion."""
    sound = {(c.treated.persona, c.control.persona): c for c in conclusions if c.measure == "value"}
    return Section(
        id="imc2023",
        title="As the published study tested it",
        short="IMC 2023",
        lead=(
            "Iqbal et al. (IMC 2023) pool all bids of a persona and compare them with the "
            "control’s by a two-sided Mann-Whitney test, without correction. " + WHY
        ),
        tables=(_table(pooled, sound),),
    )


def _table(pooled: pd.DataFrame, sound: dict[tuple[str, str], Conclusion]) -> Table:
    labels = ("bids", "U", "effect", "p", "median", "mean", "maximum / control’s mean")
    return Table(
        "The published study’s test, and this report’s",
        (
            Column("personas"),
            *(Column(label, numeric=True) for label in labels),
            Column("band"),
            Column("this report"),
        ),
        tuple(_row(row, sound) for row in pooled.to_dict("records")),
        note=(
            "Pairs are treated / control. Effect: 1 - 2U/(n1 n2). Bands: small from 0.11, medium "
            "from 0.28, large from 0.43. The maximum over the control’s mean is an outlier "
            "statistic, decided by a single bid."
        ),
    )


def _row(row: dict[Any, Any], sound: dict[tuple[str, str], Conclusion]) -> tuple[str, ...]:
    treated, control = str(row["treated"]), str(row["control"])
    conclusion = sound.get((treated, control))
    return (
        f"{treated} / {control}",
        f"{row['n_treated']:,} / {row['n_control']:,}",
        f"{row['u']:,.1f}",
        f"{row['effect']:.4f}",
        p_value(row["p"]),
        f"{money(row['median_treated'])} / {money(row['median_control'])}",
        f"{money(row['mean_treated'])} / {money(row['mean_control'])}",
        ratio(row["max_over_mean"]),
        str(row["band"]),
        conclusion.state if conclusion else NOTHING,
    )
