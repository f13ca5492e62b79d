"""What is said in a session, and how its progress is told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from echoaudit.instruments.microphone import Heard
from echoaudit.instruments.speaker import Said
from echoaudit.runner.conversation import Turn, sentences
from echoaudit.runner.progress import Lines, progress_for
from echoaudit.study.models import Conversation, Skill
from echoaudit.study.plan import Account, Step

SKILL = Skill(
    id="B0TEST",
    name="Style Check",
    invocation="style check",
    utterances=("Alexa, open Style Check.", "Alexa, ask Style Check what to wear."),
)


def test_a_skill_is_enabled_spoken_to_and_disabled() -> None:
    said = sentences(SKILL, Conversation(enable="voice"))
    assert [(s.purpose, s.text) for s in said] == [
        ("enable", "Alexa, enable Style Check."),
        ("converse", "Alexa, open Style Check."),
        ("converse", "Alexa, ask Style Check what to wear."),
        ("disable", "Alexa, disable Style Check."),
    ]


def test_enabling_can_be_left_out_and_utterances_limited() -> None:
    said = sentences(SKILL, Conversation(enable="none", utterances=1))
    assert [s.text for s in said] == ["Alexa, open Style Check."]


@pytest.mark.parametrize(("seconds", "delivered"), [(0.0, False), (0.1, False), (1.2, True)])
def test_a_sentence_is_delivered_only_if_somebody_answered(seconds: float, delivered: bool) -> None:
    said = Said("hi", "said-00.flac", 1.0, 2.0, 1.0, "flite", "slt", 0, 3.0)
    heard = Heard("heard-00.flac", 3.0, 4.0, seconds, 0.1, "yes", "moonshine", 0, False)
    turn = Turn("converse", "hi", 1, said, heard)
    assert turn.delivered is delivered
    assert turn.to_json()["delivered"] is delivered


def test_lines_count_from_where_a_run_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(total=20, done=7) as progress:
        progress.wave("after-1", 1)
        step = Step("fashion-1/visits/a1-news", "visit", Account("fashion", 1))
        progress.finished(step, "10 bids")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "after-1: 1 step"
    assert lines[1].split() == ["8/20", "fashion-1/visits/a1-news", "10", "bids"]


def test_the_time_left_is_told_once_it_can_be_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(value=100.0)
    monkeypatch.setattr("echoaudit.runner.progress.time.monotonic", lambda: now.value)
    progress = Lines(total=30, done=10)
    progress.done, now.value = 12, 110.0
    assert progress.remaining() == ""
    progress.done, now.value = 20, 140.0
    assert progress.remaining() == "about 0:40 left"


def test_a_pipe_gets_plain_lines() -> None:
    assert isinstance(progress_for(3, 0), Lines)
