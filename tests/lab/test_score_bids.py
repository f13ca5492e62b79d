"""The score of bids: a price, a no-bid and a timeout are three different answers."""

from __future__ import annotations

import pytest

from echoaudit.lab.score import score_ads, score_auctions, score_bids

WINDOWS = [("v", "f-1", 100.0, 200.0)]


def truth(*answers):
    return [
        {"account": "f-1", "time": 150.0, "slot": "top", "bidder": f"b{n}", "answer": answer,
         "cpm": cpm}
        for n, (answer, cpm) in enumerate(answers)
    ]  # fmt: skip


def recorded(*answers):
    return [
        {"visit": "v", "slot": "top", "bidder": f"b{n}", "state": state, "cpm": cpm}
        for n, (state, cpm) in enumerate(answers)
    ]


def test_every_answer_in_its_state_is_right():
    log = truth(("bid", 1.5), ("no-bid", 0.0), ("late", 2.0), ("late", 2.0), ("bid", 0.5))
    found = recorded(
        ("rendered", 1.5), ("no-bid", None), ("timeout", None), ("timeout", 2.0), ("bid", 0.5)
    )
    score = score_bids(found, log, WINDOWS, {})
    assert (score.perfect, score.right, score.uncertain) == (True, 5, 0)


@pytest.mark.parametrize("state", ["timeout", "requested"])
def test_an_answer_that_came_too_late_for_the_page_is_uncertain_and_no_no_bid(state):
    log = truth(*[("bid", 1.5)] * 12)
    score = score_bids(recorded(*[(state, None)] * 12), log, WINDOWS, {})
    assert (score.perfect, score.found, score.uncertain) == (True, 0, 12)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (("bid", 1.5), ("no-bid", None)),
        (("late", 1.5), ("no-bid", None)),
        (("late", 1.5), ("bid", 1.5)),
        (("no-bid", 0.0), ("error", None)),
        (("bid", 1.5), ("bid", 1.6)),
        (("bid", 1.5), ("bid", None)),
    ],
)
def test_one_answer_taken_for_another_is_wrong(answer, found):
    score = score_bids(recorded(found), truth(answer), WINDOWS, {"v": 9})
    assert (len(score.wrong), len(score.missed), score.uncertain) == (1, 1, 0)


def test_a_timeout_where_nobody_was_asked_is_invented():
    score = score_bids(recorded(("timeout", None)), [], WINDOWS, {"other": 1})
    assert score.wrong == ("v top b0 timeout 1",)


def test_a_timeout_of_a_request_that_never_arrived_is_uncertain():
    found = recorded(("timeout", None), ("timeout", None))
    score = score_bids(found, [], WINDOWS, {"v": 1})
    assert (score.wrong, score.uncertain) == (("v top b1 timeout 1",), 1)
    # A timeout that was planted has left a request without answer, too.
    score = score_bids(found, truth(("late", 2.0)), WINDOWS, {"v": 1})
    assert (score.right, score.wrong, score.uncertain) == (1, ("v top b1 timeout 1",), 0)
    assert score_bids(found, truth(("late", 2.0)), WINDOWS, {"v": 2}).perfect


# --- ads --------------------------------------------------------------------------------------


def shown(creative, slot="top", kind="prebid"):
    return [{"visit": "v", "slot": slot, "kind": kind, "creative_id": creative}]


LOG = [{**row, "ad": "coat"} for row in truth(("bid", 1.5), ("bid", 2.5), ("no-bid", 9.0))]


def test_the_ad_of_the_highest_price_is_the_one_to_be_found():
    found = shown("b1-coat") + shown("", "side", "frame")
    assert score_ads(found, [], LOG, WINDOWS).perfect
    score = score_ads(shown("b0-coat"), [], LOG, WINDOWS)
    assert (score.wrong, score.missed) == (("v top b0-coat",), ("v top b1-coat",))
    assert score_ads([], [], LOG, WINDOWS).missed == ("v top b1-coat",)


def test_of_equal_prices_either_ad_is_right():
    equal = [{**row, "cpm": 2.0} for row in LOG[:2]]
    for creative in ("b0-coat", "b1-coat"):
        assert score_ads(shown(creative), [], equal, WINDOWS).perfect


def test_a_slot_with_a_late_answer_is_uncertain():
    late = recorded(("bid", 1.5), ("timeout", None), ("no-bid", None))
    score = score_ads(shown("b0-coat"), late, LOG, WINDOWS)
    assert (score.perfect, score.found, score.uncertain) == (True, 0, 1)


def test_auctions_on_servers_are_held_against_what_the_servers_saw():
    log = [
        {"view": view, "kind": kind, "host": "a.example"}
        for view, kind in (("1", "apstag"), ("1", "apstag"), ("1", "google-ads"), ("9", "apstag"))
    ]
    found = [
        {"visit": "v", "kind": kind, "host": "a.example"}
        for kind in ("apstag", "", "prebid-server")
    ]
    score = score_auctions(found, log, {"1": "v"})
    assert (score.found, score.planted, score.right) == (2, 2, 1)
    assert score.wrong == ("v prebid-server a.example",)
    assert score.missed == ("v google-ads a.example",)
