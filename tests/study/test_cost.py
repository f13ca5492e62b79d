"""Hours follow from the steps of a plan."""

from pathlib import Path

import pytest

from echoaudit.study import load_config, load_study
from echoaudit.study.cost import Pace, assumed_pace, cost, measured_pace
from echoaudit.study.plan import plan

ROOT = Path(__file__).parents[2]
PACE = Pace(sentence=10, visit=6)


@pytest.fixture
def config(tmp_path: Path):
    text = """config: here
sites: [{site: a, url: 'https://a.example/'}, {site: b, url: 'https://b.example/'}]
rounds: {before: 1, after: 2}
conversation: {idle: 30}
parallel: {sessions: 3, browsers: 2}
accounts: {treated: 2, control: 4}
"""
    path = tmp_path / "here.yaml"
    path.write_text(text)
    return load_config(path)


def test_hours_are_those_of_the_steps(config) -> None:
    steps = plan(load_study([ROOT / "personas/fashion.yaml"], config), config)
    found = cost(steps, config, PACE)
    visits = 6 * 2 * 3
    assert (found.accounts, found.visits) == (6, visits)
    assert found.crawl == pytest.approx(visits * 6 / 3600)
    assert found.speech == pytest.approx((found.sentences * 10 + 6 * 30) / 3600)
    longest = found.sentences / 2 * 10 + 30
    assert found.clock == pytest.approx((visits * 6 / 2 + longest) / 3600)


def test_a_pace_is_assumed_from_the_configuration_or_measured(config) -> None:
    slow = config.model_copy(
        update={"microphone": config.microphone.model_copy(update={"silence": 9.0})}
    )
    assert assumed_pace(slow).sentence == assumed_pace(config).sentence + 4
    steps = [("f/1", "session", 60.0), ("f/2", "session", 60.0), ("v", "visit", 4.0)]
    found = measured_pace(steps, {"f/1": 6, "f/2": 4}, PACE)
    assert found == Pace(12.0, 4.0, measured=True)
    assert measured_pace([], {}, PACE) == PACE
