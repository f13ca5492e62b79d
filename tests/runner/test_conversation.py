"""What is said in a session, and how its progress is told."""

from __future__ import annotations

import pytest

from echoaudit.instruments.microphone import Heard
from echoaudit.instruments.speaker import Said
from echoaudit.runner.conversation import STOP, Sentence, Turn, dialogue, sentences
from echoaudit.study.models import Answers, Conversation, Skill

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
    for how in ("none", "browser"):
        said = sentences(SKILL, Conversation(enable=how, utterances=1))
        assert [s.text for s in said] == ["Alexa, open Style Check."]


def turn(sentence: Sentence, reply: str, *, seconds: float = 1.2, cut: bool = False) -> Turn:
    seconds = seconds if reply or cut else 0.0
    said = Said(sentence.text, "said-00.flac", 1.0, 2.0, 1.0, "flite", "slt", 0, 3.0)
    heard = Heard("heard-00.flac", 3.0, 4.0, seconds, 0.1, reply, "moonshine", 0, cut)
    return Turn(sentence.purpose, sentence.text, sentence.attempt, said, heard)


@pytest.mark.parametrize(
    ("reply", "seconds", "delivered"),
    [
        ("", 0.0, False),
        ("yes", 0.1, False),
        ("yes", 1.2, True),
        ("Sorry, I don't know that one.", 1.2, False),
    ],
)
def test_a_sentence_is_delivered_only_if_it_was_answered_and_not_refused(
    reply: str, seconds: float, delivered: bool
) -> None:
    said = turn(Sentence("converse", "hi"), reply, seconds=seconds)
    assert said.delivered is delivered
    assert said.to_json()["delivered"] is delivered


ANSWERS = Answers(yes_no="Yes, please.", number="Seven.")


def held(to_say: list[Sentence], *replies: str | None, **settings: int) -> list[tuple[str, int]]:
    """Texts and attempts of a dialogue whose sentences get these replies; None is cut."""
    talk = dialogue(to_say, Conversation(**settings), ANSWERS)
    said, answers = [], iter(replies)
    sentence = next(talk, None)
    while sentence is not None:
        said.append((sentence.text, sentence.attempt))
        reply = next(answers)
        try:
            sentence = talk.send(turn(sentence, reply or "", cut=reply is None))
        except StopIteration:
            break
    assert list(answers) == []
    return said


OPEN, ASK = Sentence("converse", "Alexa, open it."), Sentence("converse", "Alexa, ask it.")
WELCOME, TIP = "Welcome to style check.", "Light layers are a good idea."
SORRY = "Sorry, I don't know that one."


def test_a_refused_sentence_is_said_again_and_no_more_than_stated() -> None:
    assert held([OPEN, ASK], SORRY, WELCOME, TIP) == [
        (OPEN.text, 1),
        (OPEN.text, 2),
        (ASK.text, 1),
    ]
    assert held([OPEN, ASK], SORRY, SORRY, SORRY, TIP, attempts=3) == [
        *((OPEN.text, attempt) for attempt in (1, 2, 3)),
        (ASK.text, 1),
    ]


def test_a_cut_reply_is_stopped() -> None:
    assert held([OPEN, ASK], None, "", TIP) == [(OPEN.text, 1), (STOP.text, 1), (ASK.text, 1)]


def test_a_reply_that_a_skill_has_given_before_is_stopped() -> None:
    again = "light layers are a good ideal"
    assert held([OPEN, ASK, OPEN, ASK], TIP, WELCOME, again, "", "Bye.") == [
        (OPEN.text, 1),
        (ASK.text, 1),
        (OPEN.text, 1),
        (STOP.text, 1),
        (ASK.text, 1),
    ]


def test_the_platforms_confirmations_and_refusals_are_no_repeats() -> None:
    around = [Sentence("enable", "Alexa, enable it."), Sentence("disable", "Alexa, disable it.")]
    assert len(held(around, "Okay, it is enabled.", "Okay, it is disabled.")) == 2
    assert len(held([OPEN, ASK], SORRY, SORRY, SORRY, SORRY)) == 4


PLAY, MANY = "Would you like to play?", "How many players are there?"


def test_questions_are_answered_to_a_limit_and_only_if_there_is_an_answer() -> None:
    yes, seven = ("Yes, please.", 1), ("Seven.", 1)
    assert held([OPEN, ASK], PLAY, MANY, "Goodbye.", TIP) == [
        (OPEN.text, 1), yes, seven, (ASK.text, 1),
    ]  # fmt: skip
    assert held([OPEN, ASK], PLAY, MANY, TIP, answers=1) == [(OPEN.text, 1), yes, (ASK.text, 1)]
    assert held([OPEN], PLAY, answers=0) == [(OPEN.text, 1)]
    assert held([OPEN], "What is your name?") == [(OPEN.text, 1)]
    enabling = Sentence("enable", "Alexa, enable it.")
    assert held([enabling], PLAY) == [(enabling.text, 1)]


def test_an_answer_that_came_too_late_is_said_with_the_wake_word() -> None:
    late = [("Yes, please.", 1), ("Alexa, Yes, please.", 2)]
    assert held([OPEN], PLAY, "", "Let us play.") == [(OPEN.text, 1), *late]


def test_a_question_asked_again_is_stopped_and_not_answered_again() -> None:
    again = "Welcome to sneaker trivia. Would you like to play?"
    assert held([OPEN], again, again, "") == [(OPEN.text, 1), ("Yes, please.", 1), (STOP.text, 1)]


def test_a_skills_own_answers_go_before_the_personas() -> None:
    own = Answers(yes_no="No.").over(ANSWERS)
    assert own == Answers(yes_no="No.", number="Seven.")
