"""``echoaudit sites discover``: who runs header bidding, politely and resumable."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from loopback_sites import Answer, Sites, wrapped_chromium

from echoaudit.cli import group
from echoaudit.errors import BadInput
from echoaudit.instruments.browser import discovery, robots
from echoaudit.study.models import Site

ROOT = Path(__file__).parents[2]
PREBID = """<script>var pbjs = {que: [], version: "v9.1", libLoaded: true, onEvent() {},
    getEvents: () => [], getBidResponses: () => ({}), requestBids() {}}</script>news"""


@pytest.mark.web
def test_header_bidding_is_found_where_robots_allow_it_and_nothing_is_asked_twice(tmp_path):
    sites = Sites(tmp_path)
    sites.pages.update(
        {
            ("bidding.test", "/"): Answer(PREBID),
            ("plain.test", "/"): Answer("news"),
            ("closed.test", "/"): Answer(PREBID),
            ("closed.test", "/robots.txt"): Answer(
                "User-agent: echoaudit\nDisallow: /\n", mime="text/plain"
            ),
        }
    )
    names = ["bidding.test", "plain.test", "closed.test", "gone.example"]
    list_ = tmp_path / "list.csv"
    list_.write_text("".join(f"{n},{name}\n" for n, name in enumerate(names, 1)))
    results = tmp_path / "found.csv"
    command = [
        *("sites", "discover", str(list_), "--into", str(results), "--pause", "0"),
        *("--config", str(ROOT / "configs" / "lab.yaml")),
        *("--set", f"browser.binary={wrapped_chromium(tmp_path, sites)}"),
        *("--set", f"browser.trusted_authority={sites.authority}", "--set", "browser.settle=0.5"),
    ]
    try:
        first = CliRunner().invoke(group, [*command, "--limit", "2"], catch_exceptions=False)
        results.write_bytes(results.read_bytes() + b"3,closed.te")  # as a killed run leaves it
        second = CliRunner().invoke(group, command, catch_exceptions=False)
        asked = [(seen.host, seen.path) for seen in sites.log]
    finally:
        sites.close()
    assert (first.exit_code, second.exit_code) == (0, 0)
    with results.open() as file:
        rows = {row["domain"]: row for row in csv.DictReader(file)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "bidding.test": "complete",
        "plain.test": "complete",
        "closed.test": "robots",
        "gone.example": "failed",
    }
    assert [name for name, row in rows.items() if row["prebid"]] == ["bidding.test"]
    assert rows["bidding.test"]["prebid"] == "v9.1"
    assert asked.count(("bidding.test", "/")) == 1
    assert ("closed.test", "/") not in asked
    study = yaml.safe_load(results.with_suffix(".yaml").read_text())
    assert [Site(**site).url for site in study["sites"]] == ["https://bidding.test/"]
    assert "1 of 4 sites run header bidding" in second.output


@pytest.mark.parametrize("line", ["1,not a domain", "x,news.example", "1,news.example/path", "1,"])
def test_a_line_that_is_no_domain_is_named(tmp_path, line):
    path = tmp_path / "list.csv"
    path.write_text(f"1,fine.example\n{line}\n")
    with pytest.raises(BadInput, match=r"list.csv:2"):
        list(discovery.read_list(path))


def test_a_file_that_holds_no_results_is_left_alone(tmp_path):
    path = Path(tmp_path / "notes.csv")
    path.write_text("my,notes\n1,2\n")
    with pytest.raises(BadInput, match="no results"):
        discovery.read_results(path)
    assert path.read_text() == "my,notes\n1,2\n"


def test_robots_txt_is_read_for_echoaudit_by_name_and_for_all():
    page = "https://news.test/a/page?s=1"
    for text in ("", "User-agent: *\nDisallow: /private\n", "<html>not here</html>",
                 "User-agent: *\nDisallow: /\n\nUser-agent: echoaudit\nAllow: /\n",
                 "User-agent: *\nDisallow: /a/\nAllow: /a/page\n"):  # fmt: skip
        assert robots.allows(text, page)
    for text in ("User-agent: *\nDisallow: /\n", "User-agent: *\nDisallow: /*?s=\n",
                 "User-agent: echoaudit\nDisallow: /a/\n"):  # fmt: skip
        assert not robots.allows(text, page)
