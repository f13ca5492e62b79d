"""Browsers that are killed in a crawl lose, double and break no visit."""

from __future__ import annotations

import pytest
from crawl_kit import crawl, grid_kit

pytestmark = pytest.mark.web


def test_a_crawl_in_which_browsers_are_killed_is_whole(tmp_path):
    found = crawl(tmp_path, accounts=1, visits=4, kills=3, seed=2)
    assert found.killed.total() >= 1
    assert (found.lost, found.doubled, found.damage) == (0, 0, [])
    assert set(found.states) <= {"complete", "failed"}
    assert found.left_over == []


@pytest.mark.skipif(
    not grid_kit.is_here(), reason="no Selenium server: python tests/instruments/grid_kit.py"
)
def test_a_crawl_in_which_a_node_of_the_grid_is_lost_is_whole(tmp_path):
    with grid_kit.Grid(tmp_path) as grid:
        found = crawl(tmp_path, accounts=1, visits=3, kills=0, grid=grid)
    assert found.killed["node"] == 1
    assert found.interrupted >= 1
    assert (found.lost, found.doubled, found.damage) == (0, 0, [])
    assert set(found.states) == {"complete"}
