"""Every table of findings by name, and what each is derived from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from echoaudit import outcomes
from echoaudit.findings.attribution import ATTRIBUTION, attribution_table
from echoaudit.findings.claims import claims_of
from echoaudit.findings.excluded import TABLE as EXCLUDED
from echoaudit.findings.excluded import excluded_table
from echoaudit.findings.imc2023 import POOLED, imc2023_table
from echoaudit.findings.parties import PARTIES, parties_table
from echoaudit.findings.shares import REACH, SHARES, reach_table, shares_table
from echoaudit.findings.steps import DELIVERY, STEPS, delivery_table, steps_table

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.outcomes.schema import Schema
    from echoaudit.recording import Recording

_DERIVED: Mapping[str, tuple[Schema, Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "parties": (PARTIES, parties_table, ("syncs",)),
    "delivery": (DELIVERY, delivery_table, ("steps", "utterances")),
    "attribution": (ATTRIBUTION, attribution_table, ("endpoints", "captures", "steps", "excluded")),
    "shares": (SHARES, shares_table, ("attribution",)),
    "reach": (REACH, reach_table, ("attribution", "captures", "steps", "excluded")),
}
"""Tables derived from other tables: schema, function, names of its arguments."""


def schemas() -> dict[str, Schema]:
    """What each table is; the order is that of :func:`tables`."""
    found = {name: outcomes.load(name).TABLE for name in outcomes.OUTCOMES}
    derived = {name: schema for name, (schema, _, _) in _DERIVED.items()}
    return {**found, "steps": STEPS, **derived, "excluded": EXCLUDED, "imc2023": POOLED}


def tables(recording: Recording, wanted: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The tables called ``wanted`` and those that they rest on; ``KeyError`` for other names."""
    found: dict[str, pd.DataFrame] = {}

    def need(name: str) -> pd.DataFrame:
        if name not in found:
            found[name] = make(name)
        return found[name]

    def make(name: str) -> pd.DataFrame:
        if name == "steps":
            return steps_table(recording)
        if name == "excluded":
            return excluded_table(recording.study, need("utterances"))
        if name == "imc2023":
            return imc2023_table(claims_of(recording.study), need("bids"))
        if name in _DERIVED:
            _, function, arguments = _DERIVED[name]
            return function(*map(need, arguments))
        return outcomes.load(name).derive(recording)

    for name in wanted:
        need(name)
    return found
