"""What was said and heard."""

import pytest
from recordings_kit import SKILL, Staged, record

from echoaudit.errors import BadInput
from echoaudit.outcomes import utterances

TURNS = [
    {
        "purpose": "enable",
        "text": "Alexa, enable Shoe Talk",
        "attempt": 1,
        "said": {"file": "said-00.flac", "started": 1700000001.5, "seconds": 2.25, "gain": 1.0},
        "heard": {
            "file": "heard-00.flac",
            "seconds": 6.0,
            "speech_seconds": 0.0,
            "text": None,
            "engine": "moonshine",
        },
        "delivered": False,
    },
    {
        "purpose": "converse",
        "text": "Alexa, open Shoe Talk",
        "attempt": 2,
        "said": {"file": "said-01.flac", "started": 1700000009.0, "seconds": 2.0, "gain": 1.0},
        "heard": {
            "file": "heard-01.flac",
            "seconds": 7.5,
            "speech_seconds": 3.0,
            "text": "Welcome",
            "engine": "moonshine",
        },
        "delivered": True,
    },
]


def test_turns_become_rows_in_order(tmp_path):
    recording = record(tmp_path / "r", Staged("fashion-1/sessions/01-x", transcript_json=TURNS))
    table = utterances.derive(recording)
    assert table.turn.tolist() == [0, 1]
    assert table.delivered.tolist() == [False, True]
    assert table.reply.tolist() == ["", "Welcome"]
    last = table.iloc[1]
    assert (last.account, last.persona, last.skill) == ("fashion-1", "fashion", SKILL)
    assert (last.purpose, last.text, last.attempt) == ("converse", "Alexa, open Shoe Talk", 2)
    assert (last.started, last.said_seconds, last.gain) == (1700000009.0, 2.0, 1.0)
    assert (last.heard_seconds, last.speech_seconds, last.engine) == (7.5, 3.0, "moonshine")


def test_nothing_heard_at_all(tmp_path):
    silent = [TURNS[0] | {"heard": None}]
    recording = record(tmp_path / "r", Staged("fashion-1/sessions/01-x", transcript_json=silent))
    row = utterances.derive(recording).iloc[0]
    assert (row.reply, row.engine) == ("", "")
    assert row.isna()["heard_seconds"]


def test_sessions_without_a_transcript(tmp_path):
    recording = record(tmp_path / "r", Staged("fashion-1/sessions/01-x"))
    assert utterances.derive(recording).equals(utterances.TABLE.empty())


@pytest.mark.parametrize("bad", [{}, ["x"], [{"purpose": "stop"}]])
def test_what_is_no_transcript_is_refused(tmp_path, bad):
    recording = record(tmp_path / "r", Staged("fashion-1/sessions/01-x", transcript_json=bad))
    with pytest.raises(BadInput, match=r"transcript\.json"):
        utterances.derive(recording)
