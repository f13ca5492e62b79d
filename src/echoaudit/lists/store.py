"""Where installed lists are: texts by their SHA-256, and an index of names."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from echoaudit.errors import BadInput, Damaged, Unavailable
from echoaudit.lists.matching import matcher
from echoaudit.lists.reading import Format, count, read, told
from echoaudit.lists.sources import fetch

OWN = "echoaudit"
"""What findings call the list that comes with echoaudit."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_UNSAFE = re.compile(r"[^a-z0-9._-]+")


class Installed(BaseModel):
    """An installed list: what findings say of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")
    format: Format
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the text that is kept and used."""
    rules: int = Field(ge=0)
    version: str | None = None
    """As the package or the list's first lines say."""
    licence: str | None = None


class _Entry(Installed):
    source: str
    """Where it was read from, to be read again."""


_INDEX = TypeAdapter(list[_Entry])


def default_folder() -> Path:
    """``$ECHOAUDIT_LISTS``, or ``echoaudit/lists`` among the user's data."""
    named = os.environ.get("ECHOAUDIT_LISTS")
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data else Path.home() / ".local" / "share"
    return Path(named) if named else base / "echoaudit" / "lists"


@dataclass(frozen=True)
class Store:
    """The user's lists."""

    folder: Path

    @classmethod
    def default(cls) -> Store:
        """The store that every command uses."""
        return cls(default_folder())

    def installed(self) -> tuple[Installed, ...]:
        """The lists in use, by name."""
        return tuple(Installed(**entry.model_dump()) for entry in self._index())

    def sources(self) -> dict[str, str]:
        """Where each list was read from."""
        return {entry.name: entry.source for entry in self._index()}

    def update(
        self,
        source: str,
        name: str | None = None,
        form: Format | None = None,
        authority: Path | None = None,
    ) -> Installed:
        """Install a list, or replace the one of the same name; older texts stay for old findings.

        Nothing is written before the list is here, whole and understood.

        Args:
            source: a file, an http(s) address or ``npm:NAME[@VERSION]``.
            name: what findings call it; by default made of the source.
            form: its format, when a look at it does not tell.
            authority: certificates that are trusted besides the system's.

        Raises:
            BadInput: the source is no list, or the name is unusable.
            Unavailable: it cannot be reached, or what reads it is not installed.
        """
        if name is not None:
            _checked(name)
        fetched = fetch(source, authority)
        name = _checked(name or _UNSAFE.sub("-", fetched.stem.lower()).strip("-._")[:40])
        form, text = read(fetched.raw, fetched.label, form)
        matcher(form, text)
        version, licence = told(text)
        content = text.encode()
        entry = _Entry(
            name=name,
            format=form,
            sha256=hashlib.sha256(content).hexdigest(),
            rules=count(form, text),
            version=fetched.version or version,
            licence=fetched.licence or licence,
            source=fetched.source,
        )
        with self._alone():
            self._write(self.folder / entry.sha256, content)
            self._keep([*(one for one in self._index() if one.name != name), entry])
        return Installed(**entry.model_dump())

    def remove(self, name: str) -> None:
        """Use a list no longer; its text stays for old findings.

        Raises:
            BadInput: there is no such list.
        """
        with self._alone():
            entries = self._index()
            kept = [one for one in entries if one.name != name]
            if len(kept) == len(entries):
                names = ", ".join(one.name for one in entries) or "none"
                raise BadInput(f"found {name!r}; installed: {names}", file="--name")
            self._keep(kept)

    def text(self, wanted: Installed) -> str:
        """The text of a list by its hash, installed now or earlier.

        Raises:
            Unavailable: it was never installed here.
            Damaged: it is not what it was.
        """
        path = self.folder / wanted.sha256
        if not path.is_file():
            raise Unavailable(
                f"the list {wanted.name} (SHA-256 {wanted.sha256}) is not installed",
                fix=f"echoaudit lists update SOURCE --name {wanted.name}, with that very text"
                + (f" (version {wanted.version})" if wanted.version else ""),
            )
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != wanted.sha256:
            raise Damaged(f"{path}: changed since it was installed; remove it and install it anew")
        return content.decode()

    def _index(self) -> list[_Entry]:
        path = self.folder / "index.json"
        if not path.is_file():
            return []
        try:
            return _INDEX.validate_json(path.read_bytes())
        except ValidationError as error:
            message = f"not an index of lists: {error.errors()[0]['msg']}; remove it"
            raise BadInput(message, file=path) from error

    def _keep(self, entries: list[_Entry]) -> None:
        index = [one.model_dump() for one in sorted(entries, key=lambda one: one.name)]
        self._write(self.folder / "index.json", json.dumps(index, indent=1).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two updates at once must not lose each other's entry."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, path: Path, content: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name == OWN:
        raise BadInput(
            f"found {name!r}; allowed: lower-case letters, digits, '.', '_', '-', at most 40, not "
            f"{OWN!r}; example: --name easylist",
            file="--name",
        )
    return name
