"""Visits and a crawl over a genuine Selenium Grid of two nodes, one of which is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from crawl_kit import crawl, grid_kit
from loopback_sites import LONG, NEWS, PARTNER, TRACKER, Answer, Sites, entries, har_requests

from echoaudit.instruments.browser import Browser
from echoaudit.study.models import BrowserSettings

pytestmark = [pytest.mark.web, pytest.mark.timeout(900)]

COOKIE = ("Set-Cookie", f"id=12345678; {LONG}")
PAGES = {
    (NEWS, "/grid"): Answer(
        f"<iframe src=https://{TRACKER}/grid></iframe><script>new Worker('/work.js')</script>",
        headers=[COOKIE],
    ),
    (NEWS, "/work.js"): Answer("fetch('/from-worker')", mime="text/javascript"),
    (NEWS, "/from-worker"): Answer("x"),
    (TRACKER, "/grid"): Answer(f"<img src=https://{PARTNER}/p>", headers=[COOKIE]),
    (PARTNER, "/p"): Answer(b"", mime="image/png", headers=[COOKIE]),
}


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    with grid_kit.Grid(tmp_path_factory.mktemp("grid")) as found:
        yield found
    assert found.left_over() == []


def test_visits_over_a_grid_are_whole(grid, tmp_path):
    sites = Sites(tmp_path)
    sites.pages.update(PAGES)
    chosen = BrowserSettings(
        trusted_authority=sites.authority, page_timeout=60, settle=1, grid=grid.url
    )
    with Browser(chosen, tmp_path / "profile", extra_arguments=sites.arguments) as own:
        for number in range(2):
            sites.log.clear()
            folder = tmp_path / str(number)
            assert own.visit(f"https://{NEWS}/grid", folder).state == "complete"
            assert har_requests(folder) == Counter((s.method, s.url) for s in sites.log)
            sent = {s.url: s.cookie for s in sites.log}
            for entry in entries(folder):
                pairs = [f"{c['name']}={c['value']}" for c in entry["request"]["cookies"]]
                assert "; ".join(pairs) == sent[entry["request"]["url"]]
        assert sent[f"https://{PARTNER}/p"] == "id=12345678"
    sites.close()


def test_a_crawl_in_which_a_node_of_the_grid_is_lost_is_whole(grid, tmp_path):
    found = crawl(tmp_path, accounts=1, visits=3, kills=0, grid=grid)
    assert found.killed["node"] == 1
    assert found.interrupted >= 1
    assert found.restored >= 1
    assert (found.lost, found.doubled, found.damage) == (0, 0, [])
    assert set(found.states) == {"complete"}
    assert found.left_over == []
