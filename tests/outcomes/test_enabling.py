"""Skills enabled in the store, and what counts as delivered where they were not."""

import pytest
from recordings_kit import SKILL, Staged, record

from echoaudit.errors import BadInput
from echoaudit.outcomes import enabling, utterances

PAGE = {"url": "https://store.example/dp/B07SHOES", "started": 1.0, "ended": 2.5, "picture": None}
TURN = {
    "purpose": "converse",
    "text": "Alexa, open Shoe Talk",
    "attempt": 1,
    "heard": {"seconds": 4.0, "speech_seconds": 2.0, "engine": "moonshine"},
    "delivered": True,
}
STEP = "fashion-1/sessions/01-x"


def recorded(folder, *states, reply="Hello there"):
    store = [PAGE | {"action": a, "state": s, "reason": "why\x1b"} for a, s in states]
    turn = TURN | {"heard": TURN["heard"] | {"text": reply}}
    return record(folder, Staged(STEP, transcript_json=[turn], store_json=store))


def delivered(recording):
    return utterances.derive(recording).delivered.tolist()


def test_attempts_are_counted_by_action(tmp_path):
    states = [("enable", "timeout"), ("enable", "enabled"), ("disable", "already disabled")]
    table = enabling.derive(recorded(tmp_path / "r", *states))
    assert table[["action", "attempt", "state", "done"]].to_numpy().tolist() == [
        ["disable", 1, "already disabled", True],
        ["enable", 1, "timeout", False],
        ["enable", 2, "enabled", True],
    ]
    assert set(table.skill) == {SKILL}
    assert set(table.reason) == {"why"}


def test_where_the_skill_was_not_enabled_only_its_own_answer_is_delivery(tmp_path):
    failed = [("enable", "failed"), ("enable", "refused"), ("disable", "already disabled")]
    assert delivered(recorded(tmp_path / "a", ("enable", "already enabled"))) == [True]
    assert delivered(recorded(tmp_path / "b", *failed)) == [False]
    assert delivered(recorded(tmp_path / "c", *failed, reply="Welcome to Shoe Talk")) == [True]
    silent = record(tmp_path / "d", Staged(STEP, transcript_json=[TURN]))
    assert delivered(silent) == [True]
    assert enabling.derive(silent).empty


@pytest.mark.parametrize("store", [{}, [7], [PAGE], [PAGE | {"action": "enable", "state": "x"}]])
def test_a_malformed_store_file_is_named(tmp_path, store):
    recording = record(tmp_path / "r", Staged(STEP, transcript_json=[], store_json=store))
    with pytest.raises(BadInput, match=r"store\.json"):
        enabling.derive(recording)
