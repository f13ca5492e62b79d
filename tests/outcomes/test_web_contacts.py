"""The outcome ``web_contacts``: whom pages asked, and auctions that no script sees."""

import pytest
from visits_kit import Page, record

from echoaudit.outcomes import web_contacts


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://aax.amazon-adsystem.com/e/dtb/bid?src=600&u=x", "apstag"),
        ("https://c.amazon-adsystem.com/aax2/apstag.js", ""),
        ("https://aax.amazon-adsystem.com.evil.test/e/dtb/bid", ""),
        ("https://securepubads.g.doubleclick.net/gampad/ads?iu=/1/x", "google-ads"),
        ("https://pbs.bidder.test/openrtb2/auction", "prebid-server"),
        ("https://pbs.bidder.test/pbs/openrtb2/auction/", "prebid-server"),
        ("https://pbs.bidder.test/openrtb2/auctions", ""),
        ("https://[broken/openrtb2/auction", ""),
    ],
)
def test_auctions_on_servers_are_known_by_their_address(url, kind):
    assert web_contacts.kind_of(url) == kind


def test_each_host_and_kind_of_a_visit_is_a_row_with_its_owner(tmp_path):
    page = Page("fashion-1")
    page.ask("https://www.news.test/")
    page.ask("https://c.amazon-adsystem.com/aax2/apstag.js")
    for _ in range(2):
        page.ask("https://aax.amazon-adsystem.com/e/dtb/bid?u=1")
    table = web_contacts.derive(record(tmp_path / "r", page, Page("vanilla-1"))).set_index("host")
    assert set(table["account"]) == {"fashion-1"}, "a visit without requests has no contacts"
    bid = table.loc["aax.amazon-adsystem.com"]
    assert (bid["kind"], bid["requests"], bid["organisation"]) == (
        "apstag",
        2,
        "Amazon",
    )
    assert table.loc["c.amazon-adsystem.com", "kind"] == ""
    assert bid["third_party"]
    assert table.loc["www.news.test", "organisation"] == ""
    assert not table.loc["www.news.test", "third_party"]
