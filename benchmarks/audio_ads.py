"""Audio ads found in planted streams: ``nice python benchmarks/audio_ads.py [--hours 4]``.

Accounts of a fashion persona and of a control listen to the streaming services of a world in the
fast air: the runner's own code asks for them, records them and writes them down; the outcome and
the findings are derived from that evidence. Prints recall and precision on creatives, one for each
account and service that heard it whole (goal: 0.95 each), what the creatives' brands are worth,
and in how many of ``--replays`` replays with the accounts' labels permuted any ad is called
exclusive (goal: at most 5 %). ``--world null-streams`` is a world in which every account may hear
every ad; in so many other such worlds (other seeds, same accounts and hours, every ad recognised)
it is counted, too, how often an ad is called exclusive. The exit code is 1 when a goal is missed.

The Echos' cloud is called directly, not over a network; all else is what a study uses.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from echoaudit.findings.audio_ads import creatives_table
from echoaudit.findings.tables import tables
from echoaudit.inference.exclusivity import exclusive
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.lab.acoustics import acoustics
from echoaudit.lab.echo import Echo
from echoaudit.lab.echo_cloud import Directive, Provision
from echoaudit.lab.echo_ear import Recording as Heard
from echoaudit.lab.echo_player import Played
from echoaudit.lab.echo_rooms import SocketRoom
from echoaudit.lab.hearing import Command, Understood
from echoaudit.lab.programme import Item, item, service_of
from echoaudit.lab.score import Score
from echoaudit.lab.score_streams import score_audio_ads
from echoaudit.lab.world import World, load_world
from echoaudit.recording import Recording, read_json, write_json
from echoaudit.runner.streaming import listen, write_down
from echoaudit.study.models import Config, Room, Stream
from echoaudit.study.plan import Account, Plan, Step, Track, Wave

GOAL, FALSE_CLAIMS = 0.95, 0.05
Tables = dict[str, pd.DataFrame]
TREATED, CONTROL = "fashion", "vanilla"
INTEREST = "Fashion & Style"


class DirectCloud:
    """What an Echo asks its cloud, answered in this process."""

    def __init__(self, world: World, account: str) -> None:
        self._world = world.file
        self._account = account
        self._interests = [INTEREST] if account.startswith(TREATED) else []
        self.truth: list[dict[str, Any]] = []

    def provision(self) -> Provision:
        """The services' sentences, and stop."""
        rows = [(f"play:{s.service}", s.say.removeprefix("Alexa, ")) for s in self._world.streams]
        return Provision(tuple(Command(*row) for row in [*rows, ("stop", "stop")]), ())

    def report(self, recording: Heard, understood: Understood) -> Directive:
        """Play or stop."""
        del recording
        verb, _, service = (understood.command.id if understood.command else "").partition(":")
        found = service_of(self._world, service)
        if found is None:
            return Directive(None, (), stop=verb == "stop")
        return Directive(found.reply, (), stream=service)

    def stream(self, service: str, number: int, played: Played | None) -> Item | None:
        """The next item; what was played is the truth."""
        if played is not None:
            row = {"account": self._account, "service": service, "item": played.item.item}
            about = {"kind": played.item.kind, "at": played.at, "seconds": played.seconds}
            self.truth.append({**row, **about, "whole": played.whole, "time": time.time()})
        found = service_of(self._world, service)
        assert found is not None
        if number < 0:
            return None
        return item(self._world, found, self._account, self._interests, number)


@dataclass(frozen=True)
class Job:
    """What one account listens to."""

    account: Account
    steps: tuple[Step, ...]
    world: str
    room: Room
    folder: Path


def hear(job: Job) -> list[dict[str, Any]]:
    """Listen to everything in one room; returns the truth."""
    ready = threading.Event()
    socket = job.folder / f"{job.account.id}.sock"
    cloud = DirectCloud(load_world(job.world), job.account.id)
    place, nobody = SocketRoom(socket, acoustics(job.room)), None
    echo = Echo(
        place,
        cloud,  # type: ignore[arg-type]
        nobody,  # type: ignore[arg-type]
        job.account.id,
        lambda event: ready.set() if event == "ready" else None,
    )
    threading.Thread(target=echo.run, daemon=True).start()
    ready.wait()
    device = {"device": f"unix:{socket}"}
    config = Config.model_validate({"config": "benchmark", "speaker": device, "microphone": device})
    speaker = Speaker(config.speaker, job.account.id)
    microphone = Microphone(config.microphone, job.account.id)
    for step in job.steps:
        assert step.stream is not None
        folder = job.folder / step.id
        folder.mkdir(parents=True)
        started = time.time()
        done = listen(step, speaker, microphone, config, folder, lambda: True)
        write_json(folder / "transcript.json", done.turns)
        write_json(folder / "stream.json", done.to_json(step.stream.service, step.seconds))
        about = {"account": job.account.id, "persona": job.account.persona, "skill": None}
        write_json(
            folder / "session.json",
            {**about, "started": started, "ended": time.time(), "device": {}},
        )
        write_down(done, config, folder)
    return cloud.truth


def accounts(treated: int, controls: int) -> Iterator[Account]:
    """All accounts of the benchmark."""
    yield from (Account(TREATED, number) for number in range(1, treated + 1))
    yield from (Account(CONTROL, number) for number in range(1, controls + 1))


def steps_of(account: Account, world: World, hours: float) -> tuple[Step, ...]:
    """One step per service."""
    services = world.file.streams
    return tuple(
        Step(
            f"{account.id}/streams/{number:02}-{service.service}",
            "stream",
            account,
            stream=Stream(service=service.service, say=service.say, hours=hours / len(services)),
            seconds=hours / len(services) * 3600,
        )
        for number, service in enumerate(services, 1)
    )


def recorded(arguments: argparse.Namespace, folder: Path) -> Path:
    """The streams as a sealed recording with the truth beside it."""
    target = folder / "recording"
    if target.exists():
        return target
    world = load_world(arguments.world)
    people = list(accounts(arguments.treated, arguments.controls))
    each = arguments.hours / len(people)
    steps = {who: steps_of(who, world, each) for who in people}
    room = Room(snr_db=arguments.snr) if arguments.snr is not None else Room()
    with tempfile.TemporaryDirectory(prefix="ads-") as name:
        heard = Path(name)
        jobs = [Job(who, steps[who], arguments.world, room, heard) for who in people]
        with ProcessPoolExecutor(arguments.processes, max_tasks_per_child=1) as pool:
            truth = [row for rows in pool.map(hear, jobs) for row in rows]
        tracks = tuple(Track(who, steps[who]) for who in people)
        plan = Plan((Wave("sessions", "sessions", tracks),))
        _keep(target, plan, heard)
    write_json(folder / "truth.json", truth)
    return target


def _keep(target: Path, plan: Plan, heard: Path) -> None:
    personas = [
        {"persona": TREATED, "interest": INTEREST, "control": CONTROL, "catalogue": {"skills": []}},
        {"persona": CONTROL, "interest": None, "control": None, "catalogue": None},
    ]
    study = {"study": "audio-ads", "personas": personas, "claims": [], "sites": [], "exclude": []}
    recording = Recording.create(
        target,
        study_files={"study.yaml": b"benchmark"},
        study_hash="0" * 64,
        config={"config": "benchmark"},
        plan=plan.to_json(),
        tools={},
        study=study,
    )
    with recording:
        for step in plan.steps:
            with recording.step(step.id, step.kind, **step.to_json()) as folder:
                for file in (heard / step.id).iterdir():
                    file.rename(folder / file.name)
        recording.seal()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--hours", type=float, default=4.0, help="of all accounts together")
    parser.add_argument("--treated", type=int, default=3)
    parser.add_argument("--controls", type=int, default=6)
    parser.add_argument("--world", default="streams")
    parser.add_argument("--snr", type=float, help="decibels; a silent room when absent")
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the recording; reused when there")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        return judge(arguments, arguments.keep)
    with tempfile.TemporaryDirectory(prefix="ads-") as folder:
        return judge(arguments, Path(folder))


def judge(arguments: argparse.Namespace, folder: Path) -> int:
    """Derive the findings and compare them with the truth."""
    begun = time.monotonic()
    target = recorded(arguments, folder)
    print(f"{arguments.hours:g} h of streams: recorded in {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    recording = Recording.open(target)
    found = tables(recording, ["audio_segments", "audio_ads", "creatives", "ad_counts"])
    print(f"findings derived in {time.monotonic() - begun:.0f} s")
    truth = read_json(folder / "truth.json")
    score = scored(recording, found, truth)
    print(f"per account and service: recall {score.recall:.3f}, precision {score.precision:.3f}, "
          f"{score.found} found, {score.planted} planted")  # fmt: skip
    for what, rows in (("wrong", score.wrong), ("missed", score.missed)):
        print("".join(f"  {what}: {row}\n" for row in rows), end="")
    recall, precision = whole_study(found, truth)
    print(f"distinct creatives: recall {recall:.3f}, precision {precision:.3f}")
    print(f"brands: {brands_right(found, truth, load_world(arguments.world))}")
    own = found["creatives"][found["creatives"]["exclusive"]]
    print(f"called exclusive: {', '.join(own['creative'] + ' ' + own['brand']) or 'none'}")
    rate = false_claims(found, recording, arguments.replays)
    print(f"null replays in which any creative is called exclusive: {rate:.3f}")
    drawn = null_worlds(load_world(arguments.world), found, truth, arguments.replays)
    print(f"null worlds in which any ad is called exclusive: {drawn:.3f}")
    rate = max(rate, drawn)
    print(found["ad_counts"].to_string(index=False))
    goals = min(score.recall, score.precision, recall, precision) >= GOAL
    return 0 if goals and rate <= FALSE_CLAIMS else 1


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as plain values."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def scored(recording: Recording, found: Tables, truth: list[dict[str, Any]]) -> Score:
    """As ``echoaudit lab score`` does it."""
    windows = {
        step.id: (step.account, str(step.data["service"]), about["started"], about["ended"])
        for step in recording.steps("stream")
        for about in [step.json("session.json")]
    }
    return score_audio_ads(rows_of(found["audio_ads"]), truth, windows)


def identified(found: Tables, truth: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """What each creative of the findings is: items by number of segments."""
    items: dict[str, Counter[str]] = {}
    for row in rows_of(found["audio_ads"]):
        here = [
            t for t in truth if (t["account"], t["service"]) == (row["account"], row["service"])
        ]
        middle = row["at"] + row["seconds"] / 2
        names = [t["item"] for t in here if t["at"] <= middle < t["at"] + t["seconds"] + 1]
        items.setdefault(row["creative"], Counter()).update(names[:1] or ["nothing"])
    return items


def whole_study(found: Tables, truth: list[dict[str, Any]]) -> tuple[float, float]:
    """Recall and precision on different creatives, whoever heard them; a split one is wrong."""
    planted = {t["item"] for t in truth if t["kind"] == "ad" and t["whole"]}
    items = identified(found, truth)
    named = [counts.most_common(1)[0][0] for counts in items.values()]
    right = set(named) & planted
    return len(right) / len(planted), len(right) / len(named) if named else 1.0


def brands_right(found: Tables, truth: list[dict[str, Any]], world: World) -> str:
    """How many creatives of brands got their brand, and how many got another."""
    true = {ad.ad: ad.brand or "" for ad in world.file.audio_ads}
    items = identified(found, truth)
    told = dict(zip(found["creatives"]["creative"], found["creatives"]["brand"], strict=True))
    pairs = [(true.get(c.most_common(1)[0][0], ""), told[name]) for name, c in items.items()]
    right = sum(a == b for a, b in pairs if a)
    return (
        f"{right} of {sum(bool(a) for a, _ in pairs)} right, "
        f"{sum(bool(b) and a != b for a, b in pairs)} another's"
    )


def false_claims(found: Tables, recording: Recording, replays: int) -> float:
    """Share of replays in which labels dealt out anew still give an exclusive creative."""
    segments, ads = found["audio_segments"], found["audio_ads"]
    people = segments[["account", "persona"]].drop_duplicates()
    random = np.random.default_rng(1)
    claimed = 0
    for _ in range(replays):
        dealt = dict(zip(people["account"], random.permutation(people["persona"]), strict=True))
        null = [t.assign(persona=t["account"].map(dealt)) for t in (ads, segments)]
        claimed += bool(creatives_table(null[0], null[1], recording.study)["exclusive"].any())
    return claimed / replays


def null_worlds(world: World, found: Tables, truth: list[dict[str, Any]], count: int) -> float:
    """Share of worlds without targeting, drawn anew, in which an ad is called exclusive.

    Each account hears each service for as long as it did, and all ads are recognised.
    """
    segments = found["audio_segments"]
    people = dict(zip(segments["account"], segments["persona"], strict=True))
    lengths = {row["item"]: row["seconds"] for row in truth if row["whole"]}
    hours: Counter[tuple[str, str]] = Counter()
    for row in truth:
        hours[row["account"], row["service"]] += row["seconds"]
    claimed = 0
    for seed in range(1, count + 1):
        file = world.file.model_copy(update={"seed": world.file.seed + seed, "targeting": False})
        heard: dict[str, set[str]] = {}
        for (account, name), seconds in hours.items():
            service = service_of(file, name)
            assert service is not None
            passed, number = 0.0, 0
            while passed < seconds:
                played = item(file, service, account, [], number)
                passed, number = passed + lengths.get(played.item, played.seconds), number + 1
                if played.kind == "ad":
                    heard.setdefault(played.item, set()).add(account)
        ads = {ad: frozenset(accounts) for ad, accounts in heard.items()}
        claimed += any(one.claimed for one in exclusive(ads, people, [TREATED]))
    return claimed / count


if __name__ == "__main__":
    sys.exit(main())
