"""How loud to speak: the least gain at which a speaker wakes, and a margin above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from echoaudit.errors import Unavailable
from echoaudit.instruments.microphone import Heard, Microphone
from echoaudit.instruments.speaker import Said, Speaker
from echoaudit.study.models import MicrophoneSettings, SpeakerSettings

GAINS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Tried one after the other, 6 dB apart, from the softest on."""
MARGIN = 2.0
"""Factor on the least gain that wakes: rooms and voices vary."""
LOUDEST = 4.0
"""The greatest gain that a configuration may have."""
CONFIRMATIONS = 2
"""Times the speaker must wake at the gain that is chosen."""
WAKES = "Alexa, what time is it?"
SAYS = "This is a test of the loudspeaker, one, two, three."
SHORTEST_REPLY = 0.3
"""Seconds of speech below which a sound is no answer: the runner's own rule."""


@dataclass(frozen=True)
class Trial:
    """One sentence said at one gain."""

    gain: float
    text: str
    answered: bool
    reply: str
    level: float
    """RMS of what the microphone recorded, as a fraction of full scale."""


@dataclass(frozen=True)
class Calibration:
    """What was tried, and the gain to use."""

    gain: float
    least: float
    """The least gain at which the speaker woke."""
    loudspeaker_heard: bool
    """Whether the microphone hears the loudspeaker at that gain."""
    trials: tuple[Trial, ...]


class Room:
    """One account's loudspeaker and microphone, used at various gains."""

    def __init__(
        self, speaker: SpeakerSettings, microphone: MicrophoneSettings, account: str, into: Path
    ) -> None:
        self._speaker = speaker
        self._microphone = Microphone(microphone, account)
        self._account = account
        self._into = into

    def ask(self, gain: float, text: str = WAKES) -> Trial:
        """Say ``text`` and hear who answers."""
        return self._trial(gain, text, lambda said: said.ended)

    def hear_itself(self, gain: float) -> Trial:
        """Say something that wakes nobody and hear it while it is said."""
        return self._trial(gain, SAYS, lambda said: said.started)

    def _trial(self, gain: float, text: str, since: Callable[[Said], float]) -> Trial:
        speaker = Speaker(self._speaker.model_copy(update={"gain": gain}), self._account)
        with ExitStack() as stack:
            ear = stack.enter_context(self._microphone.open())
            said = speaker.say(text, self._into)
            heard: Heard = ear.listen(self._into, since=since(said))
        answered = heard.speech_seconds >= SHORTEST_REPLY
        return Trial(gain, text, answered, heard.text, heard.level)


def calibrate(room: Room, tell: Callable[[Trial], None] = lambda _: None) -> Calibration:
    """Find the gain: the least that wakes the speaker, times the margin, confirmed twice.

    Raises:
        Unavailable: the speaker answers at no gain, or not every time at the one chosen.
    """
    trials: list[Trial] = []
    for trial in _trials(room, trials):
        trials.append(trial)
        tell(trial)
    least = next(trial.gain for trial in trials if trial.answered)
    *_, itself = trials
    return Calibration(_chosen(least), least, itself.answered, tuple(trials))


def _chosen(least: float) -> float:
    return min(LOUDEST, round(MARGIN * least, 3))


def _trials(room: Room, before: list[Trial]) -> Iterator[Trial]:
    """Louder and louder until somebody answers, then at the chosen gain."""
    for gain in GAINS:
        yield room.ask(gain)
        if before[-1].answered:
            break
    else:
        raise Unavailable(
            f"nobody answered {WAKES!r} at any gain from {GAINS[0]:g} to {GAINS[-1]:g}",
            fix="check that the speaker is on and near the loudspeaker, and the microphone near it",
        )
    chosen = _chosen(before[-1].gain)
    for _ in range(CONFIRMATIONS):
        trial = room.ask(chosen)
        if not trial.answered:
            raise Unavailable(
                f"the speaker woke at gain {before[-1].gain:g} but not always at {chosen:g}",
                fix="move it, or make the room quieter, and calibrate again",
            )
        yield trial
    yield room.hear_itself(chosen)
