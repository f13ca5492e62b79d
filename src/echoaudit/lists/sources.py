"""Where a list comes from: a file, an address, an npm package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from echoaudit.errors import BadInput
from echoaudit.lists import npm
from echoaudit.lists.download import download, is_url, shown
from echoaudit.lists.packed import LIMIT, Package, unpacked


@dataclass(frozen=True)
class Fetched:
    """A list as it came."""

    source: str
    """To be fetched again: a path without dots and links, an address, ``npm:NAME``."""
    label: str
    """How messages call it."""
    stem: str
    """What a name can be made of."""
    raw: bytes
    version: str | None = None
    licence: str | None = None


def fetch(source: str, authority: Path | None = None) -> Fetched:
    """Read or download a list.

    Raises:
        BadInput: the source is none, or larger than allowed.
        Unavailable: it cannot be reached, or there is no npm.
    """
    if is_url(source):
        parts = urlsplit(source)
        stem = Path(parts.path).stem or parts.hostname or ""
        return _opened(source, shown(source), stem, download(source, authority))
    if source.startswith(npm.PREFIX):
        return _opened(source, source, npm.spec(source)[0].rpartition("/")[2], npm.pack(source))
    path = Path(source)
    return _opened(str(path.resolve()), source, path.stem, _bytes(path))


def _opened(source: str, label: str, stem: str, raw: bytes) -> Fetched:
    found = unpacked(raw, label)
    if isinstance(found, Package):
        name = found.name.rpartition("/")[2]
        where = f"{label}: {found.file}"
        return Fetched(source, where, name, found.content, found.version, found.licence)
    return Fetched(source, label, stem, found)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise BadInput("there is no such file", file=path)
    with path.open("rb") as file:
        raw = file.read(LIMIT + 1)
    if len(raw) > LIMIT:
        raise BadInput(f"larger than the {LIMIT} bytes allowed", file=path)
    return raw
