"""Every change that the recording makes on disk, one system call at a time.

Tests :func:`watch` these operations and crash, fail or lose power at each of them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from echoaudit.errors import Unavailable

Watcher = Callable[[str, Path, bytes], None]
"""Called before each operation with its name, its path and, for writes, the bytes."""

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Have ``watcher`` called before each operation of this process; None ends it."""
    global _watcher  # noqa: PLW0603 - one hook for the whole process is the point
    _watcher = watcher


@contextmanager
def _operation(name: str, path: Path, data: bytes = b"") -> Iterator[None]:
    """Announce one operation and turn its OSError into one clear line."""
    try:
        if _watcher is not None:
            _watcher(name, path, data)
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def is_full(error: OSError) -> bool:
    """Whether there is no space left, on the disk or in the user's quota."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def unwritable(path: Path, error: OSError) -> Unavailable:
    """The error that a failed operation on ``path`` ends in."""
    fix = "free disk space" if is_full(error) else "make the folder writable"
    # Not the error's own words: libraries put whole sentences there.
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return Unavailable(f"cannot write {path}: {reason}", fix=f"{fix}, then run the same command")


def write_all(descriptor: int, path: Path, data: bytes) -> None:
    """Write ``data`` to an open file and wait until it is on disk.

    Raises:
        Unavailable: disk full or broken; part of the data may have been written.
    """
    with _operation("write", path, data):
        written = os.write(descriptor, data)
        while written < len(data):
            # Only a full disk or a size limit writes less; the next call names the reason.
            written += os.write(descriptor, data[written:])
    sync(descriptor, path)


def sync(descriptor: int, path: Path) -> None:
    """Wait until an open file or folder is on disk."""
    with _operation("fsync", path):
        os.fsync(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Put a file in place, whole or not at all, readable by its owner only; durable."""
    new = path.with_name(f".{path.name}.new")
    with _operation("create", new):
        descriptor = os.open(new, _NEW | os.O_TRUNC, FILE_MODE)
    try:
        write_all(descriptor, new, data)
    finally:
        os.close(descriptor)
    rename(new, path)
    sync_folder(path.parent)


def rename(source: Path, target: Path) -> None:
    """Rename; the caller syncs both parent folders."""
    with _operation("rename", target):
        source.rename(target)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, readable by the owner only; durable."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with _operation("mkdir", path):
        path.mkdir(FOLDER_MODE, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    with _opened(path, os.O_DIRECTORY) as descriptor:
        sync(descriptor, path)


def settle(path: Path) -> None:
    """Make a file or folder private to its owner and wait until it is on disk."""
    with _opened(path, 0) as descriptor:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        with _operation("chmod", path):
            os.fchmod(descriptor, FOLDER_MODE if folder else FILE_MODE)
        sync(descriptor, path)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def cut(descriptor: int, path: Path, size: int) -> None:
    """Shorten an open file; durable."""
    with _operation("truncate", path):
        os.ftruncate(descriptor, size)
    sync(descriptor, path)


def remove(path: Path) -> None:
    """Remove a file, or nothing when there is none."""
    with _operation("unlink", path):
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    with _operation("rmdir", path):
        path.rmdir()
