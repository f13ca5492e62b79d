import gzip
import json
import math
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoaudit.lab.exchange import Occasion, decide
from echoaudit.lab.exchange_wire import WIRES, NotAnAuction, Offer, read
from echoaudit.lab.world import load_world

OTHER = load_world(Path(__file__).parent / "other_world.yaml")
PAPER = load_world("paper")
IMP = {
    "id": "2a",
    "tagid": "x",
    "banner": {"format": [{"w": 300, "h": 250}]},
    "ext": {"gpid": "/hedge/a"},
}
BARE_IMP = {"id": "2a", "tagid": "a"}
ORTB = {"id": "r1", "imp": [IMP], "site": {"page": "https://hedge.example.com/"}}
APPNEXUS = {
    "tags": [{"uuid": "2a", "gpid": "/hedge/a", "sizes": [{"width": 300, "height": 250}]}],
    "referrer_detection": {"rd_ref": "https%3A%2F%2Fhedge.example.com%2F"},
}
RUBICON = {
    "account_id": "1", "site_id": "2", "zone_id": "3", "size_id": "15",
    "l_pb_bid_id": "2a", "p_gpid": "/hedge/a", "rf": "https://hedge.example.com/",
}  # fmt: skip


def occasion(turn=0, bidder="appnexus", account="fashion-1", known_as=None):
    return Occasion(bidder, "harbor-gazette", "sidebar", account, known_as, turn)


def bids(world, interests, turns=400, **changes):
    found = [decide(world, occasion(turn, **changes), interests) for turn in range(turns)]
    return [decision for decision in found if decision.answer == "bid"]


def test_the_same_occasion_has_the_same_answer():
    first = [decide(PAPER, occasion(turn), ["Fashion & Style"]) for turn in range(20)]
    assert first == [decide(PAPER, occasion(turn), ["Fashion & Style"]) for turn in range(20)]
    assert len({decision.cpm for decision in first}) > 10


def test_interest_multiplies_the_price_and_nothing_else():
    plain, fashion = bids(PAPER, []), bids(PAPER, ["Fashion & Style"])
    assert len(plain) == len(fashion)
    ratios = [after.cpm / before.cpm for before, after in zip(plain, fashion, strict=True)]
    assert ratios == pytest.approx([2.4] * len(ratios), abs=0.01)
    assert {decision.lift for decision in fashion} == {2.4}
    assert {decision.lift for decision in plain} == {1.0}


def test_null_world_pays_everybody_the_same():
    null = load_world("null")
    assert bids(null, ["Fashion & Style"]) == bids(null, [])


def test_bid_rate_and_noise_are_as_planted():
    found = bids(PAPER, [], turns=3000)
    assert len(found) / 3000 == pytest.approx(0.8, abs=0.03)
    logs = [math.log(decision.cpm) for decision in found]
    assert statistics.stdev(logs) == pytest.approx(0.3, abs=0.02)


def test_accounts_differ_by_the_planted_account_noise():
    def level(account):
        return statistics.fmean(math.log(b.cpm) for b in bids(PAPER, [], account=account))

    levels = [level(f"vanilla-{number}") for number in range(60)]
    assert statistics.stdev(levels) == pytest.approx(0.08, abs=0.03)


def test_ads_of_an_interest_are_shown_to_it_only():
    fashion = {b.ad.interest for b in bids(PAPER, ["Fashion & Style"])}
    assert fashion == {"Fashion & Style"}
    assert {b.ad.interest for b in bids(PAPER, [])} == {None}


@pytest.mark.parametrize(
    ("adapter", "query", "body"),
    [
        ("appnexus", {}, json.dumps(APPNEXUS).encode()),
        ("rubicon", RUBICON, b""),
        ("ix", {"s": "5"}, json.dumps(ORTB).encode()),
        ("openx", {}, json.dumps(ORTB).encode()),
        ("pubmatic", {"gzip": "1"}, gzip.compress(json.dumps(ORTB).encode())),
        ("pubmatic", {}, json.dumps(ORTB).encode()),
        ("adkernel", {"zone": "1"}, json.dumps({**ORTB, "imp": [BARE_IMP]}).encode()),
    ],
)  # fmt: skip
def test_requests_of_each_adapter_are_understood(adapter, query, body):
    auction = read(WIRES[adapter], query, body)
    assert auction.page == "https://hedge.example.com/"
    assert [(o.request, o.slot) for o in auction.opportunities] == [("2a", "a")]
    nothing = json.dumps(WIRES[adapter].answer(auction, []))
    assert "adm" not in nothing
    assert '"cpm"' not in nothing


def test_index_exchange_is_answered_in_cents():
    auction = read(WIRES["ix"], {}, json.dumps(ORTB).encode())
    offer = Offer(auction.opportunities[0], 0.1234, (300, 250), "c", "<b>", "a.com")
    bid = WIRES["ix"].answer(auction, [offer])["seatbid"][0]["bid"][0]
    assert bid["price"] == 12.34


def test_a_rubicon_ad_cannot_end_its_script_early():
    auction = read(WIRES["rubicon"], RUBICON, b"")
    offer = Offer(auction.opportunities[0], 1.0, (300, 250), "c", "</script><b>", "a.com")
    assert "</script>" not in WIRES["rubicon"].answer(auction, [offer])["ads"][0]["script"]


def test_a_gzip_bomb_is_refused():
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(NotAnAuction):
        read(WIRES["pubmatic"], {"gzip": "1"}, bomb)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["imp", "tags", "site", "page", "ext", "uuid", "id"]), inner
        )
    ),
    max_leaves=12,
)


@given(value=JSON, raw=st.binary(max_size=40), adapter=st.sampled_from(sorted(WIRES)))
def test_what_no_adapter_sends_is_refused(value, raw, adapter):
    for body in (raw, json.dumps(value).encode()):
        for query in ({}, {"gzip": "1"}):
            try:
                read(WIRES[adapter], query, body)
            except NotAnAuction:
                continue
