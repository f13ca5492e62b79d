"""What is said to a speaker in one session, and what came back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from echoaudit.study.models import Conversation, Skill

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
    def delivered(self) -> bool:
        """Whether the device answered: the rule by which a sentence counts as delivered."""
        return self.heard.speech_seconds >= SHORTEST_REPLY

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


def converse(
    to_say: Iterable[Sentence],
    speaker: Speaker,
    microphone: Microphone,
    settings: Conversation,
    folder: Path,
) -> Iterator[Turn]:
    """Say each sentence until it is answered, at most ``settings.attempts`` times.

    The microphone is open throughout, so that a reply that comes at once is not lost; each reply
    is heard from the end of the sentence before it. A reply that had to be cut is ended with
    "Alexa, stop", as the published study did.
    """
    with microphone.open() as ear:

        def turn(sentence: Sentence, attempt: int) -> Turn:
            said = speaker.say(sentence.text, folder)
            heard = ear.listen(folder, since=said.ended)
            return Turn(sentence.purpose, sentence.text, attempt, said, heard)

        for sentence in to_say:
            for attempt in range(1, settings.attempts + 1):
                answer = turn(sentence, attempt)
                yield answer
                if answer.heard.cut:
                    yield turn(STOP, 1)
                time.sleep(settings.pause)
                if answer.delivered:
                    break
