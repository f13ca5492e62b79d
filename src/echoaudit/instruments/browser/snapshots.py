"""Snapshots of a browser profile: told apart by their content, restored only when whole.

A snapshot is what a site can know a persona by: cookies, storage, preferences, history. Caches,
locks and the browser's own logs are left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from echoaudit.errors import Damaged
from echoaudit.recording import durable

CACHES = frozenset({
    "BrowserMetrics", "Cache", "Code Cache", "Crash Reports", "Crashpad", "DawnGraphiteCache",
    "DawnWebGPUCache", "GPUCache", "GPUPersistentCache", "GrShaderCache", "GraphiteDawnCache",
    "ShaderCache", "component_crx_cache", "extensions_crx_cache",
})  # fmt: skip
"""Folders that a browser fills again by itself."""
UNKEPT = frozenset({"DevToolsActivePort", "LOCK", "LOG", "LOG.old", "lockfile"})
"""Files that say nothing of the persona."""
USED = "used"
"""Beside the snapshots: changed whenever a person has had the profile's browser."""
DATABASES = ("Default/Cookies", "Default/Network/Cookies")
TEXTS = ("Default/Preferences", "Local State")
LEVEL = 3


def files(profile: Path) -> Iterator[tuple[str, Path]]:
    """What of a profile counts: regular files by their relative path, in order."""
    found = []
    for folder, folders, names in os.walk(profile):
        folders[:] = [name for name in folders if name not in CACHES]
        for name in names:
            path = Path(folder) / name
            if name not in UNKEPT and path.is_file() and not path.is_symlink():
                found.append((path.relative_to(profile).as_posix(), path))
    yield from sorted(found)


def digest(profile: Path) -> str | None:
    """SHA-256 over names and contents of a closed profile; None when there is no profile yet."""
    if not profile.is_dir():
        return None
    whole = hashlib.sha256()
    for name, path in files(profile):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{content} {json.dumps(name)}\n".encode())
    return whole.hexdigest()


def damage(profile: Path) -> str | None:
    """What of a closed profile the browser could not read, and would silently begin anew."""
    for name in TEXTS:
        path = profile / name
        if path.is_file():
            try:
                json.loads(path.read_bytes())
            except ValueError:
                return f"{name} is no JSON"
    for name in DATABASES:
        fault = _database_fault(profile / name)
        if fault is not None:
            return f"{name}: {fault}"
    return None


def _database_fault(path: Path) -> str | None:
    """Of a copy, in which SQLite may roll back what a killed browser left half done."""
    if not path.is_file():
        return None
    with tempfile.TemporaryDirectory(prefix="echoaudit-") as folder:
        for suffix in ("", "-journal", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.is_file():
                shutil.copyfile(source, Path(folder) / source.name)
        try:
            with closing(sqlite3.connect(Path(folder) / path.name)) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return str(error)
    return None if said == "ok" else str(said)


class Snapshots:
    """Snapshots of accounts' profiles, one archive for each content.

    They hold what signs an account in: folders 0700, files 0600, never a part of a recording.
    """

    def __init__(self, profiles: Path) -> None:
        """``profiles`` is the folder of the accounts' profiles."""
        self._profiles = profiles
        self._folder = profiles / ".snapshots"

    def keep(self, account: str) -> str | None:
        """Snapshot an account's closed profile; its hash, or None when there is no profile.

        Raises:
            Unavailable: the disk is full or broken.
        """
        profile = self._profiles / account
        found = digest(profile)
        if found is not None and not self._archive(account, found).exists():
            place = self._archive(account, found)
            durable.make_folder(place.parent)
            durable.write_file(place, _packed(profile))
        return found

    def kept(self, account: str) -> frozenset[str]:
        """Hashes of the snapshots that there are of an account."""
        archives = (self._folder / account).glob("*.tar.zst")
        return frozenset(path.name.removesuffix(".tar.zst") for path in archives)

    def note_use(self, account: str) -> None:
        """Note that a person uses the account's profile outside a run.

        Raises:
            Unavailable: the disk is full or broken.
        """
        durable.make_folder(self._folder / account)
        durable.write_file(self._folder / account / USED, b"")

    def used_since(self, account: str, when: float, snapshot: str | None) -> bool:
        """Whether a person or another run has used the profile since a ``snapshot`` was kept.

        ``when`` is in seconds since 1970. A run that ends drops the snapshots of others.
        """
        mark = self._folder / account / USED
        if mark.is_file() and mark.stat().st_mtime > when:
            return True
        return snapshot is not None and not self._archive(account, snapshot).exists()

    def drop_others(self, account: str, wanted: Collection[str]) -> None:
        """Remove the account's snapshots but those wanted."""
        for found in self.kept(account) - set(wanted):
            durable.remove(self._archive(account, found))

    def restore(self, account: str, snapshot: str) -> None:
        """Put a snapshot in the place of the account's closed profile.

        What was there is kept as ``.snapshots/ACCOUNT/replaced`` until the next time.

        Raises:
            Damaged: there is no such snapshot, or it is not what its hash says.
        """
        archive, profile = self._archive(account, snapshot), self._profiles / account
        new, old = archive.parent / "restoring", archive.parent / "replaced"
        if not archive.is_file():
            raise Damaged(f"{archive}: there is no such snapshot")
        shutil.rmtree(new, ignore_errors=True)
        durable.make_folder(new)
        _unpack(archive, new)
        if digest(new) != snapshot:
            raise Damaged(f"{archive}: the snapshot is not what its name says")
        shutil.rmtree(old, ignore_errors=True)
        if profile.exists():
            durable.rename(profile, old)
        durable.rename(new, profile)
        durable.sync_folder(self._profiles)

    def _archive(self, account: str, snapshot: str) -> Path:
        return self._folder / account / f"{snapshot}.tar.zst"


def _packed(profile: Path) -> bytes:
    """A tar of a profile, compressed; equal contents are equal bytes."""
    import zstandard

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files(profile):
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return zstandard.ZstdCompressor(level=LEVEL).compress(packed.getvalue())


def _unpack(archive: Path, into: Path) -> None:
    import zstandard

    try:
        with (
            archive.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            tar.extractall(into, filter="data")
    except (zstandard.ZstdError, tarfile.TarError) as error:
        raise Damaged(f"{archive}: cannot be unpacked: {error}") from error
    for folder, _, _ in os.walk(into):
        Path(folder).chmod(0o700)
