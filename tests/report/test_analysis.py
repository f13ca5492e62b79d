"""The method in words names what was done, by measure and test, and nothing else."""

import pytest
from simulate import CLAIM, simulate

from echoaudit.inference import conclude_all
from echoaudit.report.method import limits, method

BIDS = ("value", "rate", "value-per-opportunity", "maximum")
WORDS = {
    "value": "logarithms of bids’ prices",
    "rate": "of bids (1) and no-bids (0)",
    "value-per-opportunity": "of prices, 0 for a no-bid",
    "maximum": "each slot’s highest bid",
    "count": "log(count + 1/2)",
    "distance": "Jaccard distance",
    "exclusive": "persona’s own when at least two of its accounts",
    "accounts": "Fisher’s exact test",
}
TWO_SIDES = "The interval has two sides whatever the claim says"


@pytest.fixture(scope="module")
def told():
    info, tables, _ = simulate((CLAIM,))

    def words(**changes):
        conclusions = conclude_all([CLAIM.model_copy(update=changes)], tables)
        return " ".join(method(info, tables, conclusions)), limits(info, conclusions)[0]

    return words


@pytest.mark.parametrize("measure", WORDS)
def test_each_measure_is_described_where_it_is_used_and_only_there(told, measure):
    outcome = "bids" if measure in BIDS else "syncs"
    direction = "different" if measure == "distance" else "higher"
    text, limit = told(measure=measure, outcome=outcome, direction=direction)
    assert {name for name, words in WORDS.items() if words in text} == {measure}
    scored = measure in (*BIDS, "count")
    assert ("studentised difference of means" in text) == scored
    assert ("least-squares fit" in text) == (outcome == "bids")
    assert (TWO_SIDES in text) == scored
    assert ("bids of these accounts differ" in limit) == (outcome == "bids")
    assert ("pairs of parties that exchanged identifiers" in limit) == (outcome == "syncs")


def test_equivalence_is_said_to_be_judged_by_two_tests(told):
    text, limit = told(direction="equivalent")
    assert "two one-sided t tests" in text
    assert "studentised" not in text
    assert "differ (or are alike)" in limit
