"""The same visits over a genuine Selenium Grid with two nodes."""

from __future__ import annotations

from collections import Counter

import grid_kit
import pytest
from loopback_sites import LONG, NEWS, PARTNER, TRACKER, Answer, entries, har_requests, settings

from echoaudit.instruments.browser import Browser, BrowserCrashed

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(
        not grid_kit.is_here(), reason="no Selenium server: python tests/instruments/grid_kit.py"
    ),
]

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


def test_visits_over_a_grid_are_whole_and_survive_a_lost_node(sites, tmp_path):
    sites.pages.update(PAGES)
    url = f"https://{NEWS}/grid"
    with grid_kit.Grid(tmp_path) as grid:
        chosen = settings(sites, grid=grid.url)
        profile = tmp_path / "profile"
        with Browser(chosen, profile, extra_arguments=sites.arguments) as own:
            for number in range(2):
                sites.log.clear()
                folder = tmp_path / str(number)
                assert own.visit(url, folder).state == "complete"
                assert har_requests(folder) == Counter((s.method, s.url) for s in sites.log)
                sent = {s.url: s.cookie for s in sites.log}
                for entry in entries(folder):
                    pairs = [f"{c['name']}={c['value']}" for c in entry["request"]["cookies"]]
                    assert "; ".join(pairs) == sent[entry["request"]["url"]]
            assert sent[f"https://{PARTNER}/p"] == "id=12345678"
        with Browser(chosen, profile, extra_arguments=sites.arguments) as own:
            grid.lose(grid.node_in_use())
            with pytest.raises(BrowserCrashed):
                own.visit(url, tmp_path / "lost")
        with Browser(chosen, profile, extra_arguments=sites.arguments) as own:
            assert own.visit(url, tmp_path / "again").state == "complete"
