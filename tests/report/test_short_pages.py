"""The plan's page and the page of several studies: hostile text in every field is shown as text."""

import pytest
from short_pages import plan_page, pooled_page
from test_render import HOSTILE, Reader

PAGES = {"plan": plan_page, "studies": pooled_page}


@pytest.fixture(scope="module", params=PAGES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def true_page(kind):
    return PAGES[kind]()


LONG = "x" * 1_000_000


@pytest.mark.parametrize("text", [*HOSTILE, LONG], ids=lambda t: ascii(t[:20]))
def test_hostile_text_changes_no_element(kind, true_page, text):
    """The hostile page has the true one's elements and attributes; only texts differ."""
    page = PAGES[kind](text)
    assert shape(page) == shape(true_page)
    assert len(page) < 2_000_000
    reader = Reader(page)
    assert reader.all("script", "img", "iframe", "form", "base", "object", "embed") == []
    assert all(a["href"].startswith("#") for a in reader.all("a"))
    for hidden in ("\u202e", "\u2066", "\u200f", "\x00", "\x1b"):
        assert hidden not in page


def shape(page):
    """Elements with the names of their attributes, where data has no say: none inside tables."""
    reader = Reader(page)
    return sorted({(tag, *sorted(set(attributes) - {"class"})) for tag, attributes in
                   reader.elements})  # fmt: skip


def test_the_page_of_several_studies_says_what_it_rests_on_and_who_received_what():
    page = pooled_page()
    text = Reader(page).text
    assert "SUPPORTED" in text and "over 3 studies" in text
    for name in ("study 0", "study 1", "study 2"):
        assert name in text
    assert "1 of main, Holm" in text, "what the pooled p was corrected for"
    assert "201 of 201 (100 %)" in text, "coverage of each study"
    assert "in every study: Edge, Platform, Podstats, Runway, Tonecast" in text
    assert "transcript and voice recording" in text, "what they were sent"
    assert "study 0: 3 of 9 devices" in text
    assert "echoaudit studies</title>" in page


def test_a_study_without_contacts_or_claims_in_common_is_a_page_too():
    from echoaudit.report.digest import Digest
    from echoaudit.report.pooled import render

    page = render([], {"a": Digest((), (), (), (0, 0)), "b": Digest((), (), (), (0, 0))})
    text = Reader(page).text
    assert "nothing can be pooled" in text
    assert "No contact of an Echo was captured in any of the studies." in text
