"""Tables of facts to the set of things that each account had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Hashable

Tables = Mapping[str, pd.DataFrame]
BROWSED = frozenset({"bids", "syncs", "ads", "advertisers"})
"""Outcomes that rest on visits."""
INTERESTS = ("platform", "third-party")
"""Lists of a data request whose entries are interests; the others name advertisers."""
WATCHING = ("advertising", "tracking")
"""Roles of hosts that count as trackers."""


@dataclass(frozen=True)
class Items:
    """What each account had, and which accounts were observed at all.

    An account that was not observed is in none of the mappings: its absence is no zero.
    """

    sets: Mapping[str, frozenset[str]]
    """After the treatment."""
    before: Mapping[str, frozenset[str]]
    """In the baseline; empty when the outcome has none."""
    exposure: Mapping[str, float]
    """How long was listened, where a count depends on it; else empty."""
    compared: Mapping[str, frozenset[str]]
    """The sets that are compared with each other: those after the treatment, or, where what an
    account had before says nothing of the treatment, what came since."""


@dataclass(frozen=True)
class _Source:
    """Where an outcome's things are: rows of a table, their name, and who was observed."""

    rows: Callable[[Tables], pd.DataFrame]
    """Rows with ``account``, ``item`` and, of visits, ``phase``."""
    observed: Callable[[Tables, str], set[str]]
    """Accounts that were observed in a phase (``before`` or ``after``)."""
    exposure: Callable[[Tables], dict[str, float]] = lambda _: {}
    since: bool = False
    """Whether sets without what the account had in the baseline are compared, where there is one.
    An account without a baseline beside others that have one is then not observed."""


def items(outcome: str, tables: Tables) -> Items:
    """The things of every observed account; ``KeyError`` for an unknown outcome.

    ``tables`` are those of the findings: ``endpoints`` and ``captures``, ``syncs`` and ``steps``,
    ``audio_ads`` and ``audio_segments``, ``ads``, ``interests`` and ``data_requests``.
    """
    source = SOURCES[outcome]
    rows = source.rows(tables)
    after = _sets(rows, source.observed(tables, "after"), "after")
    before = _sets(rows, source.observed(tables, "before"), "before")
    came = {account: own - before[account] for account, own in after.items() if account in before}
    compared = came if source.since and before else after
    return Items(after, before, source.exposure(tables), compared)


def _sets(rows: pd.DataFrame, observed: set[str], phase: str) -> dict[str, frozenset[str]]:
    inside = rows[rows["phase"] == phase] if "phase" in rows else rows
    had = {
        str(account): frozenset(map(str, own)) for account, own in inside.groupby("account")["item"]
    }
    return {account: had.get(account, frozenset()) for account in sorted(observed)}


# --- speakers ---------------------------------------------------------------------------------


def _contacts(tables: Tables) -> pd.DataFrame:
    endpoints = tables["endpoints"]
    return endpoints[endpoints["contacted"].fillna(False).astype(bool)]


def _hosts(tables: Tables) -> pd.DataFrame:
    """Hosts by name; a server that nothing names cannot be told from a named one: left out."""
    return _named(_contacts(tables), "host")


def _trackers(tables: Tables) -> pd.DataFrame:
    contacts = _contacts(tables)
    return _named(contacts[contacts["role"].isin(WATCHING)], "host")


def _organisations(tables: Tables) -> pd.DataFrame:
    return _named(_contacts(tables), "organisation")


def _named(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    names = rows[column].fillna("").astype(str)
    return pd.DataFrame({"account": rows["account"].astype(str), "item": names})[names != ""]


def _captured(tables: Tables, phase: str) -> set[str]:
    captures = tables["captures"]
    there = captures[captures["status"] != "missing"]
    return set(there["account"].astype(str)) if phase == "after" else set()


# --- browsers ---------------------------------------------------------------------------------


def _syncs(tables: Tables) -> pd.DataFrame:
    syncs = tables["syncs"]
    pairs = syncs["source"].astype(str) + " to " + syncs["target"].astype(str)
    return pd.DataFrame(
        {"account": syncs["account"].astype(str), "phase": syncs["phase"], "item": pairs}
    )


def _visited(tables: Tables, phase: str) -> set[str]:
    steps = tables["steps"]
    done = (steps["kind"] == "visit") & (steps["state"] == "complete") & (steps["phase"] == phase)
    return set(steps.loc[done, "account"].astype(str))


def _shown(column: str) -> Callable[[Tables], pd.DataFrame]:
    """Ads on pages."""

    def rows(tables: Tables) -> pd.DataFrame:
        ads = tables["ads"]
        named = _named(ads, column)
        return named.assign(phase=ads.loc[named.index, "phase"])

    return rows


# --- streams ----------------------------------------------------------------------------------


def _ads(column: str) -> Callable[[Tables], pd.DataFrame]:
    return lambda tables: _named(tables["audio_ads"], column)


def _listened(tables: Tables, phase: str) -> set[str]:
    return set(tables["audio_segments"]["account"].astype(str)) if phase == "after" else set()


def _hours(tables: Tables) -> dict[str, float]:
    """Hours of sound by account: to the end of each step's last segment."""
    segments = tables["audio_segments"]
    ends = (segments["at"] + segments["seconds"]).astype(float)
    steps = segments["segment"].astype(str).str.partition("@")[0].rename("step")
    accounts = segments["account"].astype(str).rename("account")
    longest = ends.groupby([accounts, steps]).max().groupby(level="account").sum()
    hours: dict[Hashable, float] = (longest / 3600).to_dict()
    return {str(account): float(value) for account, value in hours.items() if value > 0}


# --- data requests ----------------------------------------------------------------------------


def _interests(tables: Tables) -> pd.DataFrame:
    """Interests that the platform itself lists, by each account's last request of a phase."""
    interests = tables["interests"]
    wanted = interests["latest"] & interests["list"].isin(INTERESTS)
    return _named(interests[wanted], "interest").assign(phase=interests["phase"])


def _told(tables: Tables, phase: str) -> set[str]:
    """Accounts to which the platform sent a file of interests, with entries or without."""
    asked = tables["data_requests"]
    told = asked["latest"] & (asked["state"] == "answered") & (asked["phase"] == phase)
    return set(asked.loc[told, "account"].astype(str))


SOURCES: Mapping[str, _Source] = {
    "endpoints": _Source(_hosts, _captured),
    "trackers": _Source(_trackers, _captured),
    "organisations": _Source(_organisations, _captured),
    "syncs": _Source(_syncs, _visited),
    "audio-ads": _Source(_ads("segment"), _listened, _hours),
    "creatives": _Source(_ads("creative"), _listened),
    "ads": _Source(_shown("creative"), _visited),
    "advertisers": _Source(_shown("advertiser"), _visited),
    "interests": _Source(_interests, _told, since=True),
}
"""Outcomes of sets; ``study.models.MEASURES`` says by which measures they are compared."""
