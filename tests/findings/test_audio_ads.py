"""Ads, creatives and counts from segments, and a person's corrections."""

import pandas as pd
import pytest

from echoaudit.errors import BadInput
from echoaudit.findings import _own_lists
from echoaudit.findings.audio_ads import ads_table, counts_table, creatives_table
from echoaudit.findings.interests import fitting, wordless
from echoaudit.findings.labels import Label, labelled, parse_labels, read_labels
from echoaudit.findings.steps import STEPS
from echoaudit.outcomes.audio_segments import TABLE

STUDY = {
    "personas": [
        {"persona": "fashion", "interest": "Fashion & Style", "catalogue": {"skills": []}},
        {"persona": "vanilla", "interest": None, "catalogue": None},
    ]
}
PEOPLE = {"fashion": 3, "vanilla": 6}
NIKE = "Shop running shoes and jeans at nike dot com."


def segment(account: str, at: float, sound: str, is_ad: bool, brand: str = "", text: str = ""):
    return {
        "segment": f"{account}/streams/01-pandora@{at:07.1f}",
        "account": account,
        "persona": account.rpartition("-")[0],
        "service": "pandora",
        "at": at,
        "seconds": 9.0,
        "time": 1000.0 + at,
        "sound": sound,
        "plays": 1,
        "is_ad": is_ad,
        "brand": brand,
        "confidence": "high" if is_ad else "",
        "basis": "",
        "text": text,
        "engine": "e",
    }


@pytest.fixture
def segments() -> pd.DataFrame:
    """Everybody hears a song and one ad; all fashion accounts hear four ads of their own."""
    rows = []
    for persona, number in PEOPLE.items():
        for account in (f"{persona}-{n + 1}" for n in range(number)):
            rows.append(segment(account, 0, "s00001", False))
            rows.append(segment(account, 100, "s00002", True, "Geico", "Visit geico dot com."))
            if persona == "fashion":
                rows += [
                    segment(account, 200 + 100 * n, f"s1000{n}", True, "Nike", NIKE)
                    for n in range(4)
                ]
    return TABLE.conform(rows)


def test_creatives_of_one_persona_are_its_own(segments):
    ads = ads_table(segments, {})
    creatives = creatives_table(ads, segments, STUDY).set_index("creative")
    assert list(creatives["exclusive"]) == [False, True, True, True, True]
    assert creatives.loc["s00002", "personas"] == "fashion 3 of 3, vanilla 6 of 6"
    assert creatives.loc["s10000", "exclusive_to"] == "fashion"
    assert creatives.loc["s10000", "p"] == pytest.approx(1 / 84)
    assert creatives.loc["s10000", "interests"] == "Fashion & Style"
    assert creatives.loc["s00002", "interests"] == ""
    counts = counts_table(ads, creatives.reset_index(), segments, STEPS.empty())
    counts = counts.set_index("persona")
    assert dict(counts["ads"]) == {"fashion": 15, "vanilla": 6}
    assert dict(counts["exclusive"]) == {"fashion": 4, "vanilla": 0}
    assert counts.loc["vanilla", "hours"] == pytest.approx(6 * 109 / 3600, abs=0.001)


def test_nothing_was_streamed():
    empty = TABLE.empty()
    ads = ads_table(empty, {})
    creatives = creatives_table(ads, empty, STUDY)
    assert (
        len(ads) == len(creatives) == len(counts_table(ads, creatives, empty, STEPS.empty())) == 0
    )


def test_a_stream_that_never_played_is_counted_and_no_ad_free_listening(segments):
    streams = [
        ("fashion-1", "pandora", "complete", 120.0),
        ("vanilla-1", "spotify", "silent", 0.0),
        ("vanilla-2", "spotify", "missing", None),
    ]
    steps = STEPS.conform(
        {**dict.fromkeys(STEPS.names), "step": f"{account}/streams/01-{service}", "kind": "stream",
         "account": account, "persona": account.rpartition("-")[0], "service": service,
         "state": state, "seconds_planned": 3600.0, "seconds_heard": heard}
        for account, service, state, heard in streams
    )  # fmt: skip
    ads = ads_table(segments, {})
    creatives = creatives_table(ads, segments, STUDY)
    counts = counts_table(ads, creatives, segments, steps).set_index(["persona", "service"])
    row = counts.loc["vanilla", "spotify"]
    assert (row["accounts"], row["accounts_planned"], row["parts_silent"]) == (0, 2, 2)
    assert (row["hours"], row["hours_planned"], row["ads"]) == (0, 2, 0)
    assert pd.isna(row["ads_per_hour"]), "no time, no rate"
    assert counts.loc[("fashion", "pandora"), "parts_silent"] == 0
    assert pd.isna(counts.loc[("vanilla", "pandora"), "hours_planned"]), "nobody told"


def test_a_label_holds_for_the_same_sound_everywhere(segments):
    song, ad = segments["segment"][0], "fashion-1/streams/01-pandora@00100.0"
    labels = {song: Label(True, "Sony"), ad: Label(False, "")}
    ads = ads_table(segments, labels)
    assert "s00002" not in set(ads["creative"])
    songs = ads[ads["creative"] == "s00001"]
    assert len(songs) == 9
    assert set(songs["brand"]) == {"Sony"}
    assert set(songs["basis"]) == set(songs["confidence"]) == {"label"}


def test_two_opinions_on_one_sound_hold_for_their_own_segments(segments):
    first, second = (f"fashion-{n}/streams/01-pandora@00100.0" for n in (1, 2))
    changed = labelled(segments, {first: Label(False, ""), second: Label(True, "Other")})
    judged = changed.set_index("segment")
    assert judged.loc[first, "is_ad"] == False  # noqa: E712
    assert judged.loc[second, "brand"] == "Other"
    assert judged.loc["fashion-3/streams/01-pandora@00100.0", "brand"] == "Geico"


def test_labels_are_read_as_the_table_writes_them(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("segment,account,is_ad,brand\na@00001.0,x,True,Nike\nb@00002.0,x,no,\n")
    labels = read_labels(path)
    assert labels.rows == {"a@00001.0": Label(True, "Nike"), "b@00002.0": Label(False, "")}
    assert parse_labels(labels.data, path).sha256 == labels.sha256


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("segment,brand\n", "has no column 'is_ad'"),
        ("segment,is_ad,brand\na,perhaps,\n", "is_ad 'perhaps'"),
        ("segment,is_ad,brand\na,yes,\na,no,\n", "segment 'a' again"),
        ("segment,is_ad,brand\n,yes,\n", "no segment"),
        ("", "has no column"),
    ],
)
def test_faulty_labels_are_named(tmp_path, text, found):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=found):
        read_labels(path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        read_labels(path)


def test_a_label_of_nothing_is_named(segments):
    with pytest.raises(BadInput, match="'elsewhere@1'"):
        ads_table(segments, {"elsewhere@1": Label(True, "")})


def test_an_ad_fits_an_interest_by_its_words():
    interests = ["Fashion & Style", "Wine & Beverages", "Unheard of"]
    assert list(fitting(NIKE, interests)) == ["Fashion & Style"]
    assert list(fitting("Two glasses of wine.", interests)) == ["Wine & Beverages"]
    assert list(fitting("Nobody is dressed to whine.", interests)) == []


def test_an_interest_of_which_the_list_has_no_words_is_told():
    assert wordless(STUDY) == []
    (line,) = wordless({"personas": [{"interest": "Fashion & Style"}, {"interest": "Falconry"}]})
    assert "no ad can be said to fit 'Falconry'" in line


def test_findings_name_the_lists_that_ads_were_read_by(segments):
    empty = TABLE.empty()
    heard = {"ads": empty, "audio_ads": ads_table(segments, {}), "audio_segments": segments}
    assert set(_own_lists(heard)) == {"brands.yaml", "ad_phrases.yaml", "interests.yaml"}
    assert _own_lists(dict.fromkeys(heard, empty)) == {}
