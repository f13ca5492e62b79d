"""The scanner's quick way against its long way, and both against captures whose truth is known."""

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from captures_kit import START, Talk, enhanced, interface, pcap, pcapng, read, section

from echoaudit.outcomes.traffic import scan

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def packets(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "s.pcap"
    subprocess.run([sys.executable, BENCHMARKS / "synthetic.py", path, "3000000"], check=True)
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        second, fraction, size, _ = struct.unpack_from("<IIII", data, at)
        found.append((second + fraction / 1e6, data[at + 16 : at + 16 + size]))
        at += 16 + size
    assert len(found) > 3000
    return found


def tagged(packets):
    """The same packets in a VLAN, which the quick way does not take."""
    return [(time, data[:12] + b"\x81\0\0\5" + data[12:]) for time, data in packets]


def untagged(flow):
    up, down = flow.bytes_up - 4 * flow.packets_up, flow.bytes_down - 4 * flow.packets_down
    return flow._replace(bytes_up=up, bytes_down=down)


def shuffled(packets):
    """Neighbours exchanged, some packets twice, some lost, time not in order."""
    random_ = random.Random(7)
    found = [packet for packet in packets for _ in range(random_.choice((0, 1, 1, 1, 1, 1, 2)))]
    for at in range(0, len(found) - 1, 3):
        found[at], found[at + 1] = found[at + 1], found[at]
    return found


@pytest.mark.parametrize("changed", [list, shuffled], ids=["in order", "in disorder"])
def test_the_quick_way_gives_what_the_long_way_gives(packets, changed, monkeypatch):
    found = changed(packets)
    quick = read(pcap(found))
    taken = []
    plain = scan.Scanner._plain
    monkeypatch.setattr(
        scan.Scanner, "_plain", lambda self, *rest: (taken.append(1), plain(self, *rest))
    )
    long = read(pcap(tagged(found)))
    assert not taken
    assert list(map(untagged, long.flows)) == quick.flows
    assert long.lookups == quick.lookups
    assert long.notes == quick.notes


def test_every_container_gives_the_same_times(packets):
    quick = read(pcap(packets))
    assert read(pcapng(packets)).flows == quick.flows
    head = section() + interface(resolution=9)
    nano = head + b"".join(enhanced(t, d, per_second=10**6 * 1000) for t, d in packets)
    times = [(flow.first, flow.last) for flow in read(nano).flows]
    assert times == [
        (pytest.approx(flow.first, abs=1e-6), pytest.approx(flow.last, abs=1e-6))
        for flow in quick.flows
    ]


def test_sequence_numbers_wrap_in_order():
    talk = Talk(isn=2**32 - 5000).open()
    for _ in range(9):
        talk.send(True, b"x" * 1000)
    (flow,) = read(pcap(talk.packets)).flows
    assert flow.payload_up == 9000


def test_more_than_four_gibibytes_in_one_connection():
    # Packets cut to their headers, which say that each carried 65,000 bytes.
    talk = Talk().open()
    time, frame = talk.segment(True)
    before, between, after = frame[:16], frame[18:38], frame[42:]
    lengths = before + struct.pack("!H", 40 + 65_000) + between
    frames = [
        (time, lengths + struct.pack("!I", 1001 + 65_000 * n & 0xFFFFFFFF) + after)
        for n in range(70_000)
    ]
    (flow,) = read(pcap(talk.packets + frames)).flows
    assert flow.payload_up == 70_000 * 65_000 > 2**32


def test_a_flow_whose_first_packets_are_bare_acknowledgements():
    talk = Talk().send(True).send(False).send(True).send(False)
    (flow,) = read(pcap(talk.packets)).flows
    assert flow.first == pytest.approx(START + 0.01, abs=1e-5)
    assert (flow.packets_up, flow.packets_down) == (2, 2)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
def test_the_benchmark_finds_nothing_wrong():
    command = [sys.executable, BENCHMARKS / "traffic.py", "--size", "2"]
    done = subprocess.run(
        [*command, "--readers", "c,python,tshark"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "python against the truth: 0 rows" in done.stdout
    assert "python against tshark: 0 counts" in done.stdout
