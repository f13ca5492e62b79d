"""Streams in the plan: after the sessions, in parts, services in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_persona, load_study, merge
from echoaudit.study.models import Config
from echoaudit.study.plan import Step, plan

from .conftest import Write

SITES = [{"site": "s", "url": "https://s.example/"}]
STREAMS = [{"service": "pandora", "hours": 2.5}, {"service": "spotify", "hours": 1.0}]


def steps(config: Config, account: str, **settings: object) -> list[Step]:
    changed = merge(config, {"sites": SITES, **settings})
    made = plan(load_study([Path("personas/fashion.yaml")], changed), changed)
    return [step for step in made.steps if step.account.id == account and step.kind == "stream"]


@pytest.fixture(autouse=True)
def personas(write: Write) -> Write:
    return write


def test_services_take_turns_in_parts(config: Config) -> None:
    found = steps(config, "fashion-1", streams=STREAMS)
    assert [step.seconds for step in found if step.to_json()["service"] == "pandora"] == [
        3600, 3600, 1800
    ]  # fmt: skip
    assert {step.to_json()["service"] for step in found[:2]} == {"pandora", "spotify"}
    assert [step.id.rpartition("/")[2][:2] for step in found] == ["01", "02", "03", "04"]
    assert {s.stream.sentence for s in found if s.stream} == {
        "Alexa, play top hits on Pandora.",
        "Alexa, play top hits on Spotify.",
    }


def test_controls_listen_too_and_last(config: Config) -> None:
    assert len(steps(config, "vanilla-1", streams=STREAMS)) == 4
    changed = merge(config, {"sites": SITES, "streams": STREAMS})
    made = plan(load_study([Path("personas/fashion.yaml")], changed), changed)
    kinds = [s.kind for s in made.steps if s.account.id == "fashion-1" and s.kind != "visit"]
    assert kinds[-4:] == ["stream"] * 4
    assert "stream" not in kinds[:-4]


def test_a_personas_own_streams_replace_the_configurations(config: Config, write: Write) -> None:
    text = Path("personas/fashion.yaml").read_text()
    write("personas/fashion.yaml", text + "streams: []\n")
    assert steps(config, "fashion-1", streams=STREAMS) == []
    assert len(steps(config, "vanilla-1", streams=STREAMS)) == 4


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("[{service: jazz-fm, hours: 1.0}]", "service 'jazz-fm' without the sentence"),
        ("[{service: pandora, hours: 1.0}, {service: pandora, hours: 2.0}]", "a second time"),
        ("[{service: pandora, hours: 0.0}]", "hours"),
    ],
)
def test_faulty_streams_are_named(write: Write, lines: str, found: str) -> None:
    write("personas/radio.yaml", f"persona: radio\nstreams: {lines}\n")
    with pytest.raises(BadInput, match=found):
        load_persona(Path("personas/radio.yaml"))
