"""A study and a configuration to the steps of a run, in the order in which they happen.

Pure, and decided by the configuration's seed alone: the same study and configuration give the same
plan on any machine. Every random order has a generator of its own, so that one more round or
persona leaves the other orders as they were.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from echoaudit.errors import BadInput
from echoaudit.study.faults import shown, suggestion
from echoaudit.study.loader import LoadedPersona, LoadedStudy
from echoaudit.study.models import Config, Persona, Site, Skill, Stream

StepKind = Literal["sign-in", "opt-out", "visit", "session", "idle", "stream"]
WaveKind = Literal["sign-in", "visits", "sessions"]
Phase = Literal["before", "topic", "after"]
T = TypeVar("T")
SLUG = 40
"""Characters of a skill's name that its folder keeps."""


@dataclass(frozen=True, order=True)
class Account:
    """One simulated person: a browser profile, and what its persona has of account and speaker."""

    persona: str
    index: int

    @property
    def id(self) -> str:
        """``fashion-1``."""
        return f"{self.persona}-{self.index}"


@dataclass(frozen=True)
class Step:
    """The smallest thing that is done or done again as a whole."""

    id: str
    """Also its folder in the recording."""
    kind: StepKind
    account: Account
    skill: Skill | None = None
    site: Site | None = None
    phase: Phase | None = None
    round: int | None = None
    sentences: int = 0
    """Sentences to speak when each is answered at once."""
    stream: Stream | None = None
    seconds: float = 0.0
    """How long a stream is listened to."""

    def to_json(self) -> dict[str, Any]:
        """What a journal says of the step, besides its id and kind."""
        return {
            "account": self.account.id,
            "persona": self.account.persona,
            "skill": self.skill and self.skill.id,
            "site": self.site and self.site.site,
            "phase": self.phase,
            "round": self.round,
            **({"service": self.stream.service, "seconds": self.seconds} if self.stream else {}),
        }


@dataclass(frozen=True)
class Track:
    """One account's steps of a wave, in order."""

    account: Account
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Wave:
    """Tracks that run in parallel; the next wave waits for all of them."""

    name: str
    kind: WaveKind
    tracks: tuple[Track, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, track by track."""
        return tuple(step for track in self.tracks for step in track.steps)


@dataclass(frozen=True)
class Plan:
    """Waves that happen one after the other."""

    waves: tuple[Wave, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps of all waves."""
        return tuple(step for wave in self.waves for step in wave.steps)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "waves": [
                {
                    "name": wave.name,
                    "kind": wave.kind,
                    "tracks": [
                        {
                            "account": track.account.id,
                            "steps": [
                                {"id": step.id, "kind": step.kind, **step.to_json()}
                                for step in track.steps
                            ],
                        }
                        for track in wave.tracks
                    ],
                }
                for wave in self.waves
            ]
        }


def plan(study: LoadedStudy, config: Config) -> Plan:
    """The steps of ``study`` under ``config``.

    Sign-in and opting out, baseline rounds, sessions, visits to topics, rounds after. In a round
    every account visits the same sites in the same order, a block of sites at a time, and accounts
    of all personas are interleaved, so that time cannot pass for treatment. The number of rounds is
    fixed here: nothing that is found on the way can end or extend a run.

    Raises:
        BadInput: when there are pages to visit nowhere and no lab to bring them, or a persona
            needs a topic or a page that the configuration does not have.
    """
    _require_treatments(study, config)
    sites = study.sites or config.sites
    if not sites and config.lab is None:
        raise BadInput(
            f"no sites in study {study.name!r} or configuration {config.config!r}; "
            "allowed: at least one; example: sites: [{site: news, url: 'https://news.example/'}]"
        )
    waves = [
        _sign_in(study, config),
        *_rounds("before", config.rounds.before, sites, study, config),
        _sessions(study, config),
        *_topics(study, config),
        *_rounds("after", config.rounds.after, sites, study, config),
    ]
    return Plan(tuple(wave for wave in waves if wave.tracks))


def accounts(persona: LoadedPersona, config: Config) -> tuple[Account, ...]:
    """A persona's accounts: as many as its file says, else as the configuration says."""
    default = config.accounts.treated if persona.treated else config.accounts.control
    number = persona.persona.accounts or default
    return tuple(Account(persona.name, index) for index in range(1, number + 1))


def speakers(study: LoadedStudy, config: Config) -> tuple[Account, ...]:
    """The accounts that have a speaker, persona by persona."""
    speaking = [persona for persona in study.personas if persona.persona.speaks]
    return tuple(account for persona in speaking for account in accounts(persona, config))


def _require_treatments(study: LoadedStudy, config: Config) -> None:
    if config.conversation.enable == "browser" and config.store is None:
        raise BadInput(
            f"conversation.enable: browser, but configuration {config.config!r} has no store; "
            "allowed: store with the address of a skill's page; example: "
            "store: {url: 'https://store.example/dp/{id}'}"
        )
    for loaded in study.personas:
        topic = loaded.persona.browses
        if topic is not None and not config.topics.get(topic):
            known = ", ".join(sorted(config.topics)) or "none"
            raise BadInput(
                f"no sites of topic {shown(topic)}{suggestion(topic, sorted(config.topics))} in "
                f"configuration {config.config!r}; allowed: {known}; example: "
                f"topics: {{{topic}: [{{site: news, url: 'https://news.example/'}}]}}",
                file=loaded.path,
            )
        if loaded.persona.opt_out and config.opt_out is None:
            raise BadInput(
                f"persona {loaded.name!r} opts out, but configuration {config.config!r} has no "
                "page for it; allowed: opt_out with the platform's page; example: "
                "opt_out: {url: 'https://platform.example/preferences'}",
                file=loaded.path,
            )


# --- waves ------------------------------------------------------------------------------------


def _sign_in(study: LoadedStudy, config: Config) -> Wave:
    personas = {persona.name: persona.persona for persona in study.personas}
    tracks = (
        Track(who, tuple(_begin(who, personas[who.persona], config)))
        for who in _interleaved(study, config, "sign-in")
    )
    return Wave("sign-in", "sign-in", tuple(track for track in tracks if track.steps))


def _begin(account: Account, persona: Persona, config: Config) -> Iterator[Step]:
    if persona.account and config.sign_in:
        yield Step(f"{account.id}/sign-in", "sign-in", account)
    if persona.opt_out:
        yield Step(f"{account.id}/opt-out", "opt-out", account)


def _rounds(
    phase: Phase, number: int, sites: Sequence[Site], study: LoadedStudy, config: Config
) -> Iterator[Wave]:
    for index in range(1, number + 1):
        name = f"{phase}-{index}"
        order = _shuffled(sites, config.seed, name, "sites")
        size = config.rounds.block
        blocks = [order[first : first + size] for first in range(0, len(order), size)]
        for place, block in enumerate(blocks, 1):
            part = name if len(blocks) == 1 else f"{name}.{place}"
            tracks = (
                Track(who, tuple(_visit(who, site, phase, index) for site in block))
                for who in _interleaved(study, config, part)
            )
            yield Wave(part, "visits", tuple(tracks))


def _visit(account: Account, site: Site, phase: Phase, index: int) -> Step:
    step = f"{account.id}/visits/{phase[0]}{index}-{site.site}"
    return Step(step, "visit", account, site=site, phase=phase, round=index)


def _topics(study: LoadedStudy, config: Config) -> Iterator[Wave]:
    """Visits that are a treatment: each persona's accounts see its topic in one order."""
    topics = {persona.name: persona.persona.browses for persona in study.personas}
    for index in range(1, config.rounds.topic + 1):
        name = f"topic-{index}"
        orders = {
            topic: _shuffled(sites, config.seed, name, topic, "sites")
            for topic, sites in config.topics.items()
        }
        tracks = (
            Track(who, tuple(_visit(who, site, "topic", index) for site in orders[topic]))
            for who in _interleaved(study, config, name)
            if (topic := topics[who.persona]) is not None
        )
        yield Wave(name, "visits", tuple(tracks))


def _sessions(study: LoadedStudy, config: Config) -> Wave:
    personas = {persona.name: persona for persona in study.personas}
    tracks = (
        Track(who, tuple(_talk(who, personas[who.persona], config)))
        for who in _interleaved(study, config, "sessions")
        if personas[who.persona].persona.speaks
    )
    return Wave("sessions", "sessions", tuple(track for track in tracks if track.steps))


def _talk(account: Account, persona: LoadedPersona, config: Config) -> Iterator[Step]:
    talk = config.conversation
    if talk.idle > 0:
        yield Step(f"{account.id}/sessions/00-idle", "idle", account)
    skills = persona.catalogue.skills[: talk.skills] if persona.catalogue else ()
    around = 2 if talk.enable == "voice" else 0
    for number, skill in enumerate(_shuffled(skills, config.seed, account.id, "skills"), 1):
        step = f"{account.id}/sessions/{number:02}-{slug(skill.name, skill.id)}"
        sentences = around + len(skill.utterances[: talk.utterances])
        answering = skill.model_copy(
            update={"answers": skill.answers.over(persona.persona.answers)}
        )
        yield Step(step, "session", account, skill=answering, sentences=sentences)
    yield from _listen(account, persona, config)


def _listen(account: Account, persona: LoadedPersona, config: Config) -> Iterator[Step]:
    """Parts of all services in turn: what one service plays late, the others play late too."""
    own = persona.persona.streams
    streams = config.streams if own is None else own
    parts = [(n, stream, s) for stream in streams for n, s in enumerate(_parts(stream, config))]
    order = _shuffled(parts, config.seed, account.id, "streams")
    for number, (_, stream, seconds) in enumerate(sorted(order, key=lambda part: part[0]), 1):
        step = f"{account.id}/streams/{number:02}-{stream.service}"
        yield Step(step, "stream", account, sentences=2, stream=stream, seconds=seconds)


def _parts(stream: Stream, config: Config) -> Iterator[float]:
    """Seconds of each part of a stream."""
    left, part = stream.hours * 3600, config.streaming.part * 60
    while left > 0:
        yield min(left, part)
        left -= part


# --- orders -----------------------------------------------------------------------------------


def _random(seed: int, *purpose: str) -> random.Random:
    return random.Random("/".join((str(seed), *purpose)))


def _shuffled(values: Iterable[T], seed: int, *purpose: str) -> list[T]:
    order = list(values)
    _random(seed, *purpose).shuffle(order)
    return order


def _interleaved(study: LoadedStudy, config: Config, wave: str) -> tuple[Account, ...]:
    """All accounts, each persona spread evenly over the whole, at random within its share."""
    places = []
    for persona in study.personas:
        order = _shuffled(accounts(persona, config), config.seed, wave, persona.name)
        jitter = _random(config.seed, wave, persona.name, "jitter")
        places += [((n + jitter.random()) / len(order), who) for n, who in enumerate(order)]
    return tuple(who for _, who in sorted(places))


# --- words ------------------------------------------------------------------------------------


def slug(*names: str) -> str:
    """The first of ``names`` that leaves something, as lower-case words joined by hyphens."""
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG].strip("-")
        if words:
            return words
    return "skill"


def describe(plan: Plan) -> list[str]:
    """A plan for people: its waves, what each account does, and the totals."""
    lines = [_wave_line(wave) for wave in plan.waves]
    whose = sorted({step.account for step in plan.steps})
    width = max((len(account.id) for account in whose), default=0)
    lines.append("")
    lines += [_account_line(plan, account, width) for account in whose]
    lines += ["", _total(plan.steps, len(whose))]
    if not any(step.kind == "visit" for step in plan.steps):
        lines.append("no pages are visited: no sites are configured")
    return lines


def _wave_line(wave: Wave) -> str:
    who = " ".join(track.account.id for track in wave.tracks)
    return f"{wave.name:<10} {_total(wave.steps, len(wave.tracks))}: {who}"


def _account_line(plan: Plan, account: Account, width: int) -> str:
    steps = [step for step in plan.steps if step.account == account]
    skills = ", ".join(step.skill.name for step in steps if step.skill) or "no skills"
    return f"{account.id:<{width}}  {_counts(steps)}; {skills}"


def _total(steps: Sequence[Step], whose: int) -> str:
    return f"{whose} account{'s' if whose != 1 else ''}, {_counts(steps)}"


def _counts(steps: Sequence[Step]) -> str:
    kinds = Counter(step.kind for step in steps)
    parts = [f"{number} {_plural(kind, number)}" for kind, number in kinds.items()]
    spoken = sum(step.sentences for step in steps)
    if spoken:
        parts.append(f"about {spoken} sentences")
    return ", ".join(parts)


def _plural(kind: str, number: int) -> str:
    word = "idle session" if kind == "idle" else kind
    return word if number == 1 else f"{word}s"
