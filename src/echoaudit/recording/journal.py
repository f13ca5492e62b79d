"""The journal: one JSON record a line, each with a CRC and the hash of the line before.

A line is ``{"data":…,"event":…,"prev":…,"seq":…,"time":…,"crc":"xxxxxxxx"}`` and a line feed. The
record without ``crc`` is canonical JSON; ``crc`` is the CRC-32 of the line's bytes before
``,"crc"``. ``prev`` is the SHA-256 of the whole line before, line feed included.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echoaudit.errors import BadInput, Damaged, Unavailable
from echoaudit.recording import durable
from echoaudit.recording.jsonfile import MIB, canonical, parse, read_bytes

FIRST = "0" * 64
"""``prev`` of the first record."""
JOURNAL_LIMIT = 512 * MIB
"""Bytes of a journal that is read."""
_KEYS = {"data", "event", "prev", "seq", "time"}
_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}\n')
_TAIL = len(b',"crc":"00000000"}\n')
_PATIENCE = 0.5
"""Seconds to try for the lock: someone may just be asking whether it is held."""


@dataclass(frozen=True)
class JournalRecord:
    """One event. ``time`` is in seconds since 1970 by the recording machine's clock."""

    seq: int
    time: float
    event: str
    data: Mapping[str, Any]
    prev: str
    hash: str
    """SHA-256 of the record's line."""


@dataclass(frozen=True)
class Fault:
    """A line of the journal that is not as it was written."""

    line: int
    what: str


@dataclass(frozen=True)
class JournalText:
    """A journal as read: the whole records, the damaged lines, and a torn last line."""

    records: tuple[JournalRecord, ...]
    faults: tuple[Fault, ...]
    torn: bytes
    """Bytes after the last line feed: a write that was cut short."""
    size: int
    """Bytes before them."""

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self.records[-1].hash if self.records else FIRST


def format_line(seq: int, when: float, event: str, data: Mapping[str, Any], prev: str) -> bytes:
    """The bytes of one record's line."""
    record = {"data": data, "event": event, "prev": prev, "seq": seq, "time": when}
    body = canonical(record)[:-1]
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def parse_line(line: bytes, seq: int, prev: str) -> JournalRecord:
    """The record on a line, which must be number ``seq`` and follow the line hashed ``prev``.

    Raises:
        Damaged: the line is not one that :func:`format_line` gives.
    """
    tail = _CRC.fullmatch(line[-_TAIL:])
    if tail is None:
        raise Damaged("not a journal record")
    body = line[:-_TAIL]
    if int(tail[1], 16) != zlib.crc32(body):
        raise Damaged("the CRC does not match: the line was changed")
    record = _fields(body + b"}")
    if record["seq"] != seq:
        raise Damaged(f"record number {seq} expected, {record['seq']} found")
    if record["prev"] != prev:
        raise Damaged("does not continue the line before: the chain is broken")
    return JournalRecord(**record, hash=hashlib.sha256(line).hexdigest())


def _fields(body: bytes) -> dict[str, Any]:
    try:
        record = parse(body)
        if not isinstance(record, dict) or record.keys() != _KEYS:
            raise Damaged("not a journal record")
        if canonical(record) != body:
            raise Damaged("not canonical JSON")
    except BadInput as error:
        raise Damaged(error.message) from error
    shapes = {"seq": int, "time": float, "event": str, "data": dict, "prev": str}
    if any(type(record[key]) is not shape for key, shape in shapes.items()):
        raise Damaged("a field has the wrong type")
    return record


def read_journal(path: Path) -> JournalText:
    """Read a journal that may be hostile or still growing.

    Raises:
        BadInput: missing, not a regular file or larger than ``JOURNAL_LIMIT``.
    """
    raw = read_bytes(path, JOURNAL_LIMIT)
    size = raw.rfind(b"\n") + 1
    records: list[JournalRecord] = []
    faults: list[Fault] = []
    prev = FIRST
    for number, text in enumerate(raw[:size].split(b"\n")[:-1]):
        line = text + b"\n"
        try:
            records.append(parse_line(line, number, prev))
        except Damaged as error:
            faults.append(Fault(number + 1, str(error)))
        prev = hashlib.sha256(line).hexdigest()
    return JournalText(tuple(records), tuple(faults), raw[size:], size)


def is_locked(path: Path) -> bool:
    """Whether a run holds the journal's lock."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Journal:
    """A journal, opened and locked for appending by one run."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open and lock the journal.

        Raises:
            Unavailable: another run holds it, or it cannot be written.
        """
        self.path = path
        self._broken = False
        self._seq = 0
        self._head = FIRST
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        if create:
            flags |= os.O_CREAT
        try:
            self._descriptor = os.open(path, flags, durable.FILE_MODE)
        except OSError as error:
            raise durable.unwritable(path, error) from error
        try:
            self._lock()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self._locked():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"another run is recording into {self.path.parent}",
                    fix="wait until it ends or stop it",
                )
            time.sleep(0.02)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Whoever held the lock may have moved the file; a lock on it would then protect nothing.
        return self.path.exists() and os.path.samestat(
            os.fstat(self._descriptor), self.path.stat(follow_symlinks=False)
        )

    def moved(self, path: Path) -> None:
        """The journal's folder was renamed."""
        self.path = path

    def clear(self) -> None:
        """Drop what is in the journal."""
        durable.cut(self._descriptor, self.path, 0)

    def continue_from(self, text: JournalText) -> None:
        """Append after the records of ``text``; a torn line behind them is cut."""
        if text.torn:
            durable.cut(self._descriptor, self.path, text.size)
        self._seq, self._head = len(text.records), text.head

    def append(self, event: str, data: Mapping[str, Any]) -> JournalRecord:
        """Write one record and wait until it is on disk.

        Raises:
            Unavailable: the disk is full or broken, now or at an earlier record; the torn line is
                cut when the recording is resumed.
            BadInput: ``data`` is not JSON.
        """
        self.check()
        line = format_line(self._seq, round(time.time(), 6), event, data, self._head)
        # Nothing may follow a line that is perhaps torn.
        self._broken = True
        durable.write_all(self._descriptor, self.path, line)
        self._broken = False
        record = parse_line(line, self._seq, self._head)
        self._seq, self._head = self._seq + 1, record.hash
        return record

    def check(self) -> None:
        """Whether records can be appended.

        Raises:
            Unavailable: something could not be written before; resuming mends it.
        """
        if self._broken:
            raise Unavailable(
                f"{self.path.parent} could not be written before this",
                fix="free disk space if there is none, then run the same command",
            )

    def give_up(self) -> None:
        """Refuse further records: something else of the recording could not be written."""
        self._broken = True

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
