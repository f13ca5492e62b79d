"""Facts: what the evidence of a recording says, one module and one table per outcome.

An outcome module has ``NAME``, ``TABLE`` (a ``Schema``) and ``derive(recording)``, a pure function
from a recording to a table of that schema. ``OUTCOMES`` names the modules without importing them,
for pandas and the dissectors are slow to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.outcomes.schema import Schema
    from echoaudit.recording import Recording

OUTCOMES: dict[str, str] = {
    "endpoints": "echoaudit.outcomes.endpoints",
    "captures": "echoaudit.outcomes.captures",
    "data_types": "echoaudit.outcomes.data_types",
    "decrypted": "echoaudit.outcomes.decrypted",
    "utterances": "echoaudit.outcomes.utterances",
    "enabling": "echoaudit.outcomes.enabling",
    "bids": "echoaudit.outcomes.bids",
    "syncs": "echoaudit.outcomes.syncs",
    "web_contacts": "echoaudit.outcomes.web_contacts",
    "cookies": "echoaudit.outcomes.cookies",
    "ads": "echoaudit.outcomes.ads",
    "audio_segments": "echoaudit.outcomes.audio_segments",
    "data_requests": "echoaudit.outcomes.data_requests",
    "interests": "echoaudit.outcomes.interests",
}
"""Outcome to module, in the order of the report."""
DETAILS: dict[str, str] = {
    "flows": "echoaudit.outcomes.flows",
    "names": "echoaudit.outcomes.names",
}
"""Tables that are computed when they are asked for and not kept in findings: every connection and
every question, which in a large study are millions."""


class Outcome(Protocol):
    """What an outcome module offers."""

    NAME: str
    TABLE: Schema

    def derive(self, recording: Recording) -> pd.DataFrame:
        """The facts of one recording."""
        ...


def load(name: str) -> Outcome:
    """The outcome or detail called ``name``; ``KeyError`` when there is none."""
    return cast("Outcome", import_module((OUTCOMES | DETAILS)[name]))
