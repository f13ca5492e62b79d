"""Which accounts were looked at, for each kind of fact: where nobody looked, nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]


def captured(tables: Tables) -> pd.DataFrame:
    """Sessions whose traffic is there to be read."""
    return tables["captures"][tables["captures"]["status"] != "missing"]


def opened(tables: Tables) -> pd.DataFrame:
    """Sessions in which at least something could be decrypted."""
    return tables["decrypted"][tables["decrypted"]["exchanges"] > 0]


def visited(tables: Tables) -> pd.DataFrame:
    """Visits that ended as they should."""
    steps = tables["steps"]
    return steps[(steps["kind"] == "visit") & (steps["state"] == "complete")]


def listened(tables: Tables) -> pd.DataFrame:
    """Streams that were recorded."""
    steps = tables["steps"]
    return steps[(steps["kind"] == "stream") & (steps["state"] != "missing")]


def answered(tables: Tables) -> pd.DataFrame:
    """Data requests, the latest of each account and phase, that brought a file of interests."""
    asked = tables["data_requests"]
    return asked[asked["latest"].astype(bool) & (asked["state"] == "answered")]


LOOKED: Mapping[str, Callable[[Tables], pd.DataFrame]] = {
    "endpoints": captured,
    "attribution": captured,
    "shares": captured,
    "reach": captured,
    "data_types": opened,
    "syncs": visited,
    "parties": visited,
    "sync_graph": visited,
    "bids": visited,
    "bid_rate": visited,
    "partner_bids": visited,
    "web_contacts": visited,
    "cookies": visited,
    "ads": visited,
    "ad_creatives": visited,
    "ad_channels": visited,
    "audio_segments": listened,
    "audio_ads": listened,
    "creatives": listened,
    "ad_counts": listened,
    "interests": answered,
}
"""The evidence, with ``account`` and ``persona``, that a table's facts rest on; a table that is
not here says itself what was not seen."""
