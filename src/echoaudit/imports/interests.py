"""Answers to data requests as further evidence of a recording: files of advertising interests.

The platform answers days or weeks after a run, so this is the one import that adds to a recording
that is there already, also to a sealed one. Of an export only the files that list interests or
advertisers are kept, byte for byte: the rest of it tells of orders, addresses and recordings.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from echoaudit.errors import BadInput
from echoaudit.imports.source import Source, copy, shown
from echoaudit.imports.staging import SOURCE
from echoaudit.outcomes.data_requests import KIND
from echoaudit.outcomes.interest_files import INTERESTS, Contents, read
from echoaudit.recording import Recording, write_json
from echoaudit.recording.jsonfile import FILE_LIMIT
from echoaudit.recording.steps import owner

ADVERTISING = re.compile(
    r"(^|/)(advertising\.(amazonaudiences|3paudiences|advertiseraudiences|advertiserclicks)"
    r"|[^/]*interests?)\.(csv|json)$",
    re.IGNORECASE,
)
"""Members of an archive that list interests or advertisers, by their names."""
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, OSError,
          RuntimeError, ValueError)  # fmt: skip
"""What reading a damaged archive can raise, by the ways of packing that zipfile knows."""
MOST_MEMBERS = 100_000
MOST_FILES = 99
Phase = Literal["before", "after"]


@dataclass(frozen=True)
class Request:
    """Whose data request it was and when."""

    account: str
    phase: Phase
    requested: float
    """When the platform was asked, in seconds since 1970."""


@dataclass(frozen=True)
class Found:
    """One file of a data request."""

    name: str
    """As the platform gave it, with its folder in the archive."""
    data: bytes
    contents: Contents


@dataclass(frozen=True)
class Added:
    """The step that a data request became."""

    step: str
    sources: tuple[Source, ...]
    files: tuple[Found, ...]

    @property
    def interests(self) -> int:
        """Different interests in its files."""
        return len({e.interest for f in self.files for e in f.contents.entries
                    if e.list in INTERESTS})  # fmt: skip


def add(into: Path, request: Request, files: Sequence[Path], *, none_sent: bool = False) -> Added:
    """Add a data request's files to a recording; once, however often the same is asked for.

    Args:
        into: the recording.
        request: whose and when.
        files: CSV or JSON files, or archives (zip) that hold them.
        none_sent: the platform's answer had no file of interests, which is recorded as that.

    Raises:
        BadInput: a file cannot be used, or account or time do not fit the recording.
        Damaged: the recording is not as it was written.
        Unavailable: a run holds the recording, or the disk is full or broken.
    """
    with tempfile.TemporaryDirectory(prefix="echoaudit-") as scratch:
        sources, found = files_of(files, Path(scratch))
    told = any(not f.contents.lists.isdisjoint(INTERESTS) for f in found)
    if told == none_sent:
        raise BadInput(
            "a file of interests is there; allowed without --none-sent"
            if told
            else "no file of interests is in it; allowed: "
            "Advertising.AmazonAudiences.csv, Advertising.3PAudiences.csv or NAME-interests.csv, "
            "or --none-sent when the platform sent none",
            file=shown(", ".join(map(str, files))),
        )
    there = Recording.open(into)
    _check(there, request)
    step = _same(there, request, found)
    if step is not None and there.sealed == there.was_sealed:
        return Added(step, sources, found)
    with Recording.amend(into, f"data request of {request.account}") as recording:
        if step is None:
            step = _step(recording, request)
            _write(recording, step, request, sources, found)
        if recording.was_sealed:
            recording.seal()
    return Added(step, sources, found)


def files_of(files: Sequence[Path], scratch: Path) -> tuple[tuple[Source, ...], tuple[Found, ...]]:
    """What was given, and the files in it that matter; copies are made in ``scratch``.

    Raises:
        BadInput: a file cannot be used.
    """
    sources, found = [], []
    for number, path in enumerate(files):
        given = scratch / str(number)
        digest, size = copy(path, given)
        packed = zipfile.is_zipfile(given)
        own = list(_members(given, path)) if packed else [_one(path, given)]
        found += own
        entries = sum(len(one.contents.entries) for one in own)
        form = "zip" if packed else path.suffix.lstrip(".").lower()
        sources.append(Source(shown(path.name), form, digest, size, entries))
    if len(found) > MOST_FILES:
        raise BadInput(f"{len(found)} files of interests; allowed: at most {MOST_FILES}")
    return tuple(sources), tuple(found)


def _one(path: Path, given: Path) -> Found:
    if path.suffix.lower() not in (".csv", ".json"):
        raise BadInput(
            "is neither CSV, JSON nor a zip archive; allowed: the files of a data request; "
            "example: Advertising.AmazonAudiences.csv",
            file=shown(str(path)),
        )
    if given.stat().st_size > FILE_LIMIT:
        raise BadInput(f"is larger than {FILE_LIMIT} bytes", file=shown(str(path)))
    data = given.read_bytes()
    return Found(shown(path.name), data, read(data, shown(str(path))))


def _members(given: Path, path: Path) -> Iterator[Found]:
    """The files of an archive that matter; their paths are names, nothing is unpacked."""
    try:
        with zipfile.ZipFile(given) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise BadInput(f"has more than {MOST_MEMBERS:,} files", file=shown(str(path)))
            for member in sorted(members, key=lambda one: one.filename):
                if ADVERTISING.search(member.filename):
                    place = f"{shown(str(path))}: {shown(member.filename)}"
                    data = _unpacked(archive, member, place)
                    yield Found(shown(member.filename), data, read(data, place))
    except DAMAGE as error:
        raise BadInput("is damaged, or packed as nobody packs", file=shown(str(path))) from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str) -> bytes:
    if member.flag_bits & 1:
        raise BadInput("is encrypted", file=place)
    with archive.open(member) as file:
        data = file.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise BadInput(f"is larger than {FILE_LIMIT} bytes", file=place)
    return data


def _check(recording: Recording, request: Request) -> None:
    """Whether the account took part, and was asked about on the side of its treatment that is said.

    Raises:
        BadInput: it did not, or was not.
    """
    accounts = sorted({owner(step)[0] for step in recording.planned})
    if request.account not in accounts:
        raise BadInput(
            f"{shown(request.account)!r} took no part; allowed: {', '.join(accounts)}",
            file="--account",
        )
    begun = min(_treatments(recording, request.account), default=None)
    if begun is None:
        return
    if (request.requested < begun) != (request.phase == "before"):
        first = datetime.fromtimestamp(begun, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = "a time before that" if request.phase == "before" else "a later time"
        raise BadInput(
            f"found a time on the wrong side of the first treatment of {request.account}, {first}; "
            f"allowed with --phase {request.phase}: {wanted}",
            file="--requested",
        )


def _treatments(recording: Recording, account: str) -> Iterator[float]:
    """When the account's sessions with skills, or its visits to a topic, began."""
    for event in recording.events():
        about = event.data.get("data") if event.event == "step-started" else None
        if about is None or owner(str(event.data.get("step")))[0] != account:
            continue
        if event.data.get("kind") == "session" or about.get("phase") == "topic":
            yield event.time


def _same(recording: Recording, request: Request, found: Sequence[Found]) -> str | None:
    """The step that the same files of the same request are in already."""
    digests = sorted(hashlib.sha256(one.data).hexdigest() for one in found)
    for step in recording.steps(KIND):
        about = step.json("request.json")
        same = (step.account, about["phase"], about["requested"]) == (
            request.account, request.phase, request.requested,
        )  # fmt: skip
        if same and sorted(one["sha256"] for one in about["files"]) == digests:
            return step.id
    return None


def _step(recording: Recording, request: Request) -> str:
    """An id that is not taken: an account can ask more than once."""
    base = f"{request.account}/data-requests/{request.phase}"
    number = 1
    while f"{base}-{number}" in recording.finished:
        number += 1
    return f"{base}-{number}"


def _write(
    recording: Recording,
    step: str,
    request: Request,
    sources: Sequence[Source],
    found: Sequence[Found],
) -> None:
    account, persona = owner(step)
    about = {"account": account, "persona": persona, "phase": request.phase}
    with recording.step(step, KIND, **about) as folder:
        files = []
        for number, one in enumerate(found, start=1):
            kept = f"interests-{number:02}{PurePosixPath(one.name).suffix.lower()}"
            (folder / kept).write_bytes(one.data)
            digest = hashlib.sha256(one.data).hexdigest()
            files.append({"file": kept, "name": one.name, "sha256": digest})
        write_json(folder / "request.json", {**about, "requested": request.requested,
                                             "files": files})  # fmt: skip
        write_json(folder / SOURCE, [source.to_json() for source in sources])
