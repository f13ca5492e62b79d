"""What is in a recording's folder, and what its journal says should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput, Damaged
from echoaudit.recording import evidence, layout
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.jsonfile import parse, printable, read_bytes
from echoaudit.recording.ledger import Ledger, StudyRecord

FORMAT = 1
"""Version of the recording format; raised when an older reader would misread a recording."""


def known_files(state: Ledger) -> dict[str, FileEntry]:
    """Every file that the journal states, by path relative to the recording."""
    known = dict(studied(state).files)
    for step in state.finished.values():
        known.update({f"{step.step}/{name}": entry for name, entry in step.files.items()})
    return known


def manifest_files(folder: Path) -> dict[str, FileEntry]:
    """Every file but the findings, the journal and the manifest itself, by path.

    Raises:
        Damaged: something is not a regular file.
    """
    found = {}
    for entry in evidence.walk(folder, frozenset({layout.FINDINGS})):
        path = Path(entry.path).relative_to(folder).as_posix()
        if not entry.is_file(follow_symlinks=False):
            raise Damaged(f"{printable(path)}: not a regular file")
        if path not in {layout.JOURNAL, layout.MANIFEST}:
            found[path] = evidence.measure(Path(entry.path))
    return dict(sorted(found.items()))


def read_info(folder: Path) -> dict[str, Any]:
    """``recording.json``, when this version can read the recording.

    Raises:
        BadInput: not a recording, or one of a newer format.
    """
    path = folder / layout.INFO
    if not path.is_file() or path.is_symlink():
        raise BadInput(f"not a recording: it has no {layout.INFO}", file=printable(folder))
    info = parse(read_bytes(path), file=path)
    version = info.get("format") if isinstance(info, dict) else None
    if type(version) is not int or version < 1:
        raise BadInput("not a recording's description: no format number", file=printable(path))
    if version > FORMAT:
        raise BadInput(
            f"recorded in format {version}, this version reads up to {FORMAT}; update echoaudit",
            file=printable(folder),
        )
    return dict(info)


def core_files(folder: Path, state: Ledger) -> dict[str, bytes]:
    """The recording's own JSON files, when they are what the first record states.

    Raises:
        Damaged: one is missing or changed.
    """
    contents = {}
    for path in (layout.INFO, layout.PLAN, layout.STUDY_VALUES):
        contents[path] = read_bytes(folder / path)
        if studied(state).files.get(path) != evidence.entry_of(contents[path]):
            raise Damaged(f"{printable(folder / path)}: changed since the recording began")
    return contents


def studied(state: Ledger) -> StudyRecord:
    """The journal's first record.

    Raises:
        Damaged: there is none.
    """
    if state.study is None:
        raise Damaged(f"{layout.JOURNAL} has no record of the study")
    return state.study
