"""A crawl of sites on the loopback interface, in which somebody kills browsers."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser.processes import wait_until
from echoaudit.recording import Recording, verify
from echoaudit.runner.progress import Lines
from echoaudit.runner.runner import Rooms, Runner
from echoaudit.study.models import BrowserSettings, Config, Site
from echoaudit.study.plan import Account, Plan, Step, Track, Wave

sys.path.insert(0, str(Path(__file__).parents[1] / "instruments"))
import grid_kit
from loopback_sites import (
    LONG,
    NEWS,
    PARTNER,
    TRACKER,
    Answer,
    Request,
    Sites,
    wrapped_chromium,
)

PROC = Path("/proc")
Page = Answer | Callable[[Request], Answer | None]


@dataclass
class Crawl:
    """What came of a crawl."""

    planned: set[str]
    finished: Counter[str] = field(default_factory=Counter)
    """How often the journal says that each step is finished."""
    states: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    """Processes killed, by what they were."""
    interrupted: int = 0
    resumed: int = 0
    restored: int = 0
    """Times that a browser got cookies which the one before had not written."""
    damage: list[str] = field(default_factory=list)
    left_over: list[int] = field(default_factory=list)
    """Processes of browsers that are still there at the end."""

    @property
    def lost(self) -> int:
        return len(self.planned - self.finished.keys())

    @property
    def doubled(self) -> int:
        return sum(times > 1 for times in self.finished.values())


def pages() -> dict[tuple[str, str], Page]:
    """A page with frames; each time it sets other cookies, of every kind."""
    times = itertools.count(1)

    def news(_: Request) -> Answer:
        number = next(times)
        return Answer(
            f"<p>news<iframe src=https://{TRACKER}/frame></iframe><img src=/a.png>",
            headers=[
                ("Set-Cookie", f"seen={number}; Max-Age=9999; Secure; HttpOnly; SameSite=Strict"),
                ("Set-Cookie", f"of-{number}=1; Domain=news.test; Max-Age=9999"),
                ("Set-Cookie", f"session={number}"),
            ],
        )

    def frame(_: Request) -> Answer:
        part = f"part={next(times)}; Partitioned; {LONG}"
        inner = f"<iframe src=https://{PARTNER}/inner></iframe>"
        return Answer(inner, headers=[("Set-Cookie", part)])

    return {
        (NEWS, "/"): news,
        (NEWS, "/a.png"): Answer(b"", mime="image/png"),
        (TRACKER, "/frame"): frame,
        (PARTNER, "/inner"): Answer("inner"),
    }


def plan(accounts: int, visits: int) -> Plan:
    tracks = []
    for number in range(1, accounts + 1):
        account = Account("fashion", number)
        site = Site(site="news", url=f"https://{NEWS}/")
        folders = {r: f"{account.id}/visits/b{r}-news" for r in range(1, visits + 1)}
        steps = (
            Step(name, "visit", account, site=site, phase="before", round=r)
            for r, name in folders.items()
        )
        tracks.append(Track(account, tuple(steps)))
    return Plan((Wave("before", "visits", tuple(tracks)),))


def chosen_steps(chosen: Plan) -> set[str]:
    return {step.id for wave in chosen.waves for track in wave.tracks for step in track.steps}


def processes(profiles: Path) -> dict[int, str]:
    """Processes of the crawl's browsers: these themselves, their renderers, their drivers."""
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(profiles) in words:
            kind = "renderer" if "--type=renderer" in words else "helper"
            found[int(entry.name)] = kind if "--type=" in words else "browser"
        elif "chromedriver" in words and str(profiles) in environment:
            found[int(entry.name)] = "driver"
    return found


def kill_at_random(
    folder: Path, times: int, seed: int, done: threading.Event, crawl: Crawl
) -> None:
    """Kill a browser, its driver or a renderer now and then; of each crawl ``times`` processes.

    The first one is a browser when a visit is done, whose cookies it has not written yet.
    """
    chance = random.Random(seed)
    while not done.wait(0.1) and not a_visit_is_done(folder):
        pass
    wanted = "browser"
    while crawl.killed.total() < times and not done.is_set():
        kinds = processes(folder / "profiles")
        victims = [pid for pid, kind in kinds.items() if kind == wanted]
        if victims:
            try:
                os.kill(chance.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                continue
            crawl.killed[wanted] += 1
        done.wait(chance.uniform(0.3, 3.0))
        wanted = chance.choice(["browser", "browser", "driver", "renderer"])


def a_visit_is_done(folder: Path) -> bool:
    journal = folder / "recording" / "journal.jsonl"
    return journal.exists() and b"step-finished" in journal.read_bytes()


def lose_node(grid: grid_kit.Grid, folder: Path, done: threading.Event, crawl: Crawl) -> None:
    """Kill the node of a grid on which a browser runs, once a visit is done."""
    while not done.wait(0.1):
        if a_visit_is_done(folder):
            grid.lose(grid.node_in_use())
            crawl.killed["node"] += 1
            return


def crawl(
    folder: Path,
    *,
    accounts: int,
    visits: int,
    kills: int,
    seed: int = 1,
    grid: grid_kit.Grid | None = None,
) -> Crawl:
    """Crawl until the plan is done, giving the command again whenever it ends early.

    On a grid, a node is lost instead of a browser.
    """
    sites = Sites(folder)
    sites.pages.update(pages())
    settings = BrowserSettings(
        trusted_authority=sites.authority,
        binary=wrapped_chromium(folder, sites),
        page_timeout=40 if grid is None else 20,  # after which a lost node is noticed
        settle=1,
        grid=grid.url if grid else None,
    )
    config = Config(config="crawl", browser=settings)
    chosen = plan(accounts, visits)
    steps = chosen_steps(chosen)
    found, done = Crawl(steps), threading.Event()
    rooms = Rooms(folder / "profiles", folder / "state")
    if grid is None:
        arguments = (folder, kills, seed, done, found)
        killer = threading.Thread(target=kill_at_random, args=arguments)
    else:
        killer = threading.Thread(target=lose_node, args=(grid, folder, done, found))
    killer.start()
    try:
        recording = Recording.create(
            folder / "recording",
            study_files={"personas/fashion.yaml": b"persona: fashion\n"},
            study_hash="5" * 64,
            study={"study": "crawl"},
            config=config.model_dump(mode="json"),
            plan=chosen.to_json(),
            tools={},
        )
        while not _goes_through(config, chosen, recording, rooms):
            found.resumed += 1
            recording = Recording.resume(folder / "recording")
    finally:
        done.set()
        killer.join()
        sites.close()
    _look_at(folder / "recording", found)
    # Killed ones are gone when they have had their turn, those on a grid when their node says so.
    wait_until(lambda: not processes(rooms.profiles), grid_kit.ENDING)
    found.left_over = list(processes(rooms.profiles))
    return found


def _goes_through(config: Config, chosen: Plan, recording: Recording, rooms: Rooms) -> bool:
    with recording:
        try:
            Runner(
                config, chosen, recording, rooms, Lines(chosen, config, recording.finished)
            ).run()
        except Unavailable:
            return False
        recording.seal()
    return True


def _shown(cookie: Mapping[str, Any]) -> str:
    """A cookie with all attributes; the profile's database rounds times in another way."""
    return json.dumps({**cookie, "expires": round(cookie["expires"])}, sort_keys=True)


def _look_at(folder: Path, found: Crawl) -> None:
    recording = Recording.open(folder)
    for event in recording.events():
        found.interrupted += event.event == "step-interrupted"
        found.restored += event.event == "cookies"
        if event.event == "step-finished":
            found.finished[event.data["step"]] += 1
    held: dict[str, set[str]] = {}
    for step in recording.steps("visit"):
        cookies = step.json("cookies.json")
        before, after = (set(map(_shown, cookies[when])) for when in ("before", "after"))
        if (change := before ^ held.get(step.account, before)) != set():
            found.damage.append(f"{step.id}: other cookies than after the last visit: {change}")
        held[step.account] = after
        found.states[step.json("visit.json")["state"]] += 1
        requests = step.json("page.har")["log"]["entries"]
        if step.json("visit.json")["state"] == "complete" and len(requests) < 4:
            found.damage.append(f"{step.id}: {len(requests)} requests")
    found.damage += [str(problem) for problem in verify(folder, "full")]
