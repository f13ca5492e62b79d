"""What a visit keeps besides traffic: ads with their pictures, storage, the console."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from loopback_sites import (
    ALLOWED,
    EXCHANGE,
    NEWS,
    PARTNER,
    TRACKER,
    Answer,
    await_silence,
    be_patient,
)
from PIL import Image

pytestmark = pytest.mark.web

CREATIVE = f"""<body style="margin:0;background:#c00"><a href="https://shoes.example/land?c=1">
    <img src=https://{TRACKER}/shoe.svg width=100 height=50 alt="Red shoes"></a> Walk on
    <iframe src=https://{PARTNER}/badge width=90 height=40></iframe>"""
DRAWING = "<svg xmlns='http://www.w3.org/2000/svg' width='100' height='50'/>"
BADGE = """<p title="Seal">certified</p><a href="/why">why</a>
    <iframe srcdoc="<b>deepest</b>" width=60 height=20></iframe>
    <script>localStorage.setItem("seal", "s-1"); console.error("badge", 7)</script>"""
SHARE = "<p style='background:#00c;height:90px'>Travel far</p><a href=https://travel.example/>x</a>"


def exchange(request):
    question = json.loads(request.body)
    bids = [
        {"id": imp["id"], "impid": imp["id"], "price": 2.5, "w": 300, "h": 250, "mtype": 1,
         "crid": "c-1", "adomain": ["shoes.example"], "adm": CREATIVE}
        for imp in question["imp"] if imp["tagid"] != "empty"
    ]  # fmt: skip
    body = json.dumps({"id": question["id"], "cur": "USD", "seatbid": [{"bid": bids}]})
    return Answer(body, mime="application/json", headers=ALLOWED)


PAGE = f"""<title>news</title><body style="margin:0"><script>var pbjs = {{que: []}}</script>
    <h1 style="height:100px;margin:0">News</h1>
    <div id=top style="width:300px;height:250px"></div>
    <div id=empty style="width:300px;height:100px"></div>
    <div id=div-gpt-2 style="width:300px;height:120px"></div>
    <div style="height:4500px"></div>
    <iframe id=shared src=https://{TRACKER}/travel width=320 height=100 style=border:0></iframe>
    <iframe src=https://{TRACKER}/travel?pixel width=1 height=1></iframe>
    <script>
      window.apstag = {{}};
      const slot = (path, id, creative) => ({{getSlotElementId: () => id, getAdUnitPath: () => path,
        getResponseInformation: () => creative && {{creativeId: creative, advertiserId: 12}}}});
      window.googletag = {{pubads: () => ({{getSlots: () => [
        slot("/1/top", "top", null), slot("/1/side", "div-gpt-2", 77)]}})}};
      document.getElementById("div-gpt-2").innerHTML =
        "<a href='https://wine.example/'>Red wine</a>";
      sessionStorage.setItem("pages", "1"); localStorage.setItem("visitor", "v-12345");
      console.log("fine"); console.warn("old", "thing");
      setTimeout(() => {{ throw new Error("odd"); }});
    </script><script src=/pbjs.js></script><script>pbjs.que.push(() => {{
      pbjs.addAdUnits(["top", "empty"].map((code) => ({{code,
        bids: [{{bidder: "adkernel", params: {{host: "{EXCHANGE}", zoneId: 1}}}}],
        ortb2Imp: {{tagid: code}}, mediaTypes: {{banner: {{sizes: [[300, 250]]}}}}}})));
      pbjs.requestBids({{bidsBackHandler() {{
        for (const code of ["top", "empty"]) {{
          const best = pbjs.getHighestCpmBids(code)[0];
          if (!best) continue;
          const frame = document.createElement("iframe");
          Object.assign(frame, {{width: 300, height: 250, style: "border:0"}});
          document.getElementById(code).append(frame);
          pbjs.renderAd(frame.contentDocument, best.adId);
        }} }}}});
    }})</script>"""


@pytest.fixture(scope="module")
def patience():
    """For the one visit of all tests."""
    with pytest.MonkeyPatch.context() as patch:
        be_patient(patch)
        await_silence(patch)
        yield


@pytest.fixture(scope="module")
def visited(sites, browser, scripts, patience, tmp_path_factory) -> Path:
    sites.pages.update(
        {
            (NEWS, "/with-ads"): Answer(PAGE),
            (NEWS, "/pbjs.js"): Answer(scripts["pbjs"], mime="text/javascript"),
            (EXCHANGE, "/hb"): exchange,
            (TRACKER, "/shoe.svg"): Answer(DRAWING, mime="image/svg+xml"),
            (TRACKER, "/travel"): Answer(SHARE),
            (PARTNER, "/badge"): Answer(BADGE),
        }
    )
    folder = tmp_path_factory.mktemp("visit")
    visit = browser.visit(f"https://{NEWS}/with-ads", folder)
    assert (visit.state, visit.notes) == ("complete", ()), visit
    assert visit.ad_tags == ("googletag", "apstag")
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_each_filled_slot_is_kept_once_in_the_order_of_the_page(visited):
    ads = read(visited, "ads.json")
    assert [(ad["index"], ad["kind"], ad["slot"]) for ad in ads] == [
        (0, "prebid", "top"),
        (1, "gpt", "/1/side"),
        (2, "frame", "shared"),
    ]
    assert {ad["page"] for ad in ads} == {f"https://{NEWS}/with-ads"}


def test_an_ad_of_prebid_names_its_bid_and_what_is_in_its_frames(visited):
    ad = read(visited, "ads.json")[0]
    bids = read(visited, "bids.json")
    shown = next(bid for bid in bids if bid["state"] == "rendered")
    assert (ad["instance"], ad["ad"]) == ("pbjs", shown["ad"])
    assert ad["rect"] == {"x": 0.0, "y": 100.0, "width": 300.0, "height": 250.0}
    assert f"https://{PARTNER}/badge" in ad["frames"]
    assert ad["links"] == ["https://shoes.example/land?c=1", f"https://{PARTNER}/why"]
    assert {"Red shoes", "Seal"} <= set(ad["alts"])
    assert all(word in ad["text"] for word in ("Walk on", "certified", "deepest"))
    assert "background:#c00" in ad["html"]
    assert ad["html_sha256"] == hashlib.sha256(ad["html"].encode()).hexdigest()


def test_a_slot_of_googles_tag_says_what_the_tag_knows(visited):
    ad = read(visited, "ads.json")[1]
    assert (ad["gpt"]["creative"], ad["gpt"]["advertiser"], ad["ad"]) == ("77", "12", None)
    assert (ad["text"], ad["links"]) == ("Red wine", ["https://wine.example/"])


def test_pictures_show_the_ads_also_those_far_down(visited):
    ads = read(visited, "ads.json")
    first, last = (Image.open(visited / ad["image"]) for ad in (ads[0], ads[2]))
    assert (first.size, first.getpixel((250, 150))) == ((300, 250), (204, 0, 0))
    assert ads[2]["rect"]["y"] > 4000
    assert (last.size, last.getpixel((150, 60))) == ((320, 100), (0, 0, 204))


def test_storage_is_kept_by_origin(visited):
    kept = {(s["origin"], s["kind"]): s for s in read(visited, "storage.json")}
    assert kept[f"https://{NEWS}", "local"]["items"]["visitor"] == "v-12345"
    assert kept[f"https://{NEWS}", "session"]["items"]["pages"] == "1"
    assert kept[f"https://{PARTNER}", "local"] == {
        "origin": f"https://{PARTNER}",
        "page": "news.test",
        "kind": "local",
        "total": 1,
        "items": {"seal": "s-1"},
    }


def test_errors_and_warnings_of_the_console_are_kept_and_nothing_else(visited):
    told = read(visited, "console.json")
    own = {(e["kind"], e["level"], e["text"].splitlines()[0]) for e in told}
    assert {
        ("console", "warning", "old thing"),
        ("exception", "error", "Error: odd"),
        ("console", "error", "badge 7"),
    } <= own
    assert not any("fine" in e["text"] for e in told)
    badge = next(e for e in told if "badge" in e["text"])
    assert (badge["url"], badge["target"]) == (f"https://{PARTNER}/badge", "iframe")


def test_an_ad_that_hides_its_elements_from_scripts_is_noted_and_the_visit_whole(
    sites, browser, tmp_path
):
    hiding = "<form><input name=getAttribute><input name=getBoundingClientRect></form>Buy this"
    slot = f"<ins class=adsbygoogle style='display:block;height:90px'>{hiding}</ins>"
    sites.pages[NEWS, "/hiding"] = Answer(f"<body>{slot}")
    visit = browser.visit(f"https://{NEWS}/hiding", tmp_path)
    assert visit.state == "complete"
    assert read(tmp_path, "ads.json") == []
    assert any("an ad could not be read" in note for note in visit.notes)
