"""Streams in segments: cut, known again, and judged by what is said in them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from recordings_kit import Staged, record

from echoaudit.errors import BadInput
from echoaudit.outcomes.audio.cuts import segments
from echoaudit.outcomes.audio.features import HOP_SECONDS, RATE, features
from echoaudit.outcomes.audio.judge import Play, judge
from echoaudit.outcomes.audio.repeats import fingerprint, kinds
from echoaudit.outcomes.audio.words import brands, offers
from echoaudit.outcomes.audio_segments import derive

NIKE = "Shop the latest running shoes at nike dot com and get free shipping. Nike. Just do it."
MANGLED = "Shop the latest running shoes at mikey dot com and get free shipping. Night. Just do it."
HOST = "I ran ten miles in my old Nike shoes this morning, and my knees are complaining."
JINGLE = "You are listening to the morning mix, with more music every hour."


def babble(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    """Something like speech: noise in bands that come and go, decided by the seed."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros(len(time))
    for _ in range(40):
        loudness = np.interp(
            time, np.arange(0, seconds + 1, 0.2), random.random(len(np.arange(0, seconds + 1, 0.2)))
        )
        sound += loudness**2 * np.sin(2 * np.pi * random.uniform(200, 3500) * time)
    return level * sound / np.sqrt(np.mean(sound**2))


def gap(seconds: float = 0.8) -> np.ndarray:
    return np.zeros(round(seconds * RATE))


def flac(path, *parts):
    sound = np.concatenate(parts)
    soundfile.write(path, np.clip(sound, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    return path


# --- cutting ---


def test_silences_and_changes_of_loudness_cut_a_stream(tmp_path):
    loud_then_soft = np.concatenate([babble(2, 6, 0.2), babble(3, 6, 0.03)])
    path = flac(
        tmp_path / "a.flac", babble(1, 5), gap(), loud_then_soft, gap(0.2), babble(4, 3, 0.03)
    )
    found = segments(features([path]).levels)
    assert [round(s.start) for s in found] == [0, 6, 12]
    assert [round(s.seconds) for s in found] == [5, 6, 9]
    assert [s.edge for s in found] == [True, False, True]


def test_a_noisy_room_is_silent_when_its_noise_is_known(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.004, 20 * RATE)
    noise[2 * RATE : 7 * RATE] += babble(1, 5)
    noise[10 * RATE : 16 * RATE] += babble(2, 6)
    levels = features([flac(tmp_path / "a.flac", noise)]).levels
    assert [round(s.start) for s in segments(levels, room=0.004)] == [2, 10]


def test_files_are_one_stream(tmp_path):
    whole = np.concatenate([babble(1, 4), gap(), babble(2, 5)])
    half = len(whole) // 2
    once = features([flac(tmp_path / "a.flac", whole)])
    twice = features(
        [flac(tmp_path / "b.flac", whole[:half]), flac(tmp_path / "c.flac", whole[half:])]
    )
    assert (once.prints == twice.prints).all()
    assert (once.levels == twice.levels).all()
    assert abs(once.seconds - len(whole) / RATE) <= HOP_SECONDS


def test_another_rate_is_named(tmp_path):
    soundfile.write(tmp_path / "a.flac", babble(1, 1), 22050)
    with pytest.raises(BadInput, match=r"a\.flac: 22050 Hz with 1 channels; allowed: 16000 Hz"):
        features([tmp_path / "a.flac"])


# --- repeats ---


def test_a_sound_is_known_again_in_noise_and_softer(tmp_path):
    ad, other = babble(7, 6), babble(8, 6)
    random = np.random.default_rng(1)
    noisy = 0.4 * ad + random.normal(0, 0.004, len(ad))
    path = flac(
        tmp_path / "a.flac",
        ad,
        gap(0.79),
        other,
        gap(0.83),
        noisy,
        gap(),
        other,
        gap(),
        ad[: 4 * RATE],
    )
    stream = features([path])
    found = segments(stream.levels)
    assert kinds(fingerprint(stream, one) for one in found) == [0, 1, 0, 1, 0]


def test_silence_hum_and_tones_are_not_taken_for_each_other(tmp_path):
    time = np.arange(5 * RATE) / RATE
    tones = [0.1 * np.sin(2 * np.pi * f * time) for f in (120, 440, 1000)]
    parts = [part for tone in tones for part in (tone, gap())]
    stream = features([flac(tmp_path / "a.flac", *parts, babble(1, 5), gap(), babble(2, 5))])
    found = kinds(fingerprint(stream, one) for one in segments(stream.levels))
    assert len(set(found)) == len(found) == 5


# --- words ---


def test_a_mangled_name_needs_the_brands_own_words():
    assert (brands(NIKE)[0].brand, brands(NIKE)[0].how) == ("Nike", "exact")
    assert brands("Shop running shoes at mikey dot com. Mikey. Just do it.")[0].brand == "Nike"
    assert brands("Good night, and thank you for listening.") == []
    assert brands("Mikey went to school.") == []
    assert brands("I need to calm down and chase my target.") == []
    assert brands("Hiring? You need Indeed. Post a job at indeed dot com.")[0].brand == "Indeed"


def test_offers_are_told_by_kind():
    assert offers("Visit geico.com today and save 15% or more.") == {"call", "web", "discount"}
    assert offers("Save up to forty per cent. Terms apply.") == {"discount", "terms"}
    assert offers("The council visited the harbour today, and two percent of shares fell.") == set()


# --- judging ---


def plays(text: str, count: int, seconds: float = 9.0, edge: bool = False) -> list[Play]:
    return [Play(f"fashion-{n % 3 + 1}", seconds, text, edge) for n in range(count)]


@pytest.mark.parametrize(
    ("text", "count", "seconds", "is_ad"),
    [
        (NIKE, 1, 9.0, True),
        (NIKE, 5, 9.0, True),
        (MANGLED, 1, 9.0, True),
        (HOST, 1, 9.0, False),
        (HOST, 20, 9.0, False),
        (JINGLE, 50, 5.0, False),
        ("", 30, 30.0, False),
        (NIKE, 5, 200.0, False),
        ("Every mattress is fifty percent off, with free delivery. Call now.", 1, 9.0, True),
    ],
)
def test_ads_are_told_from_hosts_jingles_and_songs(text, count, seconds, is_ad):
    assert judge(plays(text, count, seconds)).is_ad == is_ad


def test_what_one_transcript_lacks_another_has():
    heard = [*plays(MANGLED, 2), *plays(NIKE, 3)]
    verdict = judge(heard)
    assert (verdict.is_ad, verdict.brand, verdict.confidence) == (True, "Nike", "high")
    assert "brand:exact brand:insisted plays:5 accounts:3 length:9.0" in verdict.basis


# --- the table ---


@pytest.fixture
def recording(tmp_path):
    """Two accounts: the first hears a song, an ad, a host; the second the ad again, misheard."""
    ad, song, host = babble(11, 6), babble(12, 8), babble(13, 5)

    def step(account, sound, passages):
        flac(tmp_path / "x.flac", sound)
        about = {"file": "stream-01.flac", "started": 1000.0, "ended": 1010.0,
                 "seconds": len(sound) / RATE, "level": 0.1, "sounding": 9.0}  # fmt: skip
        staged = Staged(f"{account}/streams/01-pandora", kind="stream", skill=None)
        staged.files |= {
            "stream-01.flac": (tmp_path / "x.flac").read_bytes(),
            "stream-01.json": json.dumps({"engine": "e", "passages": passages}).encode(),
            "stream.json": json.dumps(
                {"service": "pandora", "planned": 30, "seconds": 20, "room": 0.0, "files": [about]}
            ).encode(),
        }
        return staged

    return record(
        tmp_path / "recording",
        step("fashion-1", np.concatenate([song, gap(), ad, gap(), host, gap()]),
             [{"start": 8.6, "end": 14.9, "text": NIKE},
              {"start": 15.4, "end": 20.6, "text": HOST}]),
        step("fashion-2", np.concatenate([gap(), 0.5 * ad, gap(), song]),
             [{"start": 0.6, "end": 7.0, "text": MANGLED + " Mail me@home.example"}]),
    )  # fmt: skip


def test_segments_of_a_recording(recording):
    table = derive(recording)
    assert list(table["segment"]) == [
        "fashion-1/streams/01-pandora@00000.0",
        "fashion-1/streams/01-pandora@00008.8",
        "fashion-1/streams/01-pandora@00015.6",
        "fashion-2/streams/01-pandora@00000.8",
        "fashion-2/streams/01-pandora@00007.6",
    ]
    assert list(table["sound"]) == ["s00001", "s00002", "s00003", "s00002", "s00001"]
    assert list(table["is_ad"]) == [False, True, False, True, False]
    assert list(table["brand"]) == ["", "Nike", "Nike", "Nike", ""]
    assert table["time"][1] == pytest.approx(1000 + 10 * 8.8 / 21.4, abs=0.2)
    assert "me@home.example" not in table["text"][3]
    assert table["service"].unique().tolist() == ["pandora"]


def test_the_same_evidence_gives_the_same_table(recording):
    assert derive(recording).equals(derive(recording))
