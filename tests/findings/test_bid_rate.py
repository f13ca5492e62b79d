"""How often bidders bid: failures are counted, and in neither part of the share."""

from __future__ import annotations

import math

import pytest

from echoaudit.findings.bid_rate import TURNED_AWAY
from echoaudit.findings.bid_rate import rates_table as rates_of
from echoaudit.findings.steps import STEPS
from echoaudit.outcomes.bids import STATES, TABLE


def rows(*states, account="fashion-1", bidder="ix", forced=False):
    return [
        {**dict.fromkeys(TABLE.names), "account": account, "persona": "fashion", "phase": "after",
         "bidder": bidder, "state": state, "forced": forced}
        for state in states
    ]  # fmt: skip


def rates_table(bids, **states):
    """The rates, of visits in these states; complete when not told."""
    empty = dict.fromkeys(STEPS.names)
    steps = STEPS.conform({**empty, "step": s, "state": state} for s, state in states.items())
    return rates_of(bids, steps)


def test_every_state_is_counted_once_and_failures_are_no_zeros():
    (row,) = rates_table(TABLE.conform(rows(*STATES))).to_dict("records")
    assert (row["requests"], row["bids"], row["no_bids"]) == (8, 3, 1)
    assert [row[name] for name in ("timeouts", "errors", "rejected", "unanswered")] == [1] * 4
    assert (row["won"], row["rendered"], row["rate"]) == (2, 1, 0.75)


def test_without_any_answer_there_is_no_rate():
    (row,) = rates_table(TABLE.conform(rows("timeout", "error"))).to_dict("records")
    assert math.isnan(row["rate"])


def test_forced_auctions_and_bidders_are_kept_apart():
    bids = rows("bid") + rows("no-bid", forced=True) + rows("no-bid", bidder="openx")
    assert list(rates_table(TABLE.conform(bids))["rate"]) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("state", TURNED_AWAY)
def test_bidders_had_no_opportunity_where_another_page_was_shown(state):
    bids = [{**row, "visit": visit} for visit in ("v1", "v2") for row in rows("bid", "no-bid")]
    table = rates_table(TABLE.conform(bids), v1="complete", v2=state)
    assert list(table["requests"]) == [2]
    assert rates_table(TABLE.conform(bids), v1="timeout", v2="failed")["requests"].sum() == 4
