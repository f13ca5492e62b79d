"""Who stands where in the exchange of identifiers, and how those who bid stand in it."""

from __future__ import annotations

import pytest

from echoaudit.findings.partner_bids import partners_table
from echoaudit.findings.sync_graph import graph_table
from echoaudit.outcomes import bids, syncs

PLATFORM = "amazon-adsystem.com"


def exchange(*pairs, account="fashion-1"):
    return syncs.TABLE.conform(
        [{**dict.fromkeys(syncs.TABLE.names), "account": account, "source": s, "target": t}
         for s, t in pairs]
    )  # fmt: skip


def asked(*rows):
    return bids.TABLE.conform(
        [{**dict.fromkeys(bids.TABLE.names), "account": "fashion-1", "persona": "fashion",
          "phase": "after", "bidder": bidder, "server": server, "state": state, "cpm_usd": price}
         for bidder, server, state, price in rows]
    )  # fmt: skip


SEEN = exchange(
    ("partner.com", PLATFORM), (PLATFORM, "fed.com"), ("partner.com", "second.com"),
    ("second.com", "third.com"), ("third.com", "partner.com"), ("alone.com", "third.com"),
)  # fmt: skip
ASKED = asked(
    ("p", "partner.com", "bid", 2.0), ("p", "", "won", 4.0), ("p", "partner.com", "no-bid", None),
    ("a", "alone.com", "bid", 1.0), ("u", "unseen.com", "timeout", None),
    ("z", "", "bid", 9.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def graph():
    return graph_table(SEEN, ASKED)


def test_each_domain_has_its_standing_and_its_steps_from_the_platform(graph):
    rows = graph.set_index("domain")
    assert rows["standing"].to_dict() == {
        PLATFORM: "platform", "partner.com": "partner", "fed.com": "partner",
        "second.com": "downstream", "third.com": "downstream", "alone.com": "apart",
        "unseen.com": "unseen",
    }  # fmt: skip
    assert rows["hops"].dropna().to_dict() == {
        PLATFORM: 0, "partner.com": 1, "fed.com": 1, "second.com": 2, "third.com": 3,
    }  # fmt: skip
    assert rows.loc["third.com", "via"] == "second.com"


def test_directions_towards_the_platform_are_told_apart(graph):
    rows = graph.set_index("domain")
    assert list(rows.index[rows["to_platform"]]) == ["partner.com"]
    assert list(rows.index[rows["from_platform"]]) == ["fed.com"]
    assert (rows.loc["third.com", "receives_from"], rows.loc["partner.com", "sends_to"]) == (2, 2)
    assert rows.loc["partner.com", "bidders"] == "p"


def test_bids_of_partners_stand_beside_those_of_others(graph):
    rows = partners_table(ASKED, graph).set_index("standing")
    assert set(rows.index) == {"partner", "apart", "unseen", "unknown"}
    partner = rows.loc["partner"]
    # A bidder whose request was not seen once is known by its others.
    assert (partner["requests"], partner["bids"], partner["median_usd"]) == (3, 2, 3.0)
    assert partner["rate"] == pytest.approx(2 / 3, abs=1e-6)
    assert rows.loc["unseen"].isna()["rate"]
    assert rows.loc["unknown", "bidders"] == "z"


def test_nothing_seen_is_an_empty_table():
    empty = graph_table(exchange(), asked())
    assert empty.empty
    assert partners_table(asked(), empty).empty
