"""The outcome ``ads``: whose an ad is, where it leads, and which ads are the same."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image, ImageDraw
from visits_kit import Page, record

from echoaudit.errors import BadInput
from echoaudit.outcomes import ads
from echoaudit.outcomes.ads_links import landing, unwrapped
from echoaudit.outcomes.ads_same import Seen, picture, same

SHOES = {"ad": "A1", "bidder": "ix", "state": "rendered", "cpm": 2.0, "currency": "USD",
         "creative": "ix-7", "advertiser_domains": ["www.shoes.example"]}  # fmt: skip
AD = {
    "index": 0, "kind": "prebid", "slot": "top", "instance": "pbjs", "ad": "A1", "gpt": None,
    "page": "https://www.news.test/", "rect": {"x": 0, "y": 0, "width": 300.0, "height": 249.6},
    "frames": [], "html": "<a>", "html_sha256": "aa", "text": "Walk on\nred shoes",
    "alts": ["Red shoes"], "links": ["https://www.shoes.example/land?click=1"], "image": None,
}  # fmt: skip
STUDY = {"personas": [{"persona": "fashion", "interest": "Fashion & Style", "catalogue": {
    "skills": [{"id": "B01", "name": "Fit", "vendor": "Garmin"}]}}]}  # fmt: skip


def derive(folder, *found, bids=(SHOES,), **more):
    page = Page("fashion-1", ads=list(found), bids=list(bids), **more)
    return ads.derive(record(folder, page, study=STUDY))


def one(folder, ad, **more):
    return derive(folder, ad, **more).iloc[0].to_dict()


def test_an_ad_is_joined_with_its_bid(tmp_path):
    row = one(tmp_path / "r", AD)
    assert (row["bidder"], row["creative_id"], row["cpm_usd"]) == ("ix", "ix-7", 2.0)
    assert (row["advertiser"], row["basis"]) == ("shoes.example", "bid")
    assert (row["landing"], row["size"]) == ("https://www.shoes.example/land", "300x250")
    assert row["text"] == "Walk on red shoes | Red shoes"
    assert (row["channel"], row["party"]) == ("publisher", "")


def test_without_a_bid_the_page_it_leads_to_tells_the_advertiser(tmp_path):
    links = ["https://adssettings.google.com/whythisad?x", "https://ad.doubleclick.net/clk;1?"
             "https%3A%2F%2Fwine.example%2Fred%3Fid%3D9&x=1"]  # fmt: skip
    row = one(tmp_path / "r", {**AD, "ad": None, "links": links})
    assert (row["advertiser"], row["basis"], row["landing"]) == (
        "wine.example",
        "link",
        "https://wine.example/red",
    )


def test_nothing_known_is_nothing_said(tmp_path):
    row = one(tmp_path / "r", {**AD, "ad": None, "links": ["https://www.news.test/more"]})
    assert (row["advertiser"], row["basis"], row["landing"]) == ("", "", "")


def test_the_platforms_own_products_and_vendors_of_installed_skills_are_told(tmp_path):
    mine = {**SHOES, "advertiser_domains": ["www.amazon.com"]}
    assert one(tmp_path / "a", AD, bids=[mine])["party"] == "platform"
    vendor = {**SHOES, "advertiser_domains": ["connect.garmin.com"]}
    row = one(tmp_path / "b", AD, bids=[vendor])
    assert (row["party"], row["vendor_skills"]) == ("vendor", "B01")


def test_an_ad_on_the_platforms_pages_that_leads_nowhere_else_is_its_own(tmp_path):
    page = "https://www.amazon.com/"
    links = ["https://www.amazon.com/dp/B01?ref=x", "https://www.kettle.example/k"]
    own = one(tmp_path / "a", {**AD, "ad": None, "page": page, "links": links[:1]})
    assert (own["advertiser"], own["party"]) == ("amazon.com", "platform")
    other = one(tmp_path / "b", {**AD, "ad": None, "page": page, "links": links})
    assert (other["advertiser"], other["party"]) == ("kettle.example", "")
    back = one(tmp_path / "c", {**AD, "ad": None, "links": ["https://www.news.test/more"]})
    assert back["advertiser"] == ""


def test_the_platforms_own_pages_are_a_channel_of_their_own(tmp_path):
    row = one(tmp_path / "r", {**AD, "page": "https://www.amazon.com/dp/1"})
    assert row["channel"] == "platform"


def drawing(words, colour="#c00", size=(300, 250)):
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 200, 120), fill=colour)
    draw.text((30, 150), words, fill="black", font_size=40)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_a_picture_is_hashed_and_one_that_is_none_is_missing(tmp_path):
    found = [{**AD, "image": f"ads/0{n}.png"} for n in range(3)]
    pictures = {"ads/00.png": drawing("Walk"), "ads/01.png": b"\x89PNG\r\n\x1a\nbroken"}
    table = derive(tmp_path / "r", *found, pictures=pictures).set_index("index")
    assert len(table.loc[0, "picture_hash"]) == 64
    assert list(table["picture_hash"][1:]) == ["", ""]
    assert list(table["image"]) == ["ads/00.png", "ads/01.png", ""]


# --- the same creative ------------------------------------------------------------------------


def seen(advertiser="shoes.example", creative=("ix", "1"), text="Walk on red shoes", **more):
    usual = {"size": "300x250", "picture": "", "markup": ""}
    return Seen(advertiser, creative, text, **{**usual, **more})


def alike(*found):
    placed = [replace(ad, place=str(n)) for n, ad in enumerate(found)]
    names = same(placed)
    assert names[::-1] == same(placed[::-1])
    return [names.index(name) for name in names]


def test_one_ad_by_two_bidders_is_one_creative():
    assert alike(seen(), seen(creative=("openx", "x")), seen(text="Run far away now")) == [0, 0, 0]
    other = seen(creative=("openx", "x"), text="Run far away now")
    assert alike(seen(), seen(creative=("rubicon", "y")), other) == [0, 0, 2]


def test_brands_in_one_layout_are_not_one_ad(tmp_path):
    hashes = []
    for words in ("Norda", "Nardo"):
        (tmp_path / words).write_bytes(drawing(words))
        hashes.append(picture(tmp_path / words))
    one, other = hashes
    assert (int(one, 16) ^ int(other, 16)).bit_count() <= 10
    silent = {"text": "", "creative": ("gpt", "")}
    norda, nardo = (seen(f"{n}.example", picture=h, **silent) for n, h in
                    zip(("norda", "nardo"), hashes, strict=True))  # fmt: skip
    assert alike(norda, nardo) == [0, 1]
    again = seen("norda.example", picture=other, **silent)
    assert alike(norda, again) == [0, 0]
    texts = ("Coats for the long winter", "Boots for the long winter")
    coats, boots = (seen("norda.example", ("gpt", ""), text, picture=h) for text, h in
                    zip(texts, hashes, strict=True))  # fmt: skip
    assert alike(coats, boots) == [0, 1]


def test_without_advertiser_markup_or_words_and_looks_must_be_equal():
    nobody = {"advertiser": "", "creative": ("frame", "")}
    assert alike(seen(**nobody), seen(**nobody)) == [0, 1]
    assert alike(seen(**nobody, markup="aa"), seen(**nobody, markup="aa")) == [0, 0]
    assert alike(seen(**nobody, picture="ff"), seen(**nobody, picture="fe")) == [0, 0]
    assert alike(*(seen("", ("frame", ""), "", picture="ff") for _ in range(2))) == [0, 1]


# --- links ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "inner"),
    [
        ("https://t.example/c?u=https%3A%2F%2Fshop.example%2Fa&z=1", "https://shop.example/a"),
        ("https://t.example/c?u=https%253A%252F%252Fshop.example%252Fa", "https://shop.example/a"),
        ("https://t.example/clk;99;?https://shop.example/a?b=1", "https://shop.example/a?b=1"),
        ("https://t.example/c?u=https%3A%2F%2Ft2.example%2F%3Fv%3Dhttps%253A%252F%252Fshop.example",
         "https://shop.example"),
        ("https://shop.example/plain", "https://shop.example/plain"),
    ],
)  # fmt: skip
def test_click_trackers_are_looked_through(link, inner):
    assert next(unwrapped(link)) == inner


@pytest.mark.parametrize(
    "odd", ["", "https://[", "javascript:alert(1)", "https://a%00b/", "x" * 9999]
)
def test_odd_links_lead_nowhere_or_somewhere_harmless(odd):
    assert landing([odd], [], "news.test") in ("", odd)


def test_the_declared_advertisers_link_comes_first():
    links = ["https://review.example/", "https://www.shoes.example/"]
    assert landing(links, ["shoes.example"], "news.test") == links[1]


@pytest.mark.parametrize("content", [{"not": "a list"}, ["x"]])
def test_a_damaged_file_is_named(tmp_path, content):
    recording = record(tmp_path / "r", Page("fashion-1", ads=content))
    with pytest.raises(BadInput, match=r"ads\.json"):
        ads.derive(recording)


def test_hostile_records_become_short_plain_rows(tmp_path):
    odd = {"rect": {"width": "x"}, "text": "\x1b[31m" * 999, "links": [1, None], "alts": "no",
           "image": "../../etc/passwd", "page": 5, "gpt": [], "slot": {"a": 1}}  # fmt: skip
    row = one(tmp_path / "r", odd)
    assert (row["size"], row["image"], row["slot"]) == ("", "", "")
    assert row["text"].isprintable()
    assert len(row["text"]) <= ads.TEXT
