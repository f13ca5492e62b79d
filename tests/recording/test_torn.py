"""Files of a killed writer keep their whole records and nothing else."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from echoaudit.recording.torn import cut_torn


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


RECORDS = {
    "traffic.pcapng": [section("<"), block(1, b"abcd"), section(">"), block(6, b"12345678", ">")],
    "proxy.mitm": [b"5:hello,", b"12:2:ab,4:xyz!,}", b"0:~"],
    "proxy.jsonl": [b'{"kind": "http"}\n', b"\n", b'{"kind": "tcp"}\n'],
    "keys.log": [b"CLIENT_RANDOM 00 11\n", b"CLIENT_RANDOM 22 33\n"],
}


@pytest.mark.parametrize("name", RECORDS)
def test_cut_anywhere_whole_records_stay(name: str, tmp_path: Path) -> None:
    records = RECORDS[name]
    data = b"".join(records)
    ends = [len(b"".join(records[:n])) for n in range(len(records) + 1)]
    path = tmp_path / name
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        cut_torn(path)
        kept = max(end for end in ends if end <= length)
        assert (path.read_bytes() if kept else path.exists()) == (data[:kept] if kept else False)


@pytest.mark.parametrize("name", ["traffic.pcapng", "proxy.mitm"])
def test_what_is_of_no_such_format_is_no_evidence(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"what is this? nothing of the kind")
    cut_torn(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "said-01.flac").write_bytes(b"fLaC and half a frame")
    cut_torn(tmp_path / "said-01.flac")
    assert (tmp_path / "said-01.flac").read_bytes() == b"fLaC and half a frame"
