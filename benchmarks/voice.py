"""Spoken sentences that reach the meant skill: ``python benchmarks/voice.py [rooms|voices]``.

``rooms`` (the default) speaks ``--utterances`` sentences (200) of the catalogues, as many of each
interest, through PyAudio and a virtual room (or, with ``--air fast``, a socket) to simulated Echos
that know all commands of all catalogues, in a silent room and at each ``--snr`` (15 dB), and hears
the replies. A sentence is *right* when its Echo woke and did what a command of the meant skill
asks for. Of the others it tells which are *reported*: by silence, by a refusal, or because the
words of the reply, as the outcome ``utterances`` judges them, are not the meant skill's. The exit
code is 1 when one failed silently, or too few were right: 97 % clean, 90 % in noise.

``voices`` plays the sentences in each offline voice, or with ``--piper`` in the voices of these
files, to the wake-word model alone, with the frames falling in ``--phases`` different places.

The Echos' cloud is called directly, not over a network; all else is what a study uses.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker, padded
from echoaudit.instruments.voices import synthesise
from echoaudit.lab.acoustics import acoustics
from echoaudit.lab.air import Air, loudspeaker, microphone, server_of, socket_of
from echoaudit.lab.cloud.context import StockedSkill
from echoaudit.lab.cloud.voice import phrases, spoken
from echoaudit.lab.echo import Echo
from echoaudit.lab.echo_cloud import Directive, Provision
from echoaudit.lab.echo_ear import RATE, Recording, WakeWord, cut_into_frames
from echoaudit.lab.echo_rooms import ServerRoom, SocketRoom
from echoaudit.lab.hearing import Command, Understood
from echoaudit.lab.world import load_world
from echoaudit.outcomes.answers import judge
from echoaudit.outcomes.answers_evidence import TurnEvidence
from echoaudit.runner.conversation import Turn
from echoaudit.study.loader import load_catalogue
from echoaudit.study.models import MicrophoneSettings, Room, SpeakerSettings

ROOT = Path(__file__).parents[1]
CLEAN, NOISY = 0.97, 0.90
"""Goals: shares of sentences that reach their skill."""
SHIFT = 74
"""Samples (4.6 ms) between two phases."""
VOICES = (
    ("flite", "slt"),
    ("flite", "kal16"),
    ("flite", "rms"),
    ("flite", "awb"),
    ("espeak-ng", "en"),
    ("espeak-ng", "en-us"),
)


@dataclass(frozen=True)
class Sentence:
    """Something to say, and the skill it is for."""

    interest: str
    skill: str
    text: str


@dataclass(frozen=True)
class Result:
    """What came of a sentence."""

    sentence: Sentence
    woke: bool
    understood: tuple[str, ...]
    """Commands that were carried out."""
    transcript: str
    reply: str
    told: str
    """What the transcript alone says: ``not delivered`` or who answered."""

    @property
    def right(self) -> bool:
        """Whether it reached the meant skill and no other."""
        skills = {command.split(":")[1] for command in self.understood if ":" in command}
        return skills == {self.sentence.skill}

    @property
    def silent(self) -> bool:
        """Whether it failed and counts as answered by the meant skill."""
        return not self.right and self.told == "skill"


class DirectCloud:
    """What an Echo asks its cloud, answered in this process; a world's replies."""

    def __init__(self, skills: dict[str, StockedSkill]) -> None:
        self._skills = skills
        self._world = load_world("paper")
        self.reports: list[Understood] = []

    def provision(self) -> Provision:
        """All commands of all skills."""
        return Provision(tuple(Command(id_, text) for id_, text in phrases(self._skills)), ())

    def report(self, recording: Recording, understood: Understood) -> Directive:
        """The reply of the skill, if any."""
        del recording
        self.reports.append(understood)
        id_ = understood.command.id if understood.command else ""
        stocked = self._skills.get(id_.split(":")[1]) if ":" in id_ else None
        if stocked is None:
            return Directive(None, ())
        behaviour = self._world.behaviour(stocked.skill, stocked.interest)
        return Directive(behaviour.reply.replace("{name}", stocked.skill.name), ())


@dataclass(frozen=True)
class Job:
    """What one room has to do."""

    account: str
    sentences: tuple[Sentence, ...]
    skills: dict[str, StockedSkill]
    room: Room
    folder: Path
    socket: Path | None


def stocked(folder: Path) -> dict[str, StockedSkill]:
    """All skills of all catalogues in a folder; of an id that is in two, the first."""
    found: dict[str, StockedSkill] = {}
    for path in sorted(folder.glob("*.yaml")):
        catalogue = load_catalogue(path)
        for skill in catalogue.skills:
            found.setdefault(skill.id, StockedSkill(skill, catalogue.interest))
    return found


def chosen(skills: dict[str, StockedSkill], count: int, seed: int) -> tuple[Sentence, ...]:
    """``count`` sentences at random, as many of each interest as there are.

    None that skills share ("Alexa, repeat"): which one is meant, the sentence does not say.
    """
    wordings = Counter(
        words for stock in skills.values() for words in {*map(spoken, stock.skill.utterances)}
    )
    by_interest: dict[str, list[Sentence]] = {}
    for id_, stock in skills.items():
        rows = by_interest.setdefault(stock.interest, [])
        rows += [
            Sentence(stock.interest, id_, text)
            for text in stock.skill.utterances
            if wordings[spoken(text)] == 1
        ]
    rng = random.Random(seed)
    for rows in by_interest.values():
        rng.shuffle(rows)
    longest = max(map(len, by_interest.values()))
    turns = [rows[i] for i in range(longest) for rows in by_interest.values() if i < len(rows)]
    return tuple(turns[:count])


def hold(job: Job) -> list[Result]:
    """Say everything in one room, to one Echo."""
    events: list[str] = []
    ready = threading.Event()

    def log(event: str) -> None:
        events.append(event)
        if event == "ready":
            ready.set()

    sound = acoustics(job.room)
    place = (
        SocketRoom(job.socket, sound)
        if job.socket
        else ServerRoom(job.account, sound, log, server_of(job.account, job.folder.parent / "air"))
    )
    cloud = DirectCloud(job.skills)
    unused: Any = None
    echo = Echo(place, cloud, unused, job.account, log)  # type: ignore[arg-type]
    threading.Thread(target=echo.run, daemon=True).start()
    ready.wait()
    devices = (
        (f"unix:{job.socket}",) * 2
        if job.socket
        else (loudspeaker(job.account), microphone(job.account))
    )
    speaker = Speaker(SpeakerSettings(device=devices[0]), job.account)
    ears = Microphone(MicrophoneSettings(device=devices[1], silence=1.0, limit=20), job.account)
    results = []
    with ears.open() as ear:
        for sentence in job.sentences:
            events.clear()
            cloud.reports.clear()
            said = speaker.say(sentence.text, job.folder)
            heard = ear.listen(job.folder, since=said.ended)
            turn = Turn("converse", sentence.text, 1, said, heard)
            results.append(_result(sentence, turn, tuple(events), cloud.reports, job.skills))
            ear.rest(0.3)
    return results


def _result(
    sentence: Sentence,
    turn: Turn,
    events: Sequence[str],
    reports: Sequence[Understood],
    skills: dict[str, StockedSkill],
) -> Result:
    return Result(
        sentence,
        "awake" in events,
        tuple(report.command.id for report in reports if report.command),
        " / ".join(report.transcript for report in reports),
        turn.heard.text,
        _told(sentence, turn, skills) if turn.delivered else "not delivered",
    )


def _told(sentence: Sentence, turn: Turn, skills: dict[str, StockedSkill]) -> str:
    """Who answered, as far as the words of the reply tell: the least that a study knows."""
    words = TurnEvidence(
        meant=sentence.skill,
        purpose="converse",
        reply=turn.heard.text,
        spoke=turn.answered,
        told=frozenset(),
        directed=frozenset(),
        hosts=frozenset(),
    )
    return judge(words, {"skills": [s.skill.model_dump(mode="json") for s in skills.values()]}).by


@contextmanager
def jobs(
    arguments: argparse.Namespace, room: Room, sentences: Sequence[Sentence]
) -> Iterator[list[Job]]:
    """The rooms with their share of the sentences, while their air is there."""
    accounts = [f"room-{number + 1}" for number in range(arguments.rooms)]
    skills = stocked(arguments.skills)
    with tempfile.TemporaryDirectory(prefix="voice-") as name:
        folder = Path(name)
        made = [
            Job(
                account,
                tuple(sentences[number :: len(accounts)]),
                skills,
                room,
                folder / account,
                socket_of(account, folder) if arguments.air == "fast" else None,
            )
            for number, account in enumerate(accounts)
        ]
        for job in made:
            job.folder.mkdir()
        if arguments.air == "fast":
            yield made
            return
        with Air(accounts, folder / "air", acoustics(room).noise) as air:
            os.environ.update(air.environment())
            yield made


def in_rooms(arguments: argparse.Namespace) -> int:
    """Print how many sentences reached their skill; 1 when the goals are missed."""
    sentences = chosen(stocked(arguments.skills), arguments.utterances, arguments.seed)
    missed = False
    print(f"{len(sentences)} sentences, air: {arguments.air}, {arguments.rooms} rooms")
    print(f"{'room':<8}{'said':>6}{'woke':>6}{'right':>7}{'rate':>8}{'reported':>10}{'silent':>8}")
    clean = [] if arguments.noise_only else [None]
    for snr in (*clean, *arguments.snr):
        with (
            jobs(arguments, Room(snr_db=snr), sentences) as made,
            ProcessPoolExecutor(len(made)) as pool,
        ):
            results = [result for part in pool.map(hold, made) for result in part]
        missed |= _print(results, snr)
    return int(missed)


def _print(results: Sequence[Result], snr: float | None) -> bool:
    """One row and its failures; whether a goal is missed."""
    wrong = [result for result in results if not result.right]
    silent = [result for result in wrong if result.silent]
    rate = 1 - len(wrong) / len(results)
    print(
        f"{'clean' if snr is None else f'{snr:g} dB':<8}{len(results):>6}"
        f"{sum(result.woke for result in results):>6}{len(results) - len(wrong):>7}"
        f"{rate:>8.1%}{len(wrong) - len(silent):>10}{len(silent):>8}"
    )
    for result in wrong:
        heard = f"{result.transcript!r} as {result.understood}" if result.woke else "asleep"
        print(f"    {result.sentence.text!r} ({result.sentence.skill}): {heard}, {result.told}")
    lost = Counter(result.sentence.interest for result in wrong)
    if lost:
        print("    by interest: " + ", ".join(f"{name} {count}" for name, count in lost.items()))
    return bool(silent) or rate < (CLEAN if snr is None else NOISY)


def in_voices(arguments: argparse.Namespace) -> int:
    """Print how often each voice wakes the model."""
    sentences = chosen(stocked(arguments.skills), arguments.utterances, arguments.seed)
    some = sentences[: max(1, len(sentences) // 4)]
    print(f"{'voice':<18}{'woke':>12}{f'over {arguments.phases} phases':>20}")
    models = [("piper", str(model)) for model in arguments.piper]
    for engine, voice in models or VOICES:
        settings = SpeakerSettings(engine=engine, voice=voice)
        once = [_wakes(sentence, settings, 0) for sentence in sentences]
        phases = [
            _wakes(sentence, settings, SHIFT * phase)
            for sentence in some
            for phase in range(arguments.phases)
        ]
        print(
            f"{engine + ' ' + Path(voice).stem:<18}{f'{sum(once)} of {len(once)}':>12}"
            f"{f'{sum(phases)} of {len(phases)}':>20}",
            flush=True,
        )
    return 0


def _wakes(sentence: Sentence, settings: SpeakerSettings, shift: int) -> bool:
    sound = padded(synthesise(sentence.text, settings))
    model = WakeWord()
    late = np.concatenate([np.zeros(RATE + shift, np.int16), sound])
    return any(model.hears(frame) for frame in cut_into_frames(late))


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("rooms", "voices"), default="rooms")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--air", choices=("real", "fast"), default="real")
    parser.add_argument("--rooms", type=int, default=2, help="Echos at once")
    parser.add_argument("--snr", type=float, nargs="*", default=[15.0], help="dB")
    parser.add_argument("--noise-only", action="store_true", help="no silent room")
    parser.add_argument("--phases", type=int, default=10)
    parser.add_argument("--piper", type=Path, nargs="*", default=[], help="files of piper's voices")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skills", type=Path, default=ROOT / "skills", help="folder of catalogues")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    return {"rooms": in_rooms, "voices": in_voices}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
