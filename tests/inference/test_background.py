"""Whether a contact is a session's or the device's own: the rule, and how often it errs."""

import numpy as np
import pytest
from scipy.stats import binomtest

from echoaudit.inference.background import Counts, judge, more_than

HOUR = 3600.0


def one(*arguments, **named):
    (judgement,) = judge([Counts(*arguments, **named)])
    return judgement.verdict, judgement.reason


def test_a_host_that_idle_never_has_is_the_session_s_when_idle_was_long_enough():
    assert one(1, 60, 0, 180) == ("skill", "not in idle")
    assert one(1, 60, 0, 179) == ("uncertain", "too little idle time")
    assert one(50, 60, 0, 0) == ("uncertain", "too little idle time")
    assert one(1, 0, 0, HOUR) == ("uncertain", "too little idle time")


def test_a_host_that_idle_has_needs_a_significantly_higher_rate():
    assert one(1, 60, 1, HOUR) == ("skill", "more than in idle")
    assert one(1, 60, 60, HOUR) == ("background", "as in idle")
    assert one(9, 60, 60, HOUR) == ("skill", "more than in idle")
    assert one(9, 60, 1, 0) == ("background", "as in idle")


def test_a_server_without_a_name_never_counts_for_a_skill():
    assert one(9, 60, 0, HOUR, named=False) == ("uncertain", "no name")
    assert one(9, 60, 9, HOUR, named=False) == ("uncertain", "no name")
    assert one(1, 60, 60, HOUR, named=False) == ("background", "as in idle")


def test_the_more_hosts_are_tested_the_more_each_must_differ():
    close = Counts(3, 60, 30, HOUR)
    alone, among = judge([close])[0], judge([close] * 5)[0]
    assert (alone.verdict, among.verdict) == ("skill", "background")
    assert among.p_holm == pytest.approx(5 * alone.p, rel=1e-4)
    untested = [Counts(1, 60, 0, HOUR)] * 9
    assert judge([close, *untested])[0] == alone


@pytest.mark.parametrize("counts", [(1, 60, 1, 600), (7, 30, 3, 90), (40, 61.5, 400, 5000)])
def test_p_is_that_of_the_conditional_binomial_test(counts):
    flows, seconds, idle, quiet = counts
    part = seconds / (seconds + quiet)
    expected = binomtest(flows, flows + idle, part, alternative="greater").pvalue
    assert more_than(Counts(*counts)) == pytest.approx(expected)


def test_chatter_is_taken_for_a_contact_less_often_than_alpha():
    """A host that the device contacts at one rate, idle or not."""
    rng = np.random.default_rng(5)
    session, idle = rng.poisson(2.0, 4000), rng.poisson(20.0, 4000)
    wrong = sum(
        judge([Counts(int(k), 60, int(n), 600)])[0].verdict == "skill"
        for k, n in zip(session, idle, strict=True)
        if k
    )
    assert wrong / 4000 <= 0.05
