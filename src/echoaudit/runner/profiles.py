"""Accounts' browser profiles over a run: snapshots around each use, changes and damage noticed.

The journal's ``profile`` records say which content a profile had when a browser was opened on it
and when that browser was closed. In between only that browser may change it; else nobody may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from echoaudit.instruments.browser.snapshots import Snapshots, damage, digest

if TYPE_CHECKING:
    from echoaudit.recording import JournalRecord, Recording

EVENT = "profile"
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
            told.when, told.hash = data["when"], data["hash"]
            if told.when == "closed":
                told.phases[data["phase"]] = data["hash"]
            if data.get("altered"):
                told.altered.append(data["phase"])
            if told.when == "restored":
                told.restored.append(data["phase"])
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
    def kept(self, account: str, phase: str) -> Iterator[Path]:
        """The account's profile, for one browser after the other, with a snapshot on either side.

        A profile that is damaged is replaced by the last snapshot first. Whatever a body that
        raises has left is looked at when the profile is used the next time.

        Raises:
            Unavailable: the disk is full or broken.
        """
        self._open(account, phase)
        yield self.folder / account
        self._mend(account, phase)
        self._note(account, phase, "closed", self._snapshots.keep(account))
        self._snapshots.drop_others(account, self._known[account].wanted)

    def _open(self, account: str, phase: str) -> None:
        before = self._known.get(account)
        altered = (
            before is not None
            # A browser that was not closed by us has left what it liked.
            and before.when != "opened"
            and before.hash != digest(self.folder / account)
        )
        self._mend(account, phase)
        self._note(account, phase, "opened", self._snapshots.keep(account), altered=altered)
        if altered:
            self._tell(f"{account}: the browser profile was altered by somebody else since its use")

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
        told.when, told.hash = when, hash_
        if when == "closed" and hash_ is not None:
            told.phases[phase] = hash_
