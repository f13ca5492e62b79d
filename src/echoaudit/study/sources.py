"""Where a study's files are read from: a disk, or a recording's copy of them."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from echoaudit.errors import BadInput
from echoaudit.study.faults import suggestion
from echoaudit.study.tree import LARGEST_FILE

SUFFIXES = (".yaml", ".yml")


class Source(Protocol):
    """Reads files and remembers none."""

    def read(self, path: Path) -> bytes:
        """The bytes of a file.

        Raises:
            BadInput: when there is no such file, or it cannot be read.
        """

    def exists(self, path: Path) -> bool:
        """Whether ``path`` is a file."""

    def folder(self, path: Path) -> list[Path] | None:
        """The YAML files directly in ``path``, sorted; nothing when it is no folder."""


class Disk:
    """Files of this machine."""

    def read(self, path: Path) -> bytes:
        """The file's first bytes, enough to see that it is too large."""
        if path.exists() and not path.is_file():
            raise BadInput("not a file; allowed: a YAML file", file=path)
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as problem:
            raise BadInput(f"cannot be read: {problem.strerror}", file=path) from None

    def exists(self, path: Path) -> bool:
        """Whether ``path`` is a file."""
        return path.is_file()

    def folder(self, path: Path) -> list[Path] | None:
        """The YAML files directly in ``path``."""
        if not path.is_dir():
            return None
        return sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())


class Recorded:
    """The files that a recording kept; nothing outside them can be reached."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = {os.path.normpath(name): data for name, data in files.items()}

    def read(self, path: Path) -> bytes:
        """The recorded bytes."""
        try:
            return self.files[os.path.normpath(path)]
        except KeyError:
            raise BadInput("not among the recorded study files", file=path) from None

    def exists(self, path: Path) -> bool:
        """Whether the file was recorded."""
        return os.path.normpath(path) in self.files

    def folder(self, path: Path) -> list[Path] | None:
        """The recorded files directly in ``path``."""
        where = os.path.normpath(path)
        files = [Path(name) for name in sorted(self.files)]
        return [f for f in files if str(f.parent) == where and f.suffix in SUFFIXES] or None


def _missing(path: Path) -> BadInput:
    beside = Disk().folder(path.parent) or []
    near = suggestion(path.name, [file.name for file in beside])
    example = beside[0] if beside else "personas/fashion.yaml"
    return BadInput(f"no such file{near}; allowed: a YAML file; example: {example}", file=path)
