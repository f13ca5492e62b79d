"""Files on disk: which there are, how long, with which hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from echoaudit.errors import Damaged
from echoaudit.recording import durable
from echoaudit.recording.jsonfile import open_regular, printable
from echoaudit.recording.layout import check_relative

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(BaseModel):
    """What is known of one evidence file."""

    model_config = ConfigDict(frozen=True, strict=True)

    sha256: Sha256
    bytes: int = Field(ge=0)


def entry_of(data: bytes) -> FileEntry:
    """The entry of a file with this content."""
    return FileEntry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def measure(path: Path) -> FileEntry:
    """Hash a file as it is on disk.

    Raises:
        BadInput: missing, unreadable or not a regular file.
    """
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileEntry(sha256=digest.hexdigest(), bytes=file.tell())


def walk(folder: Path, skip: frozenset[str] = frozenset()) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder except the folders themselves, in no meaningful order.

    Symbolic links are yielded, never followed. ``skip`` names entries of ``folder`` to leave out.
    """
    pending = [folder]
    while pending:
        parent = pending.pop()
        with os.scandir(parent) as found:
            entries = list(found)
        for entry in entries:
            if parent == folder and entry.name in skip:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(Path(entry.path))
            else:
                yield entry


def settle(folder: Path) -> dict[str, FileEntry]:
    """Make a step's files private and durable, and hash them; the keys are relative paths.

    Raises:
        Damaged: a file is not regular or its name is unusable.
        Unavailable: the disk is full or broken.
    """
    names = [_name(folder, entry) for entry in walk(folder)]
    _settle_tree(folder)
    return {name: measure(folder / name) for name in sorted(names)}


def settle_remains(folder: Path) -> None:
    """Make what an interrupted step left private and durable.

    Links, pipes and sockets hold no evidence and are removed.
    """
    for entry in list(walk(folder)):
        if not entry.is_file(follow_symlinks=False):
            durable.remove(Path(entry.path))
    _settle_tree(folder)


def _settle_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        durable.settle(path)
    durable.settle(folder)


def _name(folder: Path, entry: os.DirEntry[str]) -> str:
    name = Path(entry.path).relative_to(folder).as_posix()
    if not entry.is_file(follow_symlinks=False):
        raise Damaged(f"{printable(name)}: not a regular file, so it cannot be evidence")
    return check_relative(name)
