"""``echoaudit plan``: power and cost in words, JSON and a page; bad input in one line."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from cli_kit import GOLDEN, Stranger


def test_a_plan_says_what_would_be_found_and_at_what_cost(stranger: Stranger) -> None:
    said = stranger.in_fork("plan", "personas/fashion.yaml", "--effect", "2", "-o", "plan.html")
    assert (said.code, said.err) == (0, "")
    assert "3 accounts with the persona and 6 controls find a ratio of 2" in said.out
    assert "hours, with" in said.out
    assert "assumed, no pilot" in said.out
    page = (stranger.folder / "plan.html").read_text()
    seen = Seen()
    seen.feed(page)
    assert "script" not in seen.tags
    assert {"svg", "table", "figcaption"} <= seen.tags
    assert "default-src 'none'" in page


def test_the_same_seed_plans_the_same(stranger: Stranger) -> None:
    asked = ("plan", "personas/fashion.yaml", "--json", "--sites", "20", "--account-sd", "0.3")
    first, again = (stranger.in_fork(*asked).json for _ in range(2))
    assert first == again
    assert first["sites"] == 20
    assert first["variances"]["change"] == 0.3
    assert first["configured"]["treated"] == 3
    assert first["configured"]["cost"]["visits"] > 20 * 9


def test_a_pilot_gives_variances_and_pace(stranger: Stranger) -> None:
    found = stranger.in_fork("plan", "personas/fashion.yaml", "--json", "--pilot", str(GOLDEN)).json
    assert found["variances"]["accounts"] == 3
    assert found["pace"]["measured"] is True


def test_the_page_says_where_its_variances_are_from(stranger: Stranger) -> None:
    asked = ("plan", "personas/fashion.yaml", "--account-sd", "0.3", "-o", "plan.html")
    assert stranger.in_fork(*asked, "--pilot", str(GOLDEN)).code == 0
    page = (stranger.folder / "plan.html").read_text()
    assert "a pilot of 3 accounts" in page and "stated: change" in page
    assert "no pilot" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--effect", "1"), "--effect"),
        (("--power", "1"), "--power"),
        (("--seed", "-1"), "--seed"),
        (("--pilot", "nowhere"), "nowhere"),
        (("--set", "rounds.after=0"), "rounds.after"),
        (("-o", "personas"), "is a folder"),
        (("--config", "bare.yaml"), "--sites: no sites in the study or the configuration"),
    ],
)
def test_bad_input_is_one_line(stranger: Stranger, arguments: tuple[str, ...], words: str) -> None:
    (stranger.folder / "bare.yaml").write_text("config: bare\n")
    assert words in stranger.refused("plan", "personas/fashion.yaml", *arguments)


class Seen(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
