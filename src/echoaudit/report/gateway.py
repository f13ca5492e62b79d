"""What the gateway did with connections that hide from it, by the policy in force."""

from __future__ import annotations

import pandas as pd

from echoaudit.outcomes.captures import WAYS
from echoaudit.report.parts import Column, Table
from echoaudit.report.text import count

VERBS = {"drop": "dropped", "forward": "let by"}


def policies_table(captures: pd.DataFrame) -> Table | None:
    """Packets of each way by policy and account; one row where no account sent any.

    ``None`` when no capture says what was in force.
    """
    rows = [row for way, what in WAYS.items() for row in _rows(captures, way, what)]
    rows += _redirected(captures)
    if not rows:
        return None
    return Table(
        "What the gateway dropped or let by",
        (
            Column("what"),
            Column("policy"),
            Column("account"),
            Column("sessions with it", numeric=True),
            Column("packets", numeric=True),
        ),
        tuple(rows),
    )


def _rows(captures: pd.DataFrame, way: str, what: str) -> list[tuple[str, ...]]:
    known = captures[captures[f"{way}_policy"].isin(VERBS)]
    return [
        row
        for policy, own in known.groupby(f"{way}_policy", sort=True)
        for row in _by_account(own, f"{way}_packets", what, VERBS[str(policy)])
    ]


def _redirected(captures: pd.DataFrame) -> list[tuple[str, ...]]:
    known = captures[captures["redirected_dns"].notna()]
    if known.empty:
        return []
    return _by_account(known, "redirected_dns", "DNS to other resolvers", "answered by the gateway")


def _by_account(own: pd.DataFrame, column: str, what: str, policy: str) -> list[tuple[str, ...]]:
    met = own[own[column].fillna(0) > 0]
    if met.empty:
        everyone = f"none of {count(own['account'].nunique(), 'account')}"
        return [(what, policy, everyone, f"0 / {len(own):,}", "0")]
    sessions = own.groupby("account")["session"].count()
    return [
        (
            what,
            policy,
            str(account),
            f"{len(sent):,} / {sessions[account]:,}",
            f"{int(sent[column].sum()):,}",
        )
        for account, sent in met.groupby("account", sort=True)
    ]
