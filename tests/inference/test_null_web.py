"""The benchmark of worlds without targeting judges every claim, and its replays can fail it."""

from collections import Counter

from test_calibration import load

null_web = load("null_web")


def test_claims_about_bids_are_judged_where_nothing_is_targeted():
    found = null_web.replays(null_web.worlds(1, seed=1), 2, seed=1)
    assert sum(found.states.values()) == 2 * 4
    assert found.states["not supported"] >= 4
    assert set(found.states) <= null_web.JUDGED


def test_a_claim_that_was_not_judged_fails_the_benchmark():
    judged = Counter({"not supported": 7})
    assert null_web.Replayed(2, judged, Counter()).holds
    unjudged = judged + Counter({"insufficient: nothing was done to fashion": 1})
    assert not null_web.Replayed(2, unjudged, Counter()).holds
    assert not null_web.Replayed(2, Counter(), Counter()).holds
    assert not null_web.Replayed(2, judged, Counter(bids=1)).holds
