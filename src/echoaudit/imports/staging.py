"""From steps that were read whole to a sealed recording, which appears whole or not at all."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from echoaudit import __version__
from echoaudit.errors import BadInput
from echoaudit.imports.source import Source, shown
from echoaudit.recording import Recording, canonical, write_json
from echoaudit.study.plan import slug

SOURCE = "source.json"
_ACCOUNT = re.compile(r"([a-z0-9][a-z0-9-]{0,39})-([1-9][0-9]?)")
_PERSONA = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
MOST_ACCOUNTS = 99

Kind = Literal["session", "idle", "visit"]


@dataclass(frozen=True)
class Staged:
    """One step to be recorded; its evidence lies in ``folder``."""

    label: str
    kind: Kind
    client: str
    """Address of the device when the source tells several apart; else empty."""
    about: Mapping[str, Any]
    """``session.json`` or ``visit.json`` but for account and persona."""
    folder: Path
    source: Source

    @property
    def started(self) -> float:
        """Seconds since 1970; 0 when unknown."""
        return float(self.about.get("started") or 0.0)


@dataclass(frozen=True)
class Who:
    """Whose evidence it is said to be."""

    persona: str = "imported"
    account: str | None = None
    """Of the only client; ``PERSONA-1``, ``PERSONA-2``, ... when absent."""

    def __post_init__(self) -> None:
        """Check both names, for they become folders."""
        if not _PERSONA.fullmatch(self.persona):
            raise BadInput(
                f"found {shown(self.persona)!r}; allowed: lower-case letters, digits and hyphens, "
                "at most 40; example: --persona smart-tv",
                file="--persona",
            )
        found = _ACCOUNT.fullmatch(self.account) if self.account is not None else None
        if self.account is not None and (found is None or found[1] != self.persona):
            raise BadInput(
                f"found {shown(self.account)!r}; allowed: the persona, a hyphen and a number; "
                f"example: --account {self.persona}-1",
                file="--account",
            )

    def accounts(self, clients: Sequence[str]) -> dict[str, str]:
        """Account by client.

        Raises:
            BadInput: one account was named for several clients, or there are too many.
        """
        if len(clients) > 1 and self.account is not None:
            raise BadInput(
                f"the source has {len(clients)} clients ({shown(', '.join(clients))}) but one "
                "account was named; name one with --client, or leave --account out"
            )
        if len(clients) > MOST_ACCOUNTS:
            raise BadInput(
                f"the source has {len(clients)} clients, at most {MOST_ACCOUNTS} become accounts; "
                "name those that matter with --client"
            )
        if self.account is not None:
            return dict.fromkeys(clients, self.account)
        return {client: f"{self.persona}-{n}" for n, client in enumerate(clients, start=1)}


@dataclass(frozen=True)
class Brought:
    """A step of the new recording, for the user."""

    step: str
    client: str
    source: Source


def bring(
    into: Path, who: Who, kind: str, stage: Callable[[Path], Sequence[Staged]]
) -> tuple[Brought, ...]:
    """Make a sealed recording of what ``stage`` reads into the scratch folder it is given.

    Args:
        into: the recording; must not be there yet.
        who: persona and account of the evidence.
        kind: pcap, pihole, mitm or har: for the recording's description.
        stage: reads the sources; what it raises leaves nothing behind.

    Raises:
        BadInput: the recording is there already, or a source cannot be used.
        Unavailable: the disk is full or broken.
    """
    if into.exists() or into.is_symlink():
        raise BadInput("is there already; name another folder", file=shown(str(into)))
    into.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{into.name}.import-", dir=into.parent))
    try:
        staged = sorted(stage(scratch), key=lambda one: one.started)
        if not staged:
            raise BadInput("the sources hold nothing that can be imported")
        brought = _record(scratch / "recording", who, kind, staged)
        _publish(scratch / "recording", into)
        return brought
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(made: Path, into: Path) -> None:
    try:
        made.rename(into)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadInput("appeared meanwhile; name another folder", file=shown(str(into))) from error


def _record(folder: Path, who: Who, kind: str, staged: Sequence[Staged]) -> tuple[Brought, ...]:
    accounts = who.accounts(sorted({one.client for one in staged}))
    steps = _ids(staged, accounts)
    study = {"study": who.persona, "personas": [{"persona": who.persona}], "claims": []}
    values = canonical(study) + b"\n"
    sources = [one.source.to_json() for one in staged]
    with Recording.create(
        folder,
        study_files={"imported.json": values},
        study_hash=hashlib.sha256(values).hexdigest(),
        study=study,
        config={"config": "imported", "imported": {"kind": kind, "sources": sources}},
        plan=_plan(steps, who),
        tools={"echoaudit": __version__},
    ) as recording:
        for step, account, one in steps:
            _write(recording, step, account, who.persona, one)
        recording.seal()
    return tuple(Brought(step, one.client, one.source) for step, _, one in steps)


def _ids(staged: Sequence[Staged], accounts: Mapping[str, str]) -> list[tuple[str, str, Staged]]:
    """Step ids, numbered in the order of time so that none are equal."""
    numbers: dict[str, int] = {}
    steps = []
    for one in staged:
        account = accounts[one.client]
        number = numbers[account] = numbers.get(account, 0) + 1
        label = slug(one.label, one.kind)
        place = f"visits/a{number}-" if one.kind == "visit" else f"sessions/{number:02}-"
        steps.append((f"{account}/{place}{label}", account, one))
    return steps


def _plan(steps: Sequence[tuple[str, str, Staged]], who: Who) -> Mapping[str, Any]:
    tracks: dict[str, list[Mapping[str, Any]]] = {}
    for step, account, one in steps:
        tracks.setdefault(account, []).append(
            {"id": step, "kind": one.kind, **_about_step(account, who.persona, one)}
        )
    return {
        "waves": [
            {
                "name": "imported",
                "kind": "visits" if steps[0][2].kind == "visit" else "sessions",
                "tracks": [{"account": key, "steps": own} for key, own in tracks.items()],
            }
        ]
    }


def _about_step(account: str, persona: str, one: Staged) -> dict[str, Any]:
    places = {key: one.about.get(key) for key in ("skill", "site", "phase", "round")}
    return {"account": account, "persona": persona, **places}


def _write(recording: Recording, step: str, account: str, persona: str, one: Staged) -> None:
    name = "visit.json" if one.kind == "visit" else "session.json"
    with recording.step(step, one.kind, **_about_step(account, persona, one)) as folder:
        for path in sorted(one.folder.iterdir()):
            path.rename(folder / path.name)
        write_json(folder / name, {**one.about, "account": account, "persona": persona})
        write_json(folder / SOURCE, one.source.to_json())
