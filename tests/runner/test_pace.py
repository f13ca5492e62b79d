"""How long a run takes: told while it runs, and measured against what had to be said."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from echoaudit.recording import Recording, write_json
from echoaudit.runner.pace import foreseen, in_turns, measure
from echoaudit.runner.progress import Lines, progress_for
from echoaudit.study.models import Config
from echoaudit.study.plan import Account, Plan, Step, Track, Wave

CONFIG = Config.model_validate(
    {
        "config": "test",
        "conversation": {"pause": 1.0, "gap": 2.0, "idle": 10.0},
        "microphone": {"silence": 2.0},
        "parallel": {"sessions": 2, "browsers": 1},
    }
)
WHO = [Account("fashion", 1), Account("vanilla", 1)]


def visits(name: str, number: int) -> Wave:
    steps = [
        tuple(Step(f"{who.id}/visits/{name}-{n}", "visit", who) for n in range(number))
        for who in WHO
    ]
    return Wave(name, "visits", tuple(map(Track, WHO, steps)))


def talk(number: int) -> Wave:
    names = [[f"{who.id}/sessions/0{n}-x" for n in range(number)] for who in WHO]
    steps = [
        tuple(Step(name, "session", who, sentences=2) for name in own)
        for who, own in zip(WHO, names, strict=True)
    ]
    return Wave("sessions", "sessions", tuple(map(Track, WHO, steps)))


PLAN = Plan((visits("before-1", 5), talk(4), visits("after-1", 5)))


def test_steps_that_run_side_by_side_add_their_share() -> None:
    seconds = foreseen(PLAN, CONFIG)
    assert seconds["fashion-1/visits/before-1-0"] == 5 + CONFIG.browser.settle
    assert seconds["fashion-1/sessions/00-x"] == (2 * (9 + 2 + 1) + 2) / 2


def test_lines_count_from_where_a_run_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    finished = {step.id for step in PLAN.steps[:7]}
    with Lines(PLAN, CONFIG, finished) as progress:
        progress.wave("after-1", 1)
        progress.finished(PLAN.steps[7], "10 bids")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "after-1: 1 step"
    assert lines[1].split() == ["8/28", PLAN.steps[7].id, "10", "bids"]
    assert len(lines) == 2, "too early for an estimate"


def test_the_time_left_is_as_foreseen_and_then_as_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = SimpleNamespace(value=100.0)
    monkeypatch.setattr("echoaudit.runner.progress.time.monotonic", lambda: now.value)
    progress = Lines(PLAN, CONFIG, set())

    def do(steps: tuple[Step, ...], seconds: float) -> None:
        for step in steps:
            now.value += seconds
            progress.finished(step, "")

    do(PLAN.waves[0].steps, 6.0)
    assert progress.remaining() == "about 2:44 left", "8 x 13 s of talk, 10 visits of 6 s"
    do(PLAN.waves[1].steps, 3.0)
    assert progress.remaining() == "about 1:00 left"
    do(PLAN.waves[2].steps, 6.0)
    assert progress.remaining() == ""
    said = [line for line in capsys.readouterr().err.splitlines() if "left" in line]
    assert 3 <= len(said) <= 7, "now and then"


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(progress_for(PLAN, CONFIG, set()), Lines)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(value=1000.0)
    monkeypatch.setattr("echoaudit.recording.journal.time.time", lambda: now.value)
    return now


def test_the_pace_is_of_all_that_talk_against_the_longest(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    recording = Recording.create(
        tmp_path / "recording",
        study_files={},
        study_hash="5" * 64,
        config=CONFIG.model_dump(mode="json"),
        plan=PLAN.to_json(),
        tools={},
    )
    assert measure(recording) is None
    turn = {"purpose": "converse", "said": {"seconds": 3.0}, "heard": {"seconds": 4.0}}
    one, two = (track.steps[0] for track in PLAN.waves[1].tracks)
    with recording.step(one.id, "session") as first:
        clock.value += 5
        with recording.step(two.id, "session") as second:
            clock.value += 15
            write_json(first / "transcript.json", [turn, turn])
            write_json(second / "transcript.json", [turn])
        clock.value += 5
    recording.close()
    clock.value += 1000
    with Recording.resume(recording.folder) as resumed:
        page = PLAN.waves[2].tracks[0].steps[0]
        with resumed.step(page.id, "visit"):
            clock.value += 7
        pace = measure(resumed)
    assert pace is not None
    assert (pace.account, pace.own) == ("fashion-1", 2 * (3 + 4 + 1) + 2)
    assert pace.least == pace.own
    assert (pace.talking, pace.whole) == (25, 32)


def test_accounts_that_talk_in_turns_need_the_time_of_all_over_those_at_once(
    tmp_path: Path,
) -> None:
    recording = Recording.create(
        tmp_path / "recording",
        study_files={},
        study_hash="5" * 64,
        config={"parallel": {"sessions": 1}},
        plan=PLAN.to_json(),
        tools={},
    )
    accounts = [track.steps[0] for track in PLAN.waves[1].tracks]
    assert len(accounts) == 2
    for step in accounts:
        with recording.step(step.id, "session") as folder:
            write_json(folder / "session.json", {"started": 1000.0, "ended": 1010.0})
    pace = measure(recording)
    recording.close()
    assert pace is not None
    assert (pace.own, pace.least) == (10, 20)
    assert pace.to_json()["ratio"] == pace.talking / 20


@pytest.mark.parametrize(
    ("own", "at_once", "least"),
    [
        ([3, 5, 4], 9, 5),
        ([3, 5, 4], 1, 12),
        ([3, 3, 3, 2, 2, 2, 1], 3, 16 / 3),
        # Of three long accounts at two places two talk one after the other.
        ([5, 5, 5, 1], 2, 10),
        ([5, 5, 5, 5, 4], 2, 14),
    ],
)
def test_no_schedule_of_accounts_takes_less(own: list[float], at_once: int, least: float) -> None:
    assert in_turns(own, at_once) == least
    ways = itertools.product(range(at_once), repeat=len(own))
    taken = (
        [sum(t for t, p in zip(own, way, strict=True) if p == place) for place in range(at_once)]
        for way in ways
    )
    assert least <= min(map(max, taken))


def test_a_killed_attempt_counts_until_the_last_sign_of_it(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    recording = Recording.create(
        tmp_path / "recording",
        study_files={},
        study_hash="5" * 64,
        config={},
        plan=PLAN.to_json(),
        tools={},
    )
    killed, whole = (track.steps[0] for track in PLAN.waves[1].tracks)
    with recording.step(whole.id, "session") as folder:
        write_json(folder / "session.json", {"started": 1000.0, "ended": 1010.0})
        recording.step(killed.id, "session").__enter__()
        clock.value += 10
    recording.close()
    clock.value += 500
    with Recording.resume(recording.folder) as resumed:
        pace = measure(resumed)
    assert pace is not None
    assert (pace.own, pace.talking, pace.whole) == (10, 10, 10)
