"""Browsers that are killed in a crawl lose, double and break no visit."""

from __future__ import annotations

import pytest
from crawl_kit import crawl

pytestmark = pytest.mark.web


def test_a_crawl_in_which_browsers_are_killed_is_whole(tmp_path):
    found = crawl(tmp_path, accounts=1, visits=4, kills=3, seed=2)
    assert found.killed.total() >= 1
    assert (found.lost, found.doubled, found.damage) == (0, 0, [])
    assert set(found.states) <= {"complete", "failed"}
    assert found.restored >= 1
    assert found.left_over == []
