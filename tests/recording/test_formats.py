"""Evidence of each format, made by the programs that record it, and every way of cutting it."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.recording import formats


def pcapng(order: str) -> bytes:
    section = struct.pack(order + "IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack(order + "IIHHII", 1, 20, 1, 0, 0, 20)
    packet = struct.pack(order + "IIIIIII4sI", 6, 36, 0, 0, 0, 4, 4, b"abcd", 36)
    return section + interface + packet


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    )


def flac(folder: Path) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(folder / "x.flac", [0.0, 0.5, -0.5] * 2000, 16000, subtype="PCM_16")
    return (folder / "x.flac").read_bytes()


def flows(folder: Path) -> bytes:
    pytest.importorskip("mitmproxy")
    from mitmproxy.io import FlowWriter
    from mitmproxy.test import tflow

    with (folder / "x.mitm").open("wb") as file:
        for _ in range(3):
            FlowWriter(file).add(tflow.tflow(resp=True))
    return (folder / "x.mitm").read_bytes()


HAR = b'{"log":{"entries":[{"request":{},"response":{}}]}}'
KEYS = b"# SSL/TLS secrets\nCLIENT_RANDOM 0123456789abcdef 00ff00ff\r\n\n"
EXCHANGES = b'{"kind":"http","body":"e30="}\n{"kind":"tcp","messages":[{"body":"AAA="}]}\n'
SAMPLES = {
    "traffic.pcapng": lambda folder: pcapng("<"),
    "big-endian.pcapng": lambda folder: pcapng(">"),
    "two-sections.pcapng": lambda folder: pcapng("<") + pcapng(">"),
    "page.png": lambda folder: png(),
    "said-01.flac": flac,
    "proxy.mitm": flows,
    "page.har": lambda folder: HAR,
    "keys.log": lambda folder: KEYS,
    "session.json": lambda folder: b'{"a":1}',
    "names.jsonl": lambda folder: b'{"a":1}\n{"a":2}\n',
    "proxy.jsonl": lambda folder: EXCHANGES,
}


def refused(place: Path, content: bytes) -> bool:
    place.write_bytes(content)
    try:
        formats.check(place)
    except BadInput as error:
        assert str(place) in str(error)
        return True
    return False


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_files_pass(tmp_path, name):
    assert not refused(tmp_path / name, SAMPLES[name](tmp_path))


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - {"said-01.flac", "keys.log"}))
def test_a_file_cut_inside_a_block_is_refused(tmp_path, name):
    content = SAMPLES[name](tmp_path)
    boundaries = {
        "two-sections.pcapng": {28, 48, 84, 112, 132},
        "traffic.pcapng": {28, 48}, "big-endian.pcapng": {28, 48},
        "names.jsonl": {0, 8}, "proxy.jsonl": {0, EXCHANGES.index(b"\n") + 1},
        "proxy.mitm": {0, len(content) // 3, 2 * len(content) // 3},
    }.get(name, set())  # fmt: skip
    accepted = {n for n in range(len(content)) if not refused(tmp_path / name, content[:n])}
    assert accepted <= boundaries


def test_flac_without_frames_or_information_is_refused(tmp_path):
    content = flac(tmp_path)
    place = tmp_path / "said-01.flac"
    header = content.index(b"\xff\xf8")
    assert all(refused(place, content[:n]) for n in range(header + 2))
    assert refused(place, b"RIFF" + content[4:])
    assert refused(place, content[:4] + b"\x04" + content[5:])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.pcapng", b"\xd4\xc3\xb2\xa1" + b"\0" * 20),
        ("proxy.jsonl", b"[]\n"),
        ("proxy.jsonl", b'{"kind":1}\n'),
        ("proxy.jsonl", b'{"kind":"http","body":"no base64"}\n'),
        ("proxy.jsonl", b'{"kind":"http","body":7}\n'),
        ("proxy.jsonl", b'{"kind":"tcp","messages":{}}\n'),
        ("proxy.jsonl", b'{"kind":"tcp","messages":["x"]}\n'),
        ("x.pcapng", pcapng("<")[28:]),
        ("x.pcapng", pcapng("<") + struct.pack("<II", 1, 0xFFFFFFFC)),
        ("x.pcapng", pcapng("<") + struct.pack("<II", 1, 13)),
        ("x.png", png() + b"x"),
        ("x.png", png().replace(b"IDAT", b"IDAX")),
        ("x.mitm", b"99999999999999999999:x"),
        ("x.mitm", b"5:abc}"),
        ("x.mitm", b"-1:abc}"),
        ("x.har", b"[]"),
        ("x.har", b'{"log":{"entries":{}}}'),
        ("keys.log", b"password hunter2\n"),
        ("keys.log", b"A" * 5000),
    ],
)
def test_other_content_is_refused(tmp_path, name, content):
    assert refused(tmp_path / name, content)


def test_what_dumpcap_writes_passes(tmp_path):
    if shutil.which("editcap") is None or shutil.which("text2pcap") is None:
        pytest.skip("needs Wireshark's tools")
    (tmp_path / "hex").write_text("000000 ff ff ff ff ff ff 00 11 22 33 44 55 08 00 45\n")
    made = tmp_path / "traffic.pcapng"
    subprocess.run(["text2pcap", "-q", tmp_path / "hex", made], check=True, capture_output=True)
    formats.check(made)
