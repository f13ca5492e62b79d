"""Density measures: what they count and what they divide by."""

from __future__ import annotations

import pandas as pd

from echoaudit.outcomes.captures import TABLE as CAPTURES
from echoaudit.outcomes.endpoints import TABLE as ENDPOINTS
from echoaudit.report.density import section


def endpoint(host: str, role: str, flows: int, octets: int, persona: str = "tv") -> dict:
    empty = {column.name: "" if column.dtype == "string" else None for column in ENDPOINTS.columns}
    return {
        **empty, "persona": persona, "host": host, "role": role, "flows": flows,
        "bytes_up": octets, "bytes_down": 0,
    }  # fmt: skip


def capture(
    session: str, first: float | None, last: float | None, persona: str = "tv", account: str = ""
) -> dict:
    empty = {column.name: "" if column.dtype == "string" else None for column in CAPTURES.columns}
    own = {"session": session, "persona": persona, "account": account}
    return {**empty, **own, "first": first, "last": last}


def table(endpoints: list[dict], captures: list[dict]) -> pd.DataFrame:
    found = section(ENDPOINTS.conform(endpoints), CAPTURES.conform(captures))
    if not found.tables:
        return pd.DataFrame()
    columns = [column.label for column in found.tables[0].columns]
    return pd.DataFrame(found.tables[0].rows, columns=columns).set_index(["persona", "role"])


def test_rates_and_shares_by_role() -> None:
    found = table(
        [
            endpoint("t.example", "tracking", 3, 100),
            endpoint("t.example", "tracking", 1, 100),
            endpoint("u.example", "tracking", 0, 0),
            endpoint("f.example", "functional", 4, 600),
            endpoint("", "unknown", 2, 200),
        ],
        [capture("a", 0.0, 1800.0), capture("b", 5000.0, 10400.0), capture("c", None, None)],
    )
    assert found.loc[("tv", "tracking")].to_list() == [
        "2", "1.0", "4", "40 %", "200 B", "20 %"
    ]  # fmt: skip
    assert found.loc[("tv", "unknown"), ["hosts", "connections"]].to_list() == ["0", "2"]


def test_personas_are_compared_side_by_side() -> None:
    found = table(
        [endpoint("t.example", "tracking", 1, 1), endpoint("t.example", "tracking", 1, 1, "vr")],
        [capture("a", 0.0, 3600.0), capture("b", 0.0, 1800.0, "vr")],
    )
    assert found["hosts an hour"].to_dict() == {
        ("tv", "tracking"): "1.0",
        ("vr", "tracking"): "2.0",
    }


def test_more_accounts_do_not_make_a_persona_look_cleaner() -> None:
    both = [endpoint("t.example", "tracking", 1, 1) | {"account": account} for account in "ab"]
    alike = [capture(account, 0.0, 3600.0, account=account) for account in "ab"]
    assert table(both, alike).loc[("tv", "tracking"), "hosts an hour"] == "1.0"
    assert table(both[:1], alike).loc[("tv", "tracking"), "hosts an hour"] == "0.5"


def test_no_time_gives_no_rate_and_no_capture_no_table() -> None:
    found = table([endpoint("t.example", "tracking", 1, 1)], [capture("a", 5.0, 5.0)])
    assert found.loc[("tv", "tracking"), "hosts an hour"] not in ("", "inf", "nan")
    assert not any(c.isdigit() for c in found.loc[("tv", "tracking"), "hosts an hour"])
    assert table([], []).empty
