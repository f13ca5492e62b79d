"""Accounts' browser profiles over a run: snapshots around each use, changes and damage noticed.

The journal's ``profile`` records say which content a profile had when a browser was opened on it
and when that browser was closed. In between only that browser may change it; else nobody may.
A browser that was not closed in order has not written its last cookies: the next one gets them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from echoaudit.errors import Damaged
from echoaudit.instruments.browser.snapshots import Snapshots, damage, digest

if TYPE_CHECKING:
    from echoaudit.instruments.browser.cookies import Cookie, Restored
    from echoaudit.recording import JournalRecord, Recording

EVENT = "profile"
COOKIES_EVENT = "cookies"
BY_HAND = "by hand"
"""Why a person has put a snapshot in a profile's place."""
When = Literal["opened", "closed", "restored"]


@dataclass
class Known:
    """What the journal says of one account's profile."""

    when: When
    hash: str | None
    """Of the last record."""
    phases: dict[str, str] = field(default_factory=dict)
    """The snapshot at the end of each phase."""
    first: str | None = None
    """The profile before the run."""
    altered: list[str] = field(default_factory=list)
    """Phases at whose beginning the profile was not as it had been left."""
    restored: list[str] = field(default_factory=list)
    """Phases in which a snapshot took the profile's place."""
    cookies: list[str] = field(default_factory=list)
    """Phases in which a browser got cookies that an earlier one had not written."""
    in_order: bool = True
    """Whether the browser that had the profile last has written it."""
    time: float = 0.0
    """Of the last record, in seconds since 1970."""

    @property
    def wanted(self) -> set[str]:
        """Snapshots worth keeping."""
        return {one for one in (self.first, self.hash, *self.phases.values()) if one}


def known(events: Iterable[JournalRecord]) -> dict[str, Known]:
    """What a journal's records say of each account's profile."""
    found: dict[str, Known] = {}
    for record in events:
        if record.event == EVENT:
            data = record.data
            told = found.setdefault(data["account"], Known(data["when"], None, first=data["hash"]))
            told.when, told.hash, told.time = data["when"], data["hash"], record.time
            told.in_order = _is_whole(data, told.in_order)
            if told.when == "closed":
                told.phases[data["phase"]] = data["hash"]
            if data.get("altered"):
                told.altered.append(data["phase"])
            if told.when == "restored":
                told.restored.append(data["phase"])
        elif record.event == COOKIES_EVENT and record.data["account"] in found:
            found[record.data["account"]].cookies.append(record.data["phase"])
    return found


def _is_whole(data: Mapping[str, Any], before: bool) -> bool:
    """Whether a profile holds all that its browser knew, after a record of the journal."""
    match data["when"]:
        case "opened":
            return False
        case "closed":
            return bool(data.get("in_order", True))
        case _:  # what a person has chosen is as it is to be; a damaged one is only mended
            return before or data.get("reason") == BY_HAND


def unwritten(events: Iterable[JournalRecord], account: str) -> str | None:
    """The account's last finished visit of whose cookies nobody knows whether they were written."""
    found: str | None = None
    for record in events:
        data = record.data
        if record.event == EVENT and data["account"] == account:
            # What somebody else has left there is as it is to be, too.
            if data.get("altered") or _is_whole(data, before=False):
                found = None
        elif record.event == "step-finished" and data["kind"] == "visit":
            found = data["step"] if data["data"].get("account") == account else found
    return found


def beside(recording: Path) -> Path:
    """The folder for what must never be in a recording: profiles, sockets, the lab's state."""
    return recording.parent / ".private" / recording.name


def place(recording: Recording) -> Path:
    """The folder of a recording's profiles; those that a configuration names are from here."""
    chosen = recording.info["config"].get("folders", {}).get("profiles")
    return Path(chosen) if chosen else beside(recording.folder.absolute()) / "profiles"


def restored(recording: Recording, account: str, snapshot: str, reason: str) -> None:
    """Note that a snapshot took the place of an account's profile."""
    told = known(recording.events()).get(account)
    phase = list(told.phases)[-1] if told and told.phases else "sign-in"
    data = {"account": account, "phase": phase, "when": "restored", "hash": snapshot}
    recording.record(EVENT, **data, reason=reason)


@dataclass
class Kept:
    """An account's profile while browsers are opened on it."""

    path: Path
    after: str | None = None
    """The visit after which no browser has written the profile in order."""
    cookies: list[Cookie] | None = None
    """Those after that visit: what the browser must begin with."""
    in_order: bool = True
    """Whether the browser has written the profile when it was closed."""


class Profiles:
    """The profiles of a run's accounts; safe from several threads, one for each account."""

    def __init__(self, folder: Path, recording: Recording, tell: Callable[[str], None]) -> None:
        """``tell`` is called with one line for each profile that was altered or restored."""
        self.folder = folder
        self._recording = recording
        self._tell = tell
        self._snapshots = Snapshots(folder)
        self._known = known(recording.events())

    @contextmanager
    def kept(self, account: str, phase: str, steps: Collection[str] = ()) -> Iterator[Kept]:
        """The account's profile, for one browser after the other, with a snapshot on either side.

        A profile that is damaged is replaced by the last snapshot first. Whatever a body that
        raises has left is looked at when the profile is used the next time. ``steps`` are those
        that one browser does when nothing ends it: in between it keeps its session's cookies.

        Raises:
            Unavailable: the disk is full or broken.
        """
        after = self._open(account, phase)
        cookies = None if after is None else self._held(after, in_one_go=after in steps)
        kept = Kept(self.folder / account, after, cookies)
        yield kept
        self._mend(account, phase)
        lost = {} if kept.in_order else {"in_order": False}
        self._note(account, phase, "closed", self._snapshots.keep(account), **lost)
        self._snapshots.drop_others(account, self._known[account].wanted)

    def note_cookies(self, account: str, phase: str, kept: Kept, restored: Restored) -> None:
        """Note what a browser did to begin with the cookies that it was given."""
        numbers = asdict(restored)
        if any(numbers.values()):
            data = {"account": account, "phase": phase, "after": kept.after, **numbers}
            self._recording.record(COOKIES_EVENT, **data)
            self._tell(
                f"{account}: the browser before was gone before it had written its cookies: "
                f"{restored.set} set, {restored.removed} removed, {restored.failed} not to be had"
            )

    def _open(self, account: str, phase: str) -> str | None:
        """Note that a browser is opened; the visit whose cookies the profile may lack."""
        before = self._known.get(account)
        altered = before is not None and self._is_altered(account, before)
        self._mend(account, phase)
        self._note(account, phase, "opened", self._snapshots.keep(account), altered=altered)
        if altered:
            self._tell(f"{account}: the browser profile was altered by somebody else since its use")
        if before is None or before.in_order or altered:
            return None
        return unwritten(self._recording.events(), account)

    def _is_altered(self, account: str, before: Known) -> bool:
        if before.when == "opened":
            # A browser that was not closed by us has left what it liked.
            return self._snapshots.used_since(account, before.time, before.hash)
        return before.hash != digest(self.folder / account)

    def _held(self, visit: str, *, in_one_go: bool) -> list[Cookie] | None:
        """The cookies after a finished visit; those of the browser's session if it is to go on."""
        step = next(one for one in self._recording.steps("visit") if one.id == visit)
        if not step.has("cookies.json"):
            return None
        held = step.json("cookies.json")
        if not isinstance(held, dict) or not isinstance(held.get("after"), list):
            raise Damaged(f"{step.path('cookies.json')}: not the cookies before and after a visit")
        return [cookie for cookie in held["after"] if in_one_go or not cookie["session"]]

    def _mend(self, account: str, phase: str) -> None:
        fault = damage(self.folder / account)
        last = self._known.get(account)
        if fault is None or last is None:
            return
        snapshot = last.hash
        if snapshot is None or snapshot not in self._snapshots.kept(account):
            return
        self._snapshots.restore(account, snapshot)
        self._note(account, phase, "restored", snapshot, reason=fault)
        self._tell(f"{account}: the browser profile was damaged ({fault}); restored")

    def _note(
        self, account: str, phase: str, when: When, hash_: str | None, **more: object
    ) -> None:
        data = {"account": account, "phase": phase, "when": when, "hash": hash_, **more}
        self._recording.record(EVENT, **data)
        told = self._known.setdefault(account, Known(when, None, first=hash_))
        told.when, told.hash, told.time = when, hash_, time.time()
        told.in_order = _is_whole(data, told.in_order)
        if when == "closed" and hash_ is not None:
            told.phases[phase] = hash_
