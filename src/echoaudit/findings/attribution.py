"""Which contacts count for a skill, and which are the speaker's own chatter.

The rule is ``inference.background``'s. Idle captures of all accounts of the study are taken
together: a speaker's chatter is its platform's, not its owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from echoaudit.inference.background import Counts, judge
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Hashable

_WHO = ("session", "account", "persona", "skill", "host", "address")
_WHOSE = ("domain", "organisation", "parent", "hosted_by", "party", "role")

ATTRIBUTION = Schema(
    "attribution",
    "Which contacts of a skill's session count for the skill.",
    (
        Column("session", "string", "Step id of the session."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("skill", "string", "Id of the skill."),
        Column("host", "string", "Host that was contacted; empty when nothing names it."),
        Column("address", "string", "Server address where there is no host; else empty."),
        Column("domain", "string", "Registrable domain of the host."),
        Column("organisation", "string", "Owner of the name; empty when unknown."),
        Column("parent", "string", "Company that controls the owner; empty when unknown."),
        Column("hosted_by", "string", "Who runs the shared hosting that the name is on."),
        Column("party", "string", "`platform`, `vendor`, `third` or `unknown`."),
        Column("role", "string", "What the list says that the name is for."),
        Column("verdict", "string", "`skill`, `background` or `uncertain`."),
        Column(
            "reason",
            "string",
            "`not in idle`, `more than in idle`, `as in idle`, `too little idle time`, `no name`.",
        ),
        Column("flows", "int", "Connections in the session."),
        Column("bytes", "int", "Their bytes, both ways.", "bytes"),
        Column("seconds", "float", "Length of the session.", "s"),
        Column("idle_flows", "int", "Connections to the same host in all idle captures."),
        Column("idle_accounts", "int", "Accounts in whose idle capture it was contacted."),
        Column("idle_seconds", "float", "Length of all idle captures together.", "s"),
        Column("p", "float", "Of so many connections by chance; missing when idle has none."),
        Column("p_holm", "float", "The same, corrected for the hosts of the session."),
    ),
)


@dataclass(frozen=True)
class Idle:
    """What the idle captures of a study hold."""

    seconds: float
    rows: pd.DataFrame
    """Their contacts: ``account, host, flows`` and the set of ``places``."""

    def of(self, host: str, addresses: frozenset[str]) -> tuple[int, int]:
        """Connections to a host and the accounts that made them.

        A connection that nothing names counts where its address is one of the host's, and a host
        that nothing names is known by its address.
        """
        same = self.rows["host"] == host if host else pd.Series(False, index=self.rows.index)
        near = [not addresses.isdisjoint(places) for places in self.rows["places"]]
        nameless = (self.rows["host"] == "") | (not host)
        found = self.rows[same | (nameless & pd.Series(near, index=self.rows.index, dtype=bool))]
        return int(found["flows"].sum()), int(found["account"].nunique())


def attribution_table(
    endpoints: pd.DataFrame, captures: pd.DataFrame, steps: pd.DataFrame, excluded: pd.DataFrame
) -> pd.DataFrame:
    """One row per session of a skill and host (or nameless address) that was contacted.

    Sessions that the study leaves out (``excluded``) have none.
    """
    contacts = endpoints[endpoints["contacted"].fillna(False).astype(bool)]
    seconds = session_seconds(captures, steps)
    idle = _idle(contacts, captures, seconds)
    asked = contacts[(contacts["kind"] == "session") & (contacts["skill"] != "")]
    asked = asked[~asked["session"].isin(excluded["session"])]
    rows: list[dict[str, Any]] = []
    for session, own in asked.groupby("session", sort=True):
        rows.extend(_judged(_counted(own, seconds.get(str(session), 0.0), idle)))
    return ATTRIBUTION.conform(rows)


def session_seconds(captures: pd.DataFrame, steps: pd.DataFrame) -> dict[str, float]:
    """How long each captured session was: by its own record, else from first to last packet."""
    there = captures[captures["status"] != "missing"]
    recorded = steps.set_index("step")
    lengths = (recorded["ended"] - recorded["started"]).to_dict()
    found: dict[str, float] = {}
    for session, first, last in zip(there["session"], there["first"], there["last"], strict=True):
        length = lengths.get(session)
        if length is None or pd.isna(length):
            length = last - first
        found[str(session)] = 0.0 if pd.isna(length) else max(0.0, float(length))
    return found


def _idle(contacts: pd.DataFrame, captures: pd.DataFrame, seconds: Mapping[str, float]) -> Idle:
    quiet = captures.loc[captures["kind"] == "idle", "session"]
    own = contacts[contacts["kind"] == "idle"]
    rows = pd.DataFrame(
        {
            "account": own["account"],
            "host": own["host"],
            "flows": own["flows"],
            "places": [frozenset(str(text).split()) for text in own["addresses"]],
        }
    )
    return Idle(sum(seconds.get(str(session), 0.0) for session in quiet), rows)


def _counted(own: pd.DataFrame, seconds: float, idle: Idle) -> Iterator[dict[str, Any]]:
    """Each host of one session with what idle says of it, not yet judged."""
    address = own["addresses"].where(own["host"] == "", "")
    key: list[Hashable] = ["host", "address"]
    for (host, place), rows in own.assign(address=address).groupby(key, sort=True):
        first = rows.iloc[0]
        places = frozenset(" ".join(rows["addresses"].astype(str)).split())
        flows, accounts = idle.of(str(host), places)
        yield {
            **{name: first[name] for name in (*_WHO[:4], *_WHOSE)},
            "host": host,
            "address": place,
            "flows": int(rows["flows"].sum()),
            "bytes": int((rows["bytes_up"].fillna(0) + rows["bytes_down"].fillna(0)).sum()),
            "seconds": seconds,
            "idle_flows": flows,
            "idle_accounts": accounts,
            "idle_seconds": idle.seconds,
        }


def _judged(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The hosts of one session with verdicts."""
    hosts = list(rows)
    counts = [
        Counts(
            row["flows"], row["seconds"], row["idle_flows"], row["idle_seconds"], bool(row["host"])
        )
        for row in hosts
    ]
    for row, judgement in zip(hosts, judge(counts), strict=True):
        yield {**row, **asdict(judgement)}
