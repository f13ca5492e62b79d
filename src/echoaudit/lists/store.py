"""Where installed lists are: texts by their SHA-256, and an index of names."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from echoaudit.errors import BadInput, Damaged, Unavailable
from echoaudit.lists.matching import matcher
from echoaudit.lists.reading import LIMIT, Format, count, read

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
        self, source: Path, name: str | None = None, form: Format | None = None
    ) -> Installed:
        """Install a list, or replace the one of the same name; older texts stay for old findings.

        Raises:
            BadInput: the source is no list, or the name is unusable.
            Unavailable: what reads lists of its format is not installed.
        """
        name = name or _UNSAFE.sub("-", source.stem.lower()).strip("-.")[:40]
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"found {name!r}; allowed: lower-case letters, digits, '.', '_', '-', at most 40; "
                "example: --name easylist",
                file="--name",
            )
        form, text = read(_bytes(source), str(source), form)
        matcher(form, text)
        content = text.encode()
        entry = _Entry(
            name=name,
            format=form,
            sha256=hashlib.sha256(content).hexdigest(),
            rules=count(form, text),
            source=str(source.resolve()),
        )
        self._write(self.folder / entry.sha256, content)
        others = [one for one in self._index() if one.name != name]
        kept = sorted([*others, entry], key=lambda one: one.name)
        index = json.dumps([one.model_dump() for one in kept], indent=1)
        self._write(self.folder / "index.json", index.encode())
        return Installed(**entry.model_dump())

    def remove(self, name: str) -> None:
        """Use a list no longer; its text stays for old findings.

        Raises:
            BadInput: there is no such list.
        """
        entries = self._index()
        kept = [one.model_dump() for one in entries if one.name != name]
        if len(kept) == len(entries):
            names = ", ".join(one.name for one in entries) or "none"
            raise BadInput(f"found {name!r}; installed: {names}", file="--name")
        self._write(self.folder / "index.json", json.dumps(kept, indent=1).encode())

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
                fix=f"echoaudit lists update FILE --name {wanted.name}, with that very file",
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

    def _write(self, path: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)


def _bytes(source: Path) -> bytes:
    if not source.is_file():
        raise BadInput("there is no such file", file=source)
    with source.open("rb") as file:
        raw = file.read(LIMIT + 1)
    if len(raw) > LIMIT:
        raise BadInput(f"larger than the {LIMIT} bytes allowed", file=source)
    return raw
