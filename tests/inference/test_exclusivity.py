"""Ads of one persona only: exact by permutation, and rarely claimed where labels mean nothing."""

from itertools import combinations, permutations

import numpy as np
import pytest

from echoaudit.inference.exclusivity import chance, exclusive

PERSONAS = {f"fashion-{n}": "fashion" for n in range(1, 4)} | {
    f"vanilla-{n}": "vanilla" for n in range(1, 7)
}
FASHION = frozenset(a for a, p in PERSONAS.items() if p == "fashion")


def test_the_chance_is_that_of_permuting_all_labels():
    accounts = ["a", "b", "c", "d", "e"]
    labels = ["x", "x", "y", "y", "y"]
    heard = ("a", "b")
    dealt = list(permutations(labels))
    inside = sum(len({d[accounts.index(a)] for a in heard}) == 1 for d in dealt)
    assert chance(2, [2, 3], 5) == pytest.approx(inside / len(dealt))


def test_ads_of_all_accounts_of_a_persona_are_its_own():
    heard = {f"own-{n}": FASHION for n in range(4)} | {
        f"shared-{n}": frozenset(list(PERSONAS)[n : n + 5]) for n in range(4)
    }
    found = {one.ad: one for one in exclusive(heard, PERSONAS, ["fashion"])}
    assert all(found[f"own-{n}"].claimed for n in range(4))
    assert found["own-0"].p == pytest.approx(1 / 84)
    assert not any(found[f"shared-{n}"].claimed for n in range(4))
    assert found["shared-0"].p is None


def test_one_account_and_controls_claim_nothing():
    heard = {
        "single": frozenset({"fashion-1"}),
        "control": frozenset({"vanilla-1", "vanilla-2", "vanilla-3"}),
    }
    found = {one.ad: one for one in exclusive(heard, PERSONAS, ["fashion"])}
    assert (found["single"].persona, found["single"].claimed) == ("", False)
    assert (found["control"].persona, found["control"].claimed) == ("vanilla", False)
    assert exclusive({}, PERSONAS, ["fashion"]) == []


@pytest.mark.parametrize("groups", [(3, 6), (3, 3, 3, 6)])
def test_a_null_world_is_seldom_called_exclusive(groups):
    names = [f"p{g}" for g, size in enumerate(groups) for _ in range(size)]
    personas = {f"a{n}": name for n, name in enumerate(names)}
    random = np.random.default_rng(5)
    claims = 0
    for _ in range(300):
        rates = random.beta(0.7, 2, 30)
        heard = {
            f"ad{i}": who
            for i, rate in enumerate(rates)
            if (who := frozenset(a for a in personas if random.random() < rate))
        }
        treated = [f"p{g}" for g in range(len(groups) - 1)]
        claims += any(one.claimed for one in exclusive(heard, personas, treated))
    assert claims / 300 <= 0.05


def test_every_pair_is_counted():
    pairs = list(combinations(PERSONAS, 2))
    inside = sum(set(pair) <= FASHION for pair in pairs)
    assert chance(2, [3], 9) == pytest.approx(inside / len(pairs))
