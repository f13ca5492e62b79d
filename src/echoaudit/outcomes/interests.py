"""Interests: what the platform says that an account is interested in, by its own data request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.outcomes.data_requests import requests
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "interests"
TABLE = Schema(
    NAME,
    "Advertising interests, and advertisers, that the platform's answer to a data request lists.",
    (
        Column("request", "string", "Step id of the data request."),
        Column("account", "string", "Account that asked."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment."),
        Column("list", "string", "`platform`, `third-party`, `advertiser` or `clicked`: below."),
        Column("interest", "string", "The entry: an interest, or an advertiser's name."),
        Column("file", "string", "The platform's file that lists it, first by name."),
        Column("requested", "float", "When the platform was asked.", "s since 1970"),
        Column("latest", "bool", "Whether it is the account's last request of its phase."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """One row per request and entry."""
    rows = {}
    for one in requests(recording):
        for file, entry in sorted(one.listed, reverse=True):
            rows[one.step.id, entry] = {
                "request": one.step.id,
                "account": one.step.account,
                "persona": one.step.persona,
                "phase": one.phase,
                "list": entry.list,
                "interest": entry.interest,
                "file": file,
                "requested": one.requested,
                "latest": one.latest,
            }
    return TABLE.conform(rows.values())
