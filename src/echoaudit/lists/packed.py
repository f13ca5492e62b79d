"""Compressed files and npm packages, unpacked in memory and within limits."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from echoaudit.errors import BadInput

LIMIT = 256 << 20
"""Bytes of a list, a database or an unpacked package."""
MEMBERS = 100_000
"""Files in a package."""
CONTENTS = ("dist/entities-nostats.json", "dist/entities.json", "dist/trackerdb.json")
"""Files of packages that know organisations (third-party-web, trackerdb); the first one is read."""
_GZIP = b"\x1f\x8b"
_TAR = (257, b"ustar")


@dataclass(frozen=True)
class Package:
    """What a package holds for us."""

    name: str
    version: str
    licence: str | None
    file: str
    content: bytes


class _Manifest(BaseModel):
    name: str
    version: str
    license: str | None = None


def unzipped(raw: bytes, name: str) -> bytes:
    """A gzip file's content.

    Raises:
        BadInput: damaged, or larger than ``LIMIT`` when unpacked.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"not whole gzip data: {error}", file=name) from error
    if len(content) > LIMIT:
        raise BadInput(f"larger than the {LIMIT} bytes allowed when unpacked", file=name)
    return content


def unpacked(raw: bytes, name: str) -> bytes | Package:
    """A source without its gzip, or the package that it is.

    Raises:
        BadInput: damaged, too large, or a package without a file that is understood.
    """
    content = unzipped(raw, name) if raw.startswith(_GZIP) else raw
    start, magic = _TAR
    return package(content, name) if content[start : start + len(magic)] == magic else content


def package(tar: bytes, name: str) -> Package:
    """What ``npm pack`` made, read without writing any of it to disk.

    Raises:
        BadInput: damaged, or without ``package.json`` or any of ``CONTENTS``.
    """
    found = _members(tar, name)
    file = next((one for one in CONTENTS if one in found), None)
    if file is None or "package.json" not in found:
        raise BadInput(
            f"no package that is understood; allowed: one with {' or '.join(CONTENTS)}", file=name
        )
    try:
        manifest = _Manifest.model_validate_json(found["package.json"])
    except ValidationError as error:
        message = f"package.json is unusable: {error.errors()[0]['msg']}"
        raise BadInput(message, file=name) from error
    return Package(manifest.name, manifest.version, manifest.license, file, found[file])


def _members(tar: bytes, name: str) -> dict[str, bytes]:
    """The wanted files by their path below the package's own folder."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for number, member in enumerate(archive):
                path = member.name.partition("/")[2]
                if number >= MEMBERS:
                    raise BadInput(f"has more than the {MEMBERS} files allowed", file=name)
                if path not in ("package.json", *CONTENTS) or path in found:
                    continue
                # A sparse file claims more bytes than are there; links lead elsewhere.
                if not member.isfile() or member.issparse() or member.size > len(tar):
                    raise BadInput(f"{path} is no plain file", file=name)
                content = archive.extractfile(member)
                found[path] = content.read() if content else b""
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise BadInput(f"not a whole package: {error}", file=name) from error
    return found
