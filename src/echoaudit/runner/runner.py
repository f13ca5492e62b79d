"""Steps in order: drives the instruments and records what they saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.errors import EchoauditError, ExitCode, Unavailable
from echoaudit.instruments.browser import Browser, BrowserCrashed
from echoaudit.instruments.gateway import AnyGateway, gateway_for
from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.recording import read_json, write_json
from echoaudit.runner.conversation import Sentence, Turn, converse, sentences
from echoaudit.runner.enabling import StoreVisits
from echoaudit.runner.profiles import Kept, Profiles
from echoaudit.runner.remains import keep_parts, left
from echoaudit.runner.streaming import listen, write_down

if TYPE_CHECKING:
    from echoaudit.instruments.browser.visit import Visit
    from echoaudit.recording import Recording
    from echoaudit.runner.progress import Progress
    from echoaudit.study.models import Config, PersonaVoice, SpeakerSettings
    from echoaudit.study.plan import Account, Plan, Step, Track, Wave

BROWSERS_PER_VISIT = 3
"""Browsers that may crash on one visit before the run gives up; it can be resumed."""
LEASE_PATIENCE = 30.0
"""Seconds a speaker may take to ask the gateway for its address."""


class Stopped(EchoauditError):
    """The user asked to stop; every step so far is recorded."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True)
class Rooms:
    """Folders outside the recording that a run needs."""

    profiles: Path
    """One browser profile per account."""
    state: Path
    """What the instruments keep while they run: leases, logs, sockets."""


class Runner:
    """Runs the unfinished steps of a plan.

    Waves happen one after the other; within a wave the accounts' tracks run in parallel, bounded
    by ``config.parallel``. A step is either finished in the journal or will be done again.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        recording: Recording,
        rooms: Rooms,
        progress: Progress,
        health: Callable[[], None] = lambda: None,
        voices: Mapping[str, PersonaVoice] | None = None,
    ) -> None:
        """Plan; nothing is started. ``voices`` are personas' own, by name.

        ``health`` raises when something the run depends on has failed; it is asked before a step
        counts as finished, so that nothing is recorded as seen in a world that was half gone.
        """
        self.config = config
        self.plan = plan
        self.recording = recording
        self.rooms = rooms
        self.progress = progress
        self.health = health
        self.voices = voices or {}
        self._profiles = Profiles(rooms.profiles, recording, progress.note)
        self._stop = threading.Event()
        self._browsers = threading.BoundedSemaphore(config.parallel.browsers)

    def stop(self) -> None:
        """Ask every track to end after its current step."""
        self._stop.set()

    def run(self) -> None:
        """Run all unfinished steps.

        Raises:
            Stopped: when :meth:`stop` was called before the plan was done.
            Unavailable: when an instrument is missing or breaks; steps so far are recorded.
        """
        pending = [wave for wave in self.plan.waves if self._pending(wave)]
        if not pending:
            return
        devices = {account: device.mac for account, device in self.config.devices.items()}
        if not any(wave.kind == "sessions" for wave in pending):
            # Browsers ask the network itself: a crawl needs no gateway.
            for wave in pending:
                self._wave(wave, self._browse)
            return
        with gateway_for(self.config.gateway, devices, self.rooms.state / "gateway") as gateway:
            for wave in pending:
                talk = partial(self._talk, gateway=gateway)
                self._wave(wave, talk if wave.kind == "sessions" else self._browse)

    def _pending(self, wave: Wave) -> list[Step]:
        finished = self.recording.finished
        return [s for track in wave.tracks for s in track.steps if s.id not in finished]

    def _wave(self, wave: Wave, act: Callable[[Track], None]) -> None:
        self.progress.wave(wave.name, len(self._pending(wave)))
        parallel = self.config.parallel
        most = parallel.sessions if wave.kind == "sessions" else parallel.browsers
        workers = min(most, len(wave.tracks))
        pool = ThreadPoolExecutor(workers, thread_name_prefix=wave.name)
        try:
            tracks = [pool.submit(act, track) for track in wave.tracks]
            done, _ = wait(tracks, return_when=FIRST_EXCEPTION)
            if any(track.exception() for track in done):
                self._stop.set()
            wait(tracks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        for track in tracks:
            track.result()
        if self._stop.is_set():
            raise Stopped("stopped after the steps that were running; the same command resumes")

    def _steps(self, track: Track) -> Iterator[Step]:
        for step in track.steps:
            if self._stop.is_set():
                return
            if step.id not in self.recording.finished:
                yield step

    @contextmanager
    def _recorded(self, step: Step) -> Iterator[Path]:
        with self.recording.step(step.id, step.kind, **step.to_json()) as folder:
            yield folder
            self.health()

    # --- sessions -----------------------------------------------------------------------------

    def _talk(self, track: Track, gateway: AnyGateway) -> None:
        steps = list(self._steps(track))
        if not steps:
            return
        account = track.account.id
        gateway.wait_for(account, LEASE_PATIENCE)
        speaker = Speaker(self._voice(track.account), account)
        microphone = Microphone(self.config.microphone, account)
        for step in self._apart(track):
            delivered = self._delivered(step, gateway)
            with self._recorded(step) as folder:
                if step.kind == "stream":
                    told = self._stream(step, folder, gateway, speaker, microphone)
                else:
                    told = self._session(step, folder, gateway, speaker, microphone, delivered)
            self.progress.finished(step, told)

    def _delivered(self, step: Step, gateway: AnyGateway) -> list[Sentence]:
        """What interrupted attempts at a session have said, now kept as parts of it."""
        if step.kind != "session":
            return []
        return keep_parts(self.recording, step, lambda *times: self._about(step, gateway, *times))

    def _apart(self, track: Track) -> Iterator[Step]:
        """Steps with a quiet gap between them, so that late contacts of one are not the next's."""
        first = True
        for step in self._steps(track):
            if not first and self._stop.wait(self.config.conversation.gap):
                return
            first = False
            yield step

    def _voice(self, account: Account) -> SpeakerSettings:
        """The configuration's, with what is the persona's own where the study varies voices."""
        own = self.voices.get(account.persona)
        varied = own.model_dump(exclude_none=True) if own else {}
        return self.config.speaker.model_copy(update=varied)

    def _session(
        self,
        step: Step,
        folder: Path,
        gateway: AnyGateway,
        speaker: Speaker,
        microphone: Microphone,
        delivered: Sequence[Sentence],
    ) -> str:
        """Record a session; what came of it in a few words."""
        settings = self.config.conversation
        turns: list[Turn] = []
        store = self._store(step.account, folder)
        with gateway.capture(step.account.id, folder):
            started = time.time()
            try:
                if step.skill is None:
                    self._stop.wait(settings.idle)
                else:
                    to_say = left(sentences(step.skill, settings), delivered)
                    answers = step.skill.answers
                    with store.around(step.skill) if store else nullcontext():
                        for turn in converse(
                            to_say, speaker, microphone, settings, folder, answers
                        ):
                            turns.append(turn)
                            _write_transcript(folder, turns)
            finally:
                ended = time.time()
        if step.skill is None and self._stop.is_set():
            raise Stopped("stopped; the same command resumes")
        _write_transcript(folder, turns)
        about = self._about(step, gateway, started, ended)
        write_json(folder / "session.json", about)
        if step.skill is None:
            return "background recorded"
        failure = store.failure if store else None
        before = f"{len(delivered)} delivered before" if delivered else None
        return "; ".join(filter(None, (_heard(turns), before, failure)))

    def _store(self, account: Account, folder: Path) -> StoreVisits | None:
        """The store, where skills are enabled there."""
        settings, store = self.config.conversation, self.config.store
        if settings.enable != "browser" or store is None:
            return None
        return StoreVisits(store, lambda: self._browser(account), settings.attempts, folder)

    @contextmanager
    def _browser(self, account: Account) -> Iterator[Browser]:
        """A browser beside the conversations, when there may be one more."""
        with (
            self._browsers,
            self._profiles.kept(account.id, "sessions") as kept,
            self._opened(account, "sessions", kept) as browser,
        ):
            yield browser

    @contextmanager
    def _opened(self, account: Account, phase: str, kept: Kept) -> Iterator[Browser]:
        """A browser on an account's profile, with the cookies that it must begin with."""
        browser = Browser(self.config.browser, kept.path, account=account.id, cookies=kept.cookies)
        try:
            with browser:
                if browser.restored is not None:
                    self._profiles.note_cookies(account.id, phase, kept, browser.restored)
                yield browser
        finally:
            kept.in_order = kept.in_order and browser.in_order

    def _stream(
        self,
        step: Step,
        folder: Path,
        gateway: AnyGateway,
        speaker: Speaker,
        microphone: Microphone,
    ) -> str:
        assert step.stream is not None
        with gateway.capture(step.account.id, folder):
            started = time.time()
            done = listen(
                step, speaker, microphone, self.config, folder, lambda: not self._stop.is_set()
            )
            ended = time.time()
        if done.cut:
            raise Stopped("stopped; the same command resumes")
        write_json(folder / "transcript.json", done.turns)
        write_json(folder / "stream.json", done.to_json(step.stream.service, step.seconds))
        write_down(done, self.config, folder)
        write_json(folder / "session.json", self._about(step, gateway, started, ended))
        return f"{done.seconds / 60:.0f} of {step.seconds / 60:.0f} minutes recorded"

    def _about(
        self, step: Step, gateway: AnyGateway, started: float, ended: float
    ) -> dict[str, Any]:
        """The record kept in ``session.json``."""
        return {
            "account": step.account.id,
            "persona": step.account.persona,
            "skill": step.skill.id if step.skill else None,
            "started": started,
            "ended": ended,
            "device": dict(gateway.device(step.account.id)),
        }

    # --- visits -------------------------------------------------------------------------------

    def _browse(self, track: Track) -> None:
        steps = list(self._steps(track))
        while steps:
            phase, together = _phase(steps[0]), {step.id for step in track.steps}
            with (
                self._profiles.kept(track.account.id, phase, together) as kept,
                self._opened(track.account, phase, kept) as browser,
            ):
                steps = self._browse_until_crash(browser, kept, steps)

    def _browse_until_crash(self, browser: Browser, kept: Kept, steps: list[Step]) -> list[Step]:
        """Do steps in one browser; returns those that are left for the next one."""
        for number, step in enumerate(steps):
            if self._stop.is_set():
                return []
            try:
                visit = self._visit(step, browser)
            except BrowserCrashed as crash:
                kept.in_order = False  # the next browser must not have what this attempt left
                crashes = self._crashed(step)
                if crashes >= BROWSERS_PER_VISIT:
                    raise Unavailable(f"{step.id}: {crash}, {crashes} times") from crash
                return steps[number:]
            self.progress.finished(step, _seen(step, visit))
            if step.kind != "visit":
                return steps[number + 1 :]
        return []

    def _crashed(self, step: Step) -> int:
        """Count the browsers that ended in this step, from the recording's own journal."""
        ended = [e for e in self.recording.events() if e.event == "step-interrupted"]
        return sum(e.data.get("step") == step.id for e in ended)

    def _visit(self, step: Step, browser: Browser) -> Visit:
        with self._recorded(step) as folder:
            if step.kind == "visit":
                assert step.site is not None
                visit = browser.visit(step.site.url, folder)
            else:
                act = self._sign_in if step.kind == "sign-in" else self._opt_out
                visit = act(step, browser)
                _write_profile(browser)
            write_json(folder / "visit.json", self._visit_record(step, visit))
        return visit

    def _visit_record(self, step: Step, visit: Visit) -> dict[str, Any]:
        return {
            "account": step.account.id,
            "persona": step.account.persona,
            "site": step.site.site if step.site else None,
            "url": step.site.url if step.site else self._page(step),
            "phase": step.phase,
            "round": step.round,
            "started": visit.started,
            "ended": visit.ended,
            "state": visit.state,
            "reason": visit.reason,
            "notes": list(visit.notes),
            "prebid": dict(visit.prebid),
            "ad_tags": list(visit.ad_tags),
            "consent": asdict(visit.consent) if visit.consent else None,
            "browser": dict(visit.browser),
        }

    def _page(self, step: Step) -> str | None:
        page = self.config.opt_out if step.kind == "opt-out" else self.config.sign_in
        return page.url if page else None

    def _opt_out(self, step: Step, browser: Browser) -> Visit:
        assert self.config.opt_out is not None
        visit = browser.opt_out(self.config.opt_out)
        if visit.state != "complete":
            raise Unavailable(f"{step.account.id} could not opt out: {visit.reason}")
        return visit

    def _sign_in(self, step: Step, browser: Browser) -> Visit:
        settings = self.config.sign_in
        assert settings is not None
        if settings.secrets is None:
            return _signed_in_by_hand(step.account, browser.await_sign_in(settings, 0.0))
        secrets = read_json(settings.secrets)
        secret = secrets.get(step.account.id) if isinstance(secrets, dict) else None
        if not isinstance(secret, dict) or not {"username", "password"} <= secret.keys():
            raise Unavailable(
                f"{settings.secrets} has no username and password for account {step.account.id}",
                fix="add them to that file",
            )
        visit = browser.sign_in(settings, secret["username"], secret["password"])
        if visit.state != "complete":
            raise Unavailable(f"{step.account.id} could not sign in: {visit.reason}")
        return visit


def _write_profile(browser: Browser) -> None:
    """Close a browser whose cookies are kept nowhere else, as those of a signed-in account.

    ``BrowserCrashed`` when it has not written them: the step must be done again.
    """
    browser.close()
    if not browser.in_order:
        raise BrowserCrashed("the browser was gone before it had written its profile")


def _phase(step: Step) -> str:
    """The part of a run whose end the account's profile is kept of."""
    return step.phase or "sign-in"


def _signed_in_by_hand(account: Account, visit: Visit) -> Visit:
    if visit.state != "complete":
        fix = f"echoaudit login {account.id} --config FILE"
        raise Unavailable(f"{account.id} is not signed in: {visit.reason}", fix=fix)
    return visit


def _write_transcript(folder: Path, turns: Sequence[Turn]) -> None:
    write_json(folder / "transcript.json", [turn.to_json() for turn in turns])


def _heard(turns: Sequence[Turn]) -> str:
    """How many sentences were answered; each has one first attempt, and is over when answered."""
    said = [turn for turn in turns if turn.purpose != "stop"]
    asked = sum(turn.attempt == 1 for turn in said)
    return f"{sum(turn.delivered for turn in said)} of {asked} sentences answered"


def _seen(step: Step, visit: Visit) -> str:
    if visit.state != "complete":
        return f"{visit.state}: {visit.reason}"
    if step.kind == "sign-in":
        return f"signed in, {visit.ended - visit.started:.1f} s"
    if step.kind == "opt-out":
        return f"opted out, {visit.ended - visit.started:.1f} s"
    return f"{visit.bids} bids, {visit.requests} requests, {visit.ended - visit.started:.1f} s"
