"""What is said to a speaker in one session, and what came back."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from echoaudit.study.models import Conversation, Skill
from echoaudit.study.replies import refuses, same_reply

if TYPE_CHECKING:
    from echoaudit.instruments.microphone import Heard, Microphone
    from echoaudit.instruments.speaker import Said, Speaker

Purpose = Literal["enable", "converse", "disable", "stop"]
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
    """Everything to say in a skill's session, in order: enable, its utterances, disable."""
    spoken = tuple(Sentence("converse", text) for text in skill.utterances[: settings.utterances])
    if settings.enable == "none":
        return spoken
    return (
        Sentence("enable", f"Alexa, enable {skill.name}."),
        *spoken,
        Sentence("disable", f"Alexa, disable {skill.name}."),
    )


Dialogue = Generator[Sentence, Turn, None]
"""Yields what to say next and is sent the turn that came of it."""


def dialogue(to_say: Iterable[Sentence], settings: Conversation) -> Dialogue:
    """The rules of the published study: what follows from what was heard.

    Each sentence is said until it is delivered, at most ``settings.attempts`` times. A reply that
    had to be cut, or that a skill has given before in this session, is ended with "Alexa, stop".
    """
    replies: list[str] = []
    for sentence in to_say:
        for attempt in range(1, settings.attempts + 1):
            turn = yield Sentence(sentence.purpose, sentence.text, attempt)
            if turn.heard.cut or _repeats(turn, replies):
                yield STOP
            if turn.delivered:
                break


def _repeats(turn: Turn, replies: list[str]) -> bool:
    """Whether a skill says the same again; remembers what it says.

    After a refusal there is nobody to stop, and the platform confirms all skills alike.
    """
    if turn.purpose != "converse" or not turn.delivered:
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
) -> Iterator[Turn]:
    """Hold the dialogue about ``to_say`` aloud, with ``settings.pause`` after each reply.

    The microphone is open throughout, so that a reply that comes at once is not lost; each reply
    is heard from the end of the sentence before it.
    """
    with microphone.open() as ear:
        talk = dialogue(to_say, settings)
        sentence = next(talk, None)
        while sentence is not None:
            said = speaker.say(sentence.text, folder)
            heard = ear.listen(folder, since=said.ended)
            turn = Turn(sentence.purpose, sentence.text, sentence.attempt, said, heard)
            yield turn
            ear.rest(settings.pause)
            try:
                sentence = talk.send(turn)
            except StopIteration:
                return
