"""What a page about several studies shows of each: coverage, who was contacted, who got what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from echoaudit.report.coverage import meters
from echoaudit.report.data_types import owner
from echoaudit.report.endpoints import owners, party_rank
from echoaudit.report.parts import Meter

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Reached:
    """An organisation that Echos of a persona contacted."""

    persona: str
    organisation: str
    party: str
    accounts: int
    whole: int
    """Accounts of the persona whose Echo was captured."""


@dataclass(frozen=True)
class Received:
    """Kinds of personal data that an organisation was sent, in decrypted traffic."""

    organisation: str
    party: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Digest:
    """One study in short."""

    coverage: tuple[Meter, ...]
    contacts: tuple[Reached, ...]
    data: tuple[Received, ...]
    opened: tuple[int, int]
    """Devices that could be decrypted, and all."""


def digest(tables: Tables) -> Digest:
    """The short form of a study's tables; sessions that its rules exclude are left out."""
    decrypted = tables["decrypted"]
    opened = decrypted[decrypted["status"] != "sealed"]
    return Digest(
        coverage=tuple(meters(tables)),
        contacts=tuple(_contacts(tables)),
        data=tuple(_data(_kept(tables, "data_types"))),
        opened=(int(opened["account"].nunique()), int(decrypted["account"].nunique())),
    )


def _kept(tables: Tables, name: str) -> pd.DataFrame:
    table = tables[name]
    return table[~table["session"].isin(tables["excluded"]["session"])]


def _contacts(tables: Tables) -> list[Reached]:
    captures = tables["captures"]
    there = captures[captures["status"] != "missing"]
    whole = there.groupby("persona")["account"].nunique()
    endpoints = _kept(tables, "endpoints")
    known = endpoints[endpoints["contacted"].fillna(False).astype(bool)]
    known = known.assign(organisation=owners(known))
    found = []
    for (persona, organisation), own in known.groupby(["persona", "organisation"], sort=True):
        parties = "/".join(sorted(set(own["party"].astype(str)), key=str))
        reached = Reached(
            str(persona),
            str(organisation),
            parties,
            int(own["account"].nunique()),
            int(whole.get(persona, 0)),
        )
        found.append((party_rank(own), reached))
    found.sort(key=lambda one: (one[1].persona, one[0], -one[1].accounts, one[1].organisation))
    return [one for _, one in found]


def _data(found: pd.DataFrame) -> list[Received]:
    if found.empty:
        return []
    known = found.assign(owner=found.apply(owner, axis=1))
    return [
        Received(str(name), str(party), tuple(sorted(set(own["data_type"].astype(str)))))
        for (name, party), own in known.groupby(["owner", "party"], sort=True)
    ]
