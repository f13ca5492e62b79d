"""Capture files to packet records: pcap and pcapng, plain, gzip or zstd, as a stream.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Everything read is hostile: lengths
are checked before use, memory stays flat, and what is damaged ends the stream with a note.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from struct import Struct
from typing import IO, BinaryIO, NamedTuple, Protocol, cast

from echoaudit.errors import BadInput
from echoaudit.outcomes.traffic.notes import Notes
from echoaudit.outcomes.traffic.quick import Quick

Record = tuple[bytes, int, int, int, float, int]
"""Buffer, offset of the packet in it, captured bytes, original bytes, seconds since 1970, link."""

ETHERNET = 1
CHUNK = 1 << 18
LARGEST_PACKET = 1 << 18
"""Bytes; the limit that libpcap and Wireshark put on one packet."""
LARGEST_BLOCK = LARGEST_PACKET + (1 << 16)
MOST_INTERFACES = 1 << 12
_clock = Struct("=Qd").pack

_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 1e6, 16),
    b"\xd4\xc3\xb2\xa1": ("<", 1e6, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1e9, 16),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9, 16),
    b"\xa1\xb2\xcd\x34": (">", 1e6, 24),
    b"\x34\xcd\xb2\xa1": ("<", 1e6, 24),
}
"""Magic number to byte order, ticks per second, length of a record's header."""
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _STATISTICS, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 5, 6
_BODY = {_SECTION: 16, _INTERFACE: 8, _OLD_PACKET: 20, _SIMPLE: 4, _STATISTICS: 12, _ENHANCED: 20}
"""Smallest body of the block types that are used, in bytes."""

_OTHER_FORMATS = {
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"snoop\x00": "snoop",
    b"\x54\x52\x53\x4e": "NetXRay",
    b"GMBU": "NetMon",
}


class Reads(Protocol):
    """Anything with ``read``: a file, a pipe, a decompressor."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        ...


class Interface(NamedTuple):
    """What an interface block says of its packets; a time is ``ticks / per_second + offset``."""

    link: int
    snaplen: int
    per_second: int
    offset: int


def records(
    source: BinaryIO, notes: Notes, name: str = "capture", quick: Quick | None = None
) -> Iterator[Record]:
    """The packets of an open capture, in file order, without those that ``quick`` takes.

    The buffer of a record is valid for as long as the caller keeps it. Raises ``BadInput`` when
    the beginning is no capture; damage further on ends the stream and is counted in ``notes``.
    """
    window = Window(_plain(source, notes, name), notes)
    magic = window.peek(4)
    if not magic:
        notes.unread["empty file"] += 1
        return iter(())
    if magic == _PCAPNG:
        return _pcapng(window, notes, quick)
    if magic in _PCAP:
        return _pcap(window, notes, quick, *_PCAP[magic])
    raise BadInput(f"not a pcap or pcapng file{_looks_like(magic)}", file=name)


class Window:
    """A sliding buffer over a stream; never holds much more than one block and two chunks.

    Chunks are not copied together: what lies over the end of one is put together for itself.
    """

    def __init__(self, source: Reads, notes: Notes) -> None:
        self._source = source
        self._notes = notes
        self.buffer = b""
        self.at = 0
        self._chunk = b""
        self._used = 0
        """How much of the chunk was put into the buffer."""

    def need(self, count: int) -> bool:
        """Make ``count`` bytes available from ``at``; False when the stream ends before."""
        if self.at == len(self.buffer):
            self.buffer, self.at = self._chunk, self._used
            self._chunk, self._used = b"", 0
        while (missing := self.at + count - len(self.buffer)) > 0:
            if self._used == len(self._chunk):
                self._chunk, self._used = self._read(max(CHUNK, missing)), 0
            if not self._chunk:
                return False
            part = self._chunk[self._used : self._used + missing]
            self.buffer, self.at = self.buffer[self.at :] + part, 0
            self._used += len(part)
        return True

    def peek(self, count: int) -> bytes:
        """Up to ``count`` bytes from ``at``, left where they are."""
        self.need(count)
        return self.buffer[self.at : self.at + count]

    def skip(self, count: int) -> bool:
        """Move on by ``count`` bytes without holding them; False when the stream ends before."""
        while count > CHUNK:
            if not self.need(CHUNK):
                return False
            self.at += CHUNK
            count -= CHUNK
        if not self.need(count):
            return False
        self.at += count
        return True

    def rest(self) -> int:
        """Bytes between ``at`` and the end of what was read."""
        return len(self.buffer) - self.at + len(self._chunk) - self._used

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self._notes.unread["compressed stream damaged or cut short"] += 1
            return b""


def _plain(source: BinaryIO, notes: Notes, name: str) -> Reads:
    head = source.read(4)
    joined = _Joined(head, source)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=joined)  # type: ignore[call-overload, no-any-return]
    if head == b"\x28\xb5\x2f\xfd":
        return _Zstd(joined, notes)
    return joined


class _Joined:
    """A stream with bytes put back in front of it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = BytesIO(head)
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        return self._head.read(size) or self._rest.read(size)


class _Zstd:
    def __init__(self, source: Reads, notes: Notes) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        # 128 MiB: what the zstd program accepts by default; more is a memory bomb.
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._reader = decompressor.stream_reader(
            cast("IO[bytes]", source), read_across_frames=True
        )
        self._notes = notes

    def read(self, size: int, /) -> bytes:
        try:
            return bytes(self._reader.read(size))
        except self._error:
            self._notes.unread["compressed stream damaged or cut short"] += 1
            return b""


def _looks_like(magic: bytes) -> str:
    for start, name in _OTHER_FORMATS.items():
        if magic.startswith(start[:4]):
            return f" but {name}; allowed: plain, gzip or zstd"
    return "; allowed: pcap and pcapng, plain, gzip or zstd"


# --- pcap -------------------------------------------------------------------------------------


def _pcap(
    window: Window,
    notes: Notes,
    quick: Quick | None,
    order: str,
    per_second: float,
    header: int,
) -> Iterator[Record]:
    if not window.need(24):
        notes.leftover += window.rest()
        return
    # The upper bits of the link field tell of a frame check sequence, which IP lengths leave out.
    link = Struct(order + "I").unpack_from(window.buffer, window.at + 20)[0] & 0xFFFF
    window.at += 24
    quick = quick if link == ETHERNET else None
    unpack = Struct(order + "IIII").unpack_from
    buffer, at, end = window.buffer, window.at, len(window.buffer)
    while True:
        if quick is not None:
            at = quick.pcap(buffer, at, order == ">", header, per_second)
        if at + header > end:
            window.at = at
            if not window.need(header):
                break
            buffer, at, end = window.buffer, window.at, len(window.buffer)
            continue
        second, fraction, captured, original = unpack(buffer, at)
        start = at + header
        at = start + captured
        if at > end:
            if captured > LARGEST_PACKET:
                _impossible(notes, window, start - header)
                return
            window.at = start - header
            if not window.need(header + captured):
                break
            buffer, at, end = window.buffer, window.at, len(window.buffer)
            continue
        yield buffer, start, captured, original, second + fraction / per_second, link
    notes.leftover += window.rest()


def _impossible(notes: Notes, window: Window, at: int) -> None:
    notes.unread["record of impossible length: the rest of the file is unread"] += 1
    window.at = at
    notes.leftover += window.rest()


# --- pcapng -----------------------------------------------------------------------------------


@dataclass
class _Section:
    """State of the section that is being read."""

    notes: Notes
    order: str = "<"
    interfaces: dict[int, Interface] = field(default_factory=dict)
    last: float = 0
    """Time of the packet before, which a packet without time takes."""
    clocks: bytearray = field(default_factory=bytearray)
    """Ticks per second and offset of each interface, as ``Quick`` takes them."""


def _pcapng(window: Window, notes: Notes, quick: Quick | None) -> Iterator[Record]:
    section = _Section(notes)
    unpack = Struct("<IIIIIII").unpack_from
    interfaces = section.interfaces
    buffer, at, end = window.buffer, window.at, len(window.buffer)
    while True:
        if quick is not None:
            big, clocks = section.order == ">", section.clocks
            at, section.last = quick.pcapng(buffer, at, big, clocks, section.last)
        if at + 28 > end:
            window.at = at
            if not window.need(28) and not window.need(12):
                break
            buffer, at, end = window.buffer, window.at, len(window.buffer)
        if at + 28 <= end:
            kind, length, number, high, low, captured, original = unpack(buffer, at)
            if (
                kind == _ENHANCED
                and number in interfaces
                and at + length <= end
                and captured + 32 <= length
                and not length & 3
            ):
                link, _, per_second, offset = interfaces[number]
                section.last = time = (high << 32 | low) / per_second + offset
                yield buffer, at + 28, captured, original, time, link
                at += length
                continue
        window.at = at
        record = _block(window, section)
        if record is _END:
            break
        if record is not None:
            yield record
        buffer, at, end = window.buffer, window.at, len(window.buffer)
        interfaces = section.interfaces
        unpack = Struct(section.order + "IIIIIII").unpack_from
    notes.leftover += window.rest()


_END: Record = (b"", 0, 0, 0, 0, -1)


def _block(window: Window, section: _Section) -> Record | None:
    """Read one block of any kind; its packet if it has one, ``_END`` where reading must end."""
    if window.peek(4) == _PCAPNG and not _begin(window, section):
        return _END
    kind, length = Struct(section.order + "II").unpack_from(window.buffer, window.at)
    if length < 12 + _BODY.get(kind, 0) or length % 4:
        section.notes.unread["block of impossible length: the rest of the file is unread"] += 1
        return _END
    if kind not in _BODY:
        return None if window.skip(length) else _END
    if length > LARGEST_BLOCK:
        section.notes.unread["block too long to read"] += 1
        return None if window.skip(length) else _END
    if not window.need(length):
        return _END
    body = window.at + 8
    window.at += length
    return _use(kind, window.buffer, body, body + length - 12, section)


def _begin(window: Window, section: _Section) -> bool:
    """Start a section: byte order from its magic, no interfaces; False when it is damaged."""
    if not window.need(28):
        return False
    magic = window.buffer[window.at + 8 : window.at + 12]
    orders = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
    if magic not in orders:
        section.notes.unread["section without byte order: the rest of the file is unread"] += 1
        return False
    section.order, section.interfaces, section.clocks = orders[magic], {}, bytearray()
    return True


def _use(kind: int, buffer: bytes, start: int, stop: int, section: _Section) -> Record | None:
    """Take what a whole block holds; ``start`` and ``stop`` enclose its body."""
    if kind == _INTERFACE:
        _add_interface(buffer, start, stop, section)
    elif kind == _STATISTICS:
        _add_drops(buffer, start + 12, stop, section)
    elif kind == _SIMPLE:
        return _simple(buffer, start, stop, section)
    elif kind in (_ENHANCED, _OLD_PACKET):
        return _packet(kind, buffer, start, stop, section)
    return None


def _packet(kind: int, buffer: bytes, start: int, stop: int, section: _Section) -> Record | None:
    order = section.order
    number, high, low, captured, original = Struct(order + "IIIII").unpack_from(buffer, start)
    if kind == _OLD_PACKET:
        number = Struct(order + "H").unpack_from(buffer, start)[0]
    if number not in section.interfaces or captured > stop - start - 20:
        section.notes.unread["packet block of an unknown interface or impossible length"] += 1
        return None
    interface = section.interfaces[number]
    section.last = (high << 32 | low) / interface.per_second + interface.offset
    return buffer, start + 20, captured, original, section.last, interface.link


def _simple(buffer: bytes, start: int, stop: int, section: _Section) -> Record | None:
    """A packet without time or interface number: the first interface's, at the time before."""
    if not section.interfaces:
        section.notes.unread["packet block of an unknown interface or impossible length"] += 1
        return None
    original = Struct(section.order + "I").unpack_from(buffer, start)[0]
    interface = section.interfaces[0]
    captured = min(original, stop - start - 4, interface.snaplen or LARGEST_PACKET)
    section.notes.unread["packets without a time"] += 1
    return buffer, start + 4, captured, original, section.last, interface.link


def _add_interface(buffer: bytes, start: int, stop: int, section: _Section) -> None:
    if len(section.interfaces) >= MOST_INTERFACES:
        section.notes.unread["interfaces beyond the first 4096"] += 1
        return
    link, snaplen = Struct(section.order + "HxxI").unpack_from(buffer, start)
    per_second, offset = 10**6, 0
    for code, value in _options(buffer, start + 8, stop, section.order):
        if code == 9 and len(value) == 1:
            per_second = _resolution(value[0])
        elif code == 14 and len(value) == 8:
            offset = Struct(section.order + "q").unpack(value)[0]
    section.interfaces[len(section.interfaces)] = Interface(link, snaplen, per_second, offset)
    quick = link == ETHERNET and per_second < 1 << 64
    section.clocks += _clock(per_second if quick else 0, offset)


def _resolution(code: int) -> int:
    """Ticks per second of an ``if_tsresol`` octet."""
    exponent = code & 0x7F
    return 1 << exponent if code & 0x80 else int(10**exponent)


def _add_drops(buffer: bytes, start: int, stop: int, section: _Section) -> None:
    # 5: dropped by the interface; 7: dropped by the operating system.
    for code, value in _options(buffer, start, stop, section.order):
        if code in (5, 7) and len(value) == 8:
            section.notes.dropped += Struct(section.order + "Q").unpack(value)[0]


def _options(buffer: bytes, start: int, stop: int, order: str) -> Iterator[tuple[int, bytes]]:
    head = Struct(order + "HH")
    while start + 4 <= stop:
        code, length = head.unpack_from(buffer, start)
        if code == 0 or start + 4 + length > stop:
            return
        yield code, buffer[start + 4 : start + 4 + length]
        start += 4 + (length + 3 & ~3)
