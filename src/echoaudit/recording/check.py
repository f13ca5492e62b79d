"""Verify: is the evidence on disk what the journal says was recorded?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from echoaudit.errors import BadInput, Damaged, EchoauditError
from echoaudit.recording import evidence, formats, layout
from echoaudit.recording.contents import known_files, read_info
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.journal import JOURNAL_LIMIT, JournalText, read_journal
from echoaudit.recording.jsonfile import open_regular, parse, printable, read_bytes
from echoaudit.recording.ledger import Ledger

Level = Literal["fast", "complete", "full"]


@dataclass(frozen=True, order=True)
class Problem:
    """Something in a recording that is not as it was recorded."""

    path: str
    """Relative to the recording, safe to show on a terminal."""
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class _Listed(FileEntry):
    path: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    files: list[_Listed]
    journal: FileEntry


def verify(folder: Path, level: Level = "complete") -> list[Problem]:
    """Check a recording; an empty list means that nothing was found.

    - ``fast``: the journal's CRCs, chain and sense; hashes of the recording's own files and of
      the manifest; every evidence file is there with its length.
    - ``complete``: every file's hash, and no file that was not recorded.
    - ``full``: every evidence file parses as what its name says.

    Hostile recordings give problems, never another exception.
    """
    try:
        read_info(folder)
        text = read_journal(folder / layout.JOURNAL)
        problems = list(_journal(text))
        state = _state(text, problems)
        if state.study is not None:
            problems += _Files(folder, state).check(level)
    except (EchoauditError, OSError) as error:
        return [_problem(".", error)]
    return sorted(set(problems))


def _journal(text: JournalText) -> Iterator[Problem]:
    for fault in text.faults:
        yield Problem(layout.JOURNAL, f"line {fault.line}: {fault.what}")
    if text.torn:
        yield Problem(layout.JOURNAL, f"ends in {len(text.torn)} bytes that are no whole line")
    if not text.records:
        yield Problem(layout.JOURNAL, "has no whole record")


def _state(text: JournalText, problems: list[Problem]) -> Ledger:
    state = Ledger()
    for record in text.records:
        try:
            state.apply(record)
        except Damaged as error:
            problems.append(_problem(layout.JOURNAL, error))
    return state


class _Files:
    """The files of a recording against what its journal and its manifest state."""

    def __init__(self, folder: Path, state: Ledger) -> None:
        self.folder = folder
        self.state = state
        self.known = known_files(state)

    def check(self, level: Level) -> Iterator[Problem]:
        listed = dict(self.known)
        if self.state.sealed is not None:
            try:
                listed = _read_manifest(self.folder, self.state.sealed.manifest)
            except EchoauditError as error:
                yield _problem(layout.MANIFEST, error)
        for path in sorted(self.known):
            if listed.get(path) != self.known[path]:
                yield Problem(_shown(path), "the manifest and the journal differ about it")
        for path, entry in sorted({**listed, **self.known}.items()):
            hashed = level != "fast" or "/" not in path
            yield from self._file(path, entry, hashed=hashed, parsed=level == "full")
        if level != "fast":
            yield from self._unexpected(frozenset(listed))

    def _file(
        self, path: str, entry: FileEntry, *, hashed: bool, parsed: bool
    ) -> Iterator[Problem]:
        try:
            place = layout.inside(self.folder, path)
            with open_regular(place) as file:
                size = file.seek(0, 2)
            if size != entry.bytes:
                yield Problem(_shown(path), f"{size} bytes long, {entry.bytes} were recorded")
            elif hashed and evidence.measure(place) != entry:
                yield Problem(_shown(path), "the content was changed: its hash differs")
            if parsed and path in self.known and not path.startswith(f"{layout.STUDY}/"):
                formats.check(place)
        except BadInput as error:
            yield Problem(_shown(path), error.message)

    def _unexpected(self, listed: frozenset[str]) -> Iterator[Problem]:
        skip = {layout.FINDINGS}
        own = {layout.JOURNAL, layout.MANIFEST}
        if self.state.sealed is None:
            skip |= {layout.STAGING, layout.INTERRUPTED}
        for entry in evidence.walk(self.folder, frozenset(skip)):
            path = Path(entry.path).relative_to(self.folder).as_posix()
            if path not in listed and path not in own:
                yield Problem(_shown(path), "was not recorded: a file too many")


def _read_manifest(folder: Path, sealed: FileEntry) -> dict[str, FileEntry]:
    raw = read_bytes(folder / layout.MANIFEST)
    if evidence.entry_of(raw) != sealed:
        raise Damaged("not the manifest that the journal was sealed with")
    try:
        manifest = _Manifest.model_validate(parse(raw))
    except ValidationError as error:
        raise Damaged(f"not a manifest: {error.errors()[0]['msg']}") from error
    journal = read_bytes(folder / layout.JOURNAL, JOURNAL_LIMIT)[: manifest.journal.bytes]
    if evidence.entry_of(journal) != manifest.journal:
        raise Damaged("the journal's beginning is not what the manifest states")
    return {f.path: FileEntry(sha256=f.sha256, bytes=f.bytes) for f in manifest.files}


def _shown(path: str) -> str:
    return printable(path) or "."


def _problem(path: str, error: Exception) -> Problem:
    message = error.message if isinstance(error, BadInput) else str(error)
    return Problem(path, message.splitlines()[0])
