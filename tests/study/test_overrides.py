"""Settings of the command line and of a place, laid over a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_config, merge
from echoaudit.study.models import Config

from .conftest import Write

HERE = Path("configs/here.yaml")


def test_values_are_typed_by_the_schema(write: Write) -> None:
    config = load_config(
        HERE,
        {
            "speaker.gain": "0",
            "browser.headless": "false",
            "lab.world": "null",
            "speaker.voice": "12:30",
            "gateway.dns": "[1.1.1.1, 8.8.8.8]",
            "devices.fashion-1.mac": "fc:65:de:00:00:01",
            "sign_in": "{url: 'https://a/', secrets: s.json, submit: '[type=submit]'}",
            "sign_in.password_field": "[name=pw]",
        },
    )
    assert config.speaker.gain == 0.0
    assert config.browser.headless is False
    assert config.lab is not None
    assert config.lab.world == "null"
    assert config.speaker.voice == "12:30"
    assert config.gateway.dns == ("1.1.1.1", "8.8.8.8")
    assert config.devices["fashion-1"].mac == "fc:65:de:00:00:01"
    assert config.sign_in is not None
    assert config.sign_in.secrets == Path("s.json")
    assert config.sign_in.password_field == "[name=pw]"


def test_an_override_replaces_what_the_file_says(write: Write) -> None:
    write("configs/here.yaml", "config: here\nspeaker: {gain: loud, voice: rms}\n")
    config = load_config(HERE, {"speaker.gain": "0.5"})
    assert (config.speaker.gain, config.speaker.voice) == (0.5, "rms")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("speaker.gian", "0", "unknown key 'gian' in speaker (did you mean 'gain'?)"),
        ("speaker.gain", "loud", "a number from 0 to 4"),
        ("speaker.gain", "9", "found 9 for speaker.gain"),
        ("speaker.gain.more", "1", "found keys for speaker.gain"),
        ("speaker", "loud", "found 'loud' for speaker"),
        ("speaker.device", "", "found nothing for speaker.device"),
        ("sites", "[{site: a", "not YAML"),
        ("gateway.dns", "[dns]", "an IP address"),
        ("...", "x", "unknown key ''"),
    ],
)
def test_faults_name_the_option(key: str, value: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput) as refusal:
        load_config(HERE, {key: value})
    assert str(refusal.value).startswith(f"--set {key}:")
    assert words in str(refusal.value)


def test_merge_lays_values_over(config: Config) -> None:
    site = {"site": "lab", "url": "https://lab.example/"}
    values = {"gateway": {"lan": "lan7", "proxy_authority": Path("/tmp/ca")}, "sites": (site,)}
    merged = merge(merge(config, {"speaker": {"gain": 2}}), values)
    assert (merged.gateway.lan, merged.gateway.wan) == ("lan7", config.gateway.wan)
    assert merged.gateway.proxy_authority == Path("/tmp/ca")
    assert [s.site for s in merged.sites] == ["lab"]
    assert merged.speaker.gain == 2.0
    assert config.gateway.lan == "lan0"


def test_merge_under_keeps_what_the_user_wrote(config: Config) -> None:
    values = {"sites": [], "rounds": {"before": 7}}
    merged = merge(config, values, under=True)
    assert merged.sites == config.sites
    assert merged.rounds.before == 7


def test_merge_is_as_strict_as_a_file(config: Config) -> None:
    for values, words in (
        ({"gateway": {"lann": "x"}}, "did you mean 'lan'"),
        ({"sites": 3}, "a list"),
        ({"speaker": {"gain": float("inf")}}, "a number"),
        ({"gateway": {"address": "x"}}, "an IPv4 address"),
    ):
        with pytest.raises(BadInput) as refusal:
            merge(config, values)
        assert str(refusal.value).startswith("settings overlay: ")
        assert words in str(refusal.value)


def test_merging_nothing_changes_nothing(config: Config) -> None:
    assert merge(config, {}) == config
    assert merge(config, config.model_dump(mode="json")) == config
