"""Streaming services of the lab: who is played what, what is reported, and how it is scored."""

from pathlib import Path

import pytest
from cloud_kit import running_cloud

from echoaudit.errors import BadInput
from echoaudit.lab.echo_player import Player, sound_of
from echoaudit.lab.programme import Item, eligible, item, service_of
from echoaudit.lab.score_streams import score_audio_ads
from echoaudit.lab.world import load_world

STYLE = ["Fashion & Style"]


@pytest.fixture(scope="module")
def world():
    return load_world("streams").file


def names(world, account, interests):
    return {ad.ad for ad in eligible(world, world.streams[0], account, interests)}


def test_ads_follow_the_profile(world):
    everybody, fashion = names(world, "vanilla-1", []), names(world, "fashion-1", STYLE)
    assert fashion - everybody == {"nike", "old-navy", "sephora", "stitch-fix"}
    assert everybody < fashion


def test_without_targeting_everybody_hears_everything(world):
    null = load_world("null-streams").file
    assert null.model_copy(update={"world": "streams", "targeting": True}) == world
    assert names(null, "vanilla-1", []) == names(null, "fashion-1", STYLE)


def test_a_programme_has_breaks_and_is_the_same_again(world):
    service = service_of(world, "pandora")
    first = [item(world, service, "fashion-1", STYLE, n) for n in range(40)]
    assert [i.kind for i in first[:8]] == ["clip", "clip", "ad", "ad"] * 2
    assert first == [item(world, service, "fashion-1", STYLE, n) for n in range(40)]
    assert first != [item(world, service, "fashion-2", STYLE, n) for n in range(40)]


def test_a_player_reports_what_was_heard():
    told = []
    items = [Item(f"song-{n}", "clip", None, "rms", n, 2.0, 0.5) for n in range(3)]

    def ask(service, number, played):
        told.append(
            (
                service,
                number,
                played and (played.item.item, played.at, played.seconds, played.whole),
            )
        )
        return items[number] if number >= 0 else None

    player = Player("pandora", 1.0, ask)
    assert len(player.next()) == len(sound_of(items[0])) == 2.5 * 16000
    player.next()
    player.interrupt(1.5)
    player.next()
    player.interrupt(0.2)
    player.end()
    assert told == [
        ("pandora", 0, None),
        ("pandora", 1, ("song-0", 1.0, 2.5, True)),
        ("pandora", 2, ("song-1", 3.5, 1.0, False)),
        ("pandora", -1, ("song-2", 4.5, 2.3, True)),
    ]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("streams: [{service: s, say: 'Alexa, play s'}]\nclips: []", "nothing to play on"),
        (
            "streams: [{service: s, say: 'Alexa, play s'}]\nclips: [{clip: a}, {clip: a}]",
            "clip or ad 'a' a second time",
        ),
        (
            "streams: [{service: s, say: 'Alexa, play s'}]\n"
            "clips: [{clip: b}, {clip: a, services: [t]}]",
            "unknown service 't'",
        ),
    ],
)
def test_faulty_services_are_named(tmp_path, lines, found):
    base = Path(__file__).parents[2] / "worlds" / "paper.yaml"
    (tmp_path / "paper.yaml").write_text(base.read_text())
    path = tmp_path / "w.yaml"
    path.write_text(f"based_on: paper.yaml\nworld: w\n{lines}\n")
    with pytest.raises(BadInput, match=found):
        load_world(path)


def test_the_cloud_plays_by_what_it_heard_and_logs_it(tmp_path):
    voice = load_world("streams").file.platform.voice
    with running_cloud("streams", tmp_path / "state") as cloud:
        secret = cloud.accounts["fashion-1"]
        token = {"token": secret.token}

        def post(path, sent):
            return cloud.post(f"https://{voice}/v1/{path}", json={**token, **sent}).json()

        commands = post("provision", {"serial": secret.serial})["commands"]
        assert {"id": "play:pandora", "phrase": "play top hits on pandora"} in commands
        assert cloud.say(voice, "fashion-1", "play:pandora")["stream"] == "pandora"
        assert cloud.say(voice, "fashion-1", "stop")["stop"] is True
        played = {"item": "nike", "kind": "ad", "at": 3.0, "seconds": 9.0, "whole": True}
        assert post("stream", {"service": "pandora", "number": 2})["item"]["kind"] == "ad"
        last = {"service": "pandora", "number": -1, "played": played}
        assert post("stream", last)["item"] is None
        (row,) = cloud.log("streams")
    assert {**played, "account": "fashion-1", "service": "pandora"}.items() <= row.items()


# --- score ---


def played(item, at, kind="ad", whole=True, account="fashion-1"):
    return {"account": account, "service": "pandora", "item": item, "kind": kind, "at": at,
            "seconds": 9.0, "whole": whole, "time": 10.0 + at / 100}  # fmt: skip


def ad(creative, at, account="fashion-1"):
    segment = f"{account}/streams/01-pandora@{at:07.1f}"
    return {"segment": segment, "at": at, "seconds": 8.5, "creative": creative}


WINDOWS = {
    f"fashion-{n}/streams/01-pandora": (f"fashion-{n}", "pandora", 10.0, 12.0) for n in (1, 2)
}


def test_creatives_are_scored_per_account():
    log = [played("nike", 0), played("song", 10, "clip"), played("geico", 20),
           played("nike", 0, account="fashion-2"), played("late", 30, whole=False)]  # fmt: skip
    found = [ad("s1", 0.6), ad("s2", 20.6), ad("s1", 0.6, "fashion-2"), ad("s9", 30.4)]
    score = score_audio_ads(found, log, WINDOWS)
    assert (score.found, score.planted, score.right) == (3, 3, 3)


def test_content_splits_and_misses_count_against_it():
    log = [played("nike", 0), played("song", 10, "clip"), played("geico", 20), played("nike", 30),
           played("nike", 40), played("old", 0, account="fashion-3")]  # fmt: skip
    found = [ad("s1", 0.6), ad("s1", 30.6), ad("s7", 40.6), ad("s3", 10.6)]
    score = score_audio_ads(found, log, WINDOWS)
    assert score.missed == ("fashion-1 pandora geico",)
    assert score.wrong == (
        "fashion-1 pandora s3, which is song",
        "fashion-1 pandora s7, which is nike",
    )
