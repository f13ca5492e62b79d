"""What is said to a speaker in one session, and what came back."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from echoaudit.study.models import Answers, Conversation, Skill
from echoaudit.study.replies import question, refuses, same_reply

if TYPE_CHECKING:
    from echoaudit.instruments.microphone import Heard, Microphone
    from echoaudit.instruments.speaker import Said, Speaker
    from echoaudit.study.plan import Plan

Purpose = Literal["enable", "converse", "answer", "disable", "stop"]
SHORTEST_REPLY = 0.3
"""Seconds of speech below which a sound does not count as an answer."""


@dataclass(frozen=True)
class Sentence:
    """One thing to say, and why."""

    purpose: Purpose
    text: str
    attempt: int = 1


STOP = Sentence("stop", "Alexa, stop.")


@dataclass(frozen=True)
class Turn:
    """A sentence said once, and what was heard after it."""

    purpose: Purpose
    text: str
    attempt: int
    said: Said
    heard: Heard

    @property
    def answered(self) -> bool:
        """Whether the device spoke."""
        return self.heard.speech_seconds >= SHORTEST_REPLY

    @property
    def delivered(self) -> bool:
        """Whether the sentence reached whom it was for: answered, and not by a refusal.

        The platform's "sorry, I don't know that" is an answer, but the skill was never asked.
        """
        return self.answered and not refuses(self.heard.text)

    def to_json(self) -> dict[str, Any]:
        """The record kept in ``transcript.json``."""
        return {
            "purpose": self.purpose,
            "text": self.text,
            "attempt": self.attempt,
            "said": asdict(self.said),
            "heard": asdict(self.heard),
            "delivered": self.delivered,
        }


def sentences(skill: Skill, settings: Conversation) -> tuple[Sentence, ...]:
    """Everything to say in a skill's session, in order: enable, its utterances, disable.

    Enabling and disabling are said only where that is how it is done.
    """
    spoken = tuple(Sentence("converse", text) for text in skill.utterances[: settings.utterances])
    if settings.enable != "voice":
        return spoken
    return (
        Sentence("enable", f"Alexa, enable {skill.name}."),
        *spoken,
        Sentence("disable", f"Alexa, disable {skill.name}."),
    )


def everything_said(plan: Plan, settings: Conversation) -> Iterator[str]:
    """Every text that a run of ``plan`` may say, for voices that cannot say just anything."""
    for stream in (step.stream for step in plan.steps if step.stream is not None):
        yield STOP.text
        yield stream.sentence
    skills = (step.skill for step in plan.steps if step.skill is not None)
    for skill in skills:
        yield STOP.text
        yield from (sentence.text for sentence in sentences(skill, settings))
        for answer in skill.answers.model_dump(exclude_none=True).values():
            if settings.answers:
                attempts = range(1, min(settings.attempts, 2) + 1)
                yield from (_again(Sentence("answer", answer), n).text for n in attempts)


Dialogue = Generator[Sentence, Turn, None]
"""Yields what to say next and is sent the turn that came of it."""
_Part = Generator[Sentence, Turn, Turn | None]
"""The same for one sentence; returns the turn that delivered it, if it may go on from there."""


def dialogue(
    to_say: Iterable[Sentence], settings: Conversation, answers: Answers | None = None
) -> Dialogue:
    """The rules of the published study: what follows from what was heard.

    Each sentence is said until it is delivered, at most ``settings.attempts`` times. A reply that
    had to be cut, or that a skill has given before in this session, is ended with "Alexa, stop".
    A question at the end of a skill's reply gets one of ``answers``, at most ``settings.answers``
    times in a row.
    """
    replies: list[str] = []
    for sentence in to_say:
        turn = yield from _said(sentence, settings, replies)
        for _ in range(settings.answers if sentence.purpose == "converse" else 0):
            answer = _answer(turn, answers or Answers())
            if answer is None:
                break
            turn = yield from _said(answer, settings, replies)


def _said(sentence: Sentence, settings: Conversation, replies: list[str]) -> _Part:
    for attempt in range(1, settings.attempts + 1):
        turn = yield _again(sentence, attempt)
        stopped = turn.heard.cut or _repeats(turn, replies)
        if stopped:
            yield STOP
        if turn.delivered:
            return None if stopped else turn
    return None


def _again(sentence: Sentence, attempt: int) -> Sentence:
    """A speaker listens for an answer only for a while; later it must be woken."""
    late = sentence.purpose == "answer" and attempt > 1
    text = f"Alexa, {sentence.text}" if late else sentence.text
    return Sentence(sentence.purpose, text, attempt)


def _answer(turn: Turn | None, answers: Answers) -> Sentence | None:
    asked = question(turn.heard.text) if turn else None
    text = getattr(answers, asked) if asked else None
    return Sentence("answer", text) if text else None


def _repeats(turn: Turn, replies: list[str]) -> bool:
    """Whether a skill says the same again; remembers what it says.

    After a refusal there is nobody to stop, and the platform confirms all skills alike.
    """
    if turn.purpose not in ("converse", "answer") or not turn.delivered:
        return False
    again = any(same_reply(turn.heard.text, earlier) for earlier in replies)
    replies.append(turn.heard.text)
    return again


def converse(
    to_say: Iterable[Sentence],
    speaker: Speaker,
    microphone: Microphone,
    settings: Conversation,
    folder: Path,
    answers: Answers | None = None,
) -> Iterator[Turn]:
    """Hold the dialogue about ``to_say`` aloud, with ``settings.pause`` before each sentence.

    The microphone is open throughout, so that a reply that comes at once is not lost; each reply
    is heard from the end of the sentence before it. An answer comes without a pause: a speaker
    waits for it eight seconds only, and silence has already told that the question is over.
    """
    with microphone.open() as ear:
        talk = dialogue(to_say, settings, answers)
        sentence = next(talk, None)
        while sentence is not None:
            said = speaker.say(sentence.text, folder)
            heard = ear.listen(folder, since=said.ended)
            turn = Turn(sentence.purpose, sentence.text, sentence.attempt, said, heard)
            yield turn
            try:
                sentence = talk.send(turn)
            except StopIteration:
                sentence = None
            if sentence is None or sentence.purpose != "answer":
                ear.rest(settings.pause)
