"""Every table of findings by name, and what each is derived from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from echoaudit import outcomes
from echoaudit.findings.ads import AD_CREATIVES, CHANNELS, ad_channels_table, ad_creatives_table
from echoaudit.findings.attribution import ATTRIBUTION, attribution_table
from echoaudit.findings.audio_ads import (
    ADS,
    COUNTS,
    CREATIVES,
    ads_table,
    counts_table,
    creatives_table,
)
from echoaudit.findings.bid_rate import RATES, rates_table
from echoaudit.findings.claims import claims_of
from echoaudit.findings.excluded import TABLE as EXCLUDED
from echoaudit.findings.excluded import excluded_table
from echoaudit.findings.imc2023 import POOLED, imc2023_table
from echoaudit.findings.labels import NONE, Labels
from echoaudit.findings.parties import PARTIES, parties_table
from echoaudit.findings.partner_bids import PARTNERS, partners_table
from echoaudit.findings.shares import REACH, SHARES, reach_table, shares_table
from echoaudit.findings.steps import DELIVERY, STEPS, delivery_table, steps_table
from echoaudit.findings.sync_graph import GRAPH, graph_table

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.outcomes.schema import Schema
    from echoaudit.recording import Recording

_DERIVED: Mapping[str, tuple[Schema, Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "bid_rate": (RATES, rates_table, ("bids", "steps")),
    "sync_graph": (GRAPH, graph_table, ("syncs", "bids")),
    "partner_bids": (PARTNERS, partners_table, ("bids", "sync_graph")),
    "parties": (PARTIES, parties_table, ("syncs",)),
    "delivery": (DELIVERY, delivery_table, ("steps", "utterances")),
    "attribution": (ATTRIBUTION, attribution_table, ("endpoints", "captures", "steps", "excluded")),
    "shares": (SHARES, shares_table, ("attribution",)),
    "ad_counts": (COUNTS, counts_table, ("audio_ads", "creatives", "audio_segments", "steps")),
    "reach": (REACH, reach_table, ("attribution", "captures", "steps", "excluded")),
}
"""Tables derived from other tables: schema, function, names of its arguments."""


def schemas() -> dict[str, Schema]:
    """What each table is; the order is that of :func:`tables`."""
    found = {name: outcomes.load(name).TABLE for name in outcomes.OUTCOMES}
    derived = {name: schema for name, (schema, _, _) in _DERIVED.items()}
    heard = {"audio_ads": ADS, "creatives": CREATIVES}
    shown = {"ad_creatives": AD_CREATIVES, "ad_channels": CHANNELS}
    return {
        **found,
        "steps": STEPS,
        **heard,
        **shown,
        **derived,
        "excluded": EXCLUDED,
        "imc2023": POOLED,
    }


def details() -> dict[str, Schema]:
    """What each table is that can be asked for but is not part of findings."""
    return {name: outcomes.load(name).TABLE for name in outcomes.DETAILS}


def tables(
    recording: Recording,
    wanted: Iterable[str],
    labels: Labels = NONE,
    known: Mapping[str, pd.DataFrame] | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables called ``wanted`` and those that they rest on; ``KeyError`` for other names.

    ``labels`` correct which segments of streams are ads; tables that are ``known`` already are
    not computed again.
    """
    found = dict(known or {})

    def need(name: str) -> pd.DataFrame:
        if name not in found:
            found[name] = make(name)
        return found[name]

    of_the_recording: dict[str, Callable[[], pd.DataFrame]] = {
        "steps": lambda: steps_table(recording),
        "excluded": lambda: excluded_table(recording.study, need("utterances")),
        "imc2023": lambda: imc2023_table(claims_of(recording.study), need("bids")),
        "audio_ads": lambda: ads_table(need("audio_segments"), labels.rows),
        "ad_creatives": lambda: ad_creatives_table(need("ads"), need("steps"), recording.study),
        "ad_channels": lambda: ad_channels_table(
            need("ads"), need("ad_creatives"), need("bids"), recording.study
        ),
        "creatives": lambda: creatives_table(
            need("audio_ads"), need("audio_segments"), recording.study
        ),
    }

    def make(name: str) -> pd.DataFrame:
        if name in of_the_recording:
            return of_the_recording[name]()
        if name in _DERIVED:
            _, function, arguments = _DERIVED[name]
            return function(*map(need, arguments))
        return outcomes.load(name).derive(recording)

    for name in wanted:
        need(name)
    return found
