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


def said(purpose, text, attempt=1, delivered=True):
    words = {"purpose": purpose, "text": text, "attempt": attempt, "delivered": delivered}
    return words | {"said": {"started": 1700000001.0}, "heard": {"speech_seconds": 2.0}}


STEP = "fashion-1/sessions/01-x"


def numbered(folder, *sessions):
    staged = [
        Staged(step, transcript_json=turns, session_json={"part_of": STEP} if step != STEP else {})
        for step, turns in sessions
    ]
    table = utterances.derive(record(folder, *staged))
    assert set(table.sentence.str.rpartition("#")[0]) <= {"", STEP}
    by_session = table.assign(n=table.sentence.str.rpartition("#")[2]).groupby("session")["n"]
    return [number for step, _ in sessions for number in by_session.get_group(step)]


def test_an_answer_said_again_is_one_sentence_and_to_another_question_another(tmp_path):
    turns = [
        said("converse", "Alexa, open it."),
        said("answer", "Yes, please.", delivered=False),
        said("answer", "Alexa, Yes, please.", 2),
        said("stop", "Alexa, stop."),
        said("answer", "Yes, please.", delivered=False),
        said("converse", "Alexa, stop."),
        said("converse", "Alexa, open it.", delivered=False),
        said("converse", "Alexa, open it.", 2),
    ]
    assert numbered(tmp_path / "r", (STEP, turns)) == ["1", "2", "2", "", "3", "4", "5", "5"]


def test_what_a_part_did_not_deliver_is_said_again_in_the_next(tmp_path):
    first = [
        said("enable", "Alexa, enable it."),
        said("converse", "Alexa, open it.", delivered=False),
        said("converse", "Alexa, open it.", 2, delivered=False),
        said("converse", "Alexa, open it."),  # the catalogue has it twice
        said("answer", "Yes.", delivered=False),
    ]
    second = [said("converse", "Alexa, open it."), said("answer", "Yes."), said("disable", "Off.")]
    found = numbered(tmp_path / "r", (f"{STEP}.1", first), (STEP, second))
    assert found == ["1", "2", "2", "3", "4", "2", "5", "6"]


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
