"""The scanner in C against the one in Python: the same flows, names and notes, on any capture."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from captures_kit import Talk, enhanced, interface, pcap, pcapng, read, section, secure, udp

from echoaudit.errors import BadInput, Unavailable
from echoaudit.outcomes.traffic import quick, read_capture, scan
from echoaudit.outcomes.traffic.flows import Half, LiveFlow

ROOT = Path(__file__).parents[2]

needs_c = pytest.mark.skipif(not quick.available("c"), reason="the scanner in C was not built")


def both(data):
    """What either scanner makes of a capture."""
    return read(data, "c"), read(data, "python")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "s.pcap"
    command = [sys.executable, ROOT / "benchmarks" / "synthetic.py", path, "3000000"]
    subprocess.run(command, check=True)
    return path


@needs_c
def test_the_same_on_a_large_capture_and_most_of_it_taken_by_c(synthetic, monkeypatch):
    looked, stream = [], scan.Scanner._stream
    monkeypatch.setattr(
        scan.Scanner, "_stream", lambda self, *rest: (looked.append(1), stream(self, *rest))
    )
    compiled = read_capture(synthetic, scanner="c")
    assert 0 < len(looked) < compiled.packets / 5
    assert compiled == read_capture(synthetic, scanner="python")


@needs_c
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_same_in_every_container(order):
    talk = secure("a.example")
    for _ in range(20):
        talk.send(True, b"x" * 100).send(False, b"y" * 1000)
    packets = sorted(
        talk.packets + secure("b.example", server="2001:db8::5", client="fd00::1").packets
    )
    packets += [
        udp(True, b"\x40" + b"z" * 60, server_port=443, time=talk.time + n) for n in range(40)
    ]
    clocks = (
        section(order) + interface(101, order) + interface(order=order, resolution=9, offset=-7)
    )
    nano = clocks + b"".join(
        enhanced(t, d, number=1, per_second=10**9, order=order, offset=-7) for t, d in packets
    )
    for data in (
        pcap(packets, order=order),
        pcap(packets, order=order, nano=True),
        pcap(packets, order=order, snaplen=70),
        pcapng(packets, order),
        nano,
        nano + pcapng(packets, order),
    ):
        compiled, plain = both(data)
        assert compiled == plain
        assert compiled.packets >= len(packets)


@needs_c
@pytest.mark.parametrize("resolution", [6, 9, 10, 0x94, 0xA1])
def test_times_are_the_same_to_the_last_bit(resolution):
    talk = Talk().open()
    for _ in range(200):
        talk.send(True, b"x")
    per_second = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    random_ = random.Random(resolution)
    blocks = [
        enhanced(time + random_.random() / 200, data, per_second=per_second)
        for time, data in talk.packets
    ]
    head = section() + interface(resolution=resolution)
    for stop in range(10, len(blocks), 9):
        compiled, plain = both(head + b"".join(blocks[:stop]))
        assert compiled.flows[0].last == plain.flows[0].last


@needs_c
def test_c_takes_what_needs_no_look_and_nothing_else():
    talk = secure("a.example")
    before = len(talk.packets)
    for _ in range(50):
        talk.send(True, b"x" * 100)
    data = pcap(talk.packets)
    flow = LiveFlow(6, talk.packets[0][1][26:38], 0)
    looked = []
    assert _pcap(data, 24, {}, looked) == (
        len(data),
        len(talk.packets),
        sum(len(frame) for _, frame in talk.packets),
    )
    key, first, length, frame = looked[0]
    sent = talk.packets[0][1]
    assert (key, first, length) == (flow.a.key, sent[34:], len(sent) - 34)
    assert frame == (1, len(sent), pytest.approx(talk.packets[0][0]), sent[6:12], sent[:6])
    flow.a.last, flow.a.next = 0.0, 0
    looked.clear()
    _pcap(pcap(talk.packets[:1]), 24, {flow.a.key: flow.a}, looked)
    assert len(looked) == 1  # a SYN opens a flow
    looked.clear()
    start = len(pcap(talk.packets[:before]))
    flow.a.next = int.from_bytes(talk.packets[before][1][38:42], "big")
    at, packets, octets = _pcap(data, start, {flow.a.key: flow.a}, looked)
    assert (at, packets, looked) == (len(data), 50, [])
    assert octets == flow.a.octets == sum(len(frame) for _, frame in talk.packets[before:])
    assert flow.a.last == pytest.approx(talk.packets[-1][0], abs=1e-6)


@needs_c
@pytest.mark.parametrize("cut", range(1, 90))
def test_c_reads_nothing_beyond_its_buffer(cut):
    talk = Talk().open()
    flow = LiveFlow(6, talk.packets[0][1][26:38], 0)
    flow.a.last = 0.0
    data = pcap(talk.packets[2:])
    short = data[: len(data) - cut]
    table = {flow.a.key: flow.a}
    assert _pcap(short, 24, table, [])[1] == 0
    assert _pcap(short, len(short) + cut, table, [])[1] == 0
    assert _pcap(short, -cut, table, [])[1] == 0


@needs_c
def test_c_refuses_tables_that_hold_something_else():
    frame = Talk().open().packets[2]
    with pytest.raises(TypeError, match="Counters only"):
        _pcap(pcap([frame]), 24, {frame[1][26:38]: "half"}, [])
    assert issubclass(Half, _module().Counters)


@needs_c
def test_an_error_of_what_looks_into_a_packet_comes_through():
    def broken(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _module().pcap(pcap(Talk().open().packets), 24, False, 16, 1e6, {}, {}, broken, broken)


def _pcap(data, at, tcp, looked):
    """Places, packets and bytes of what C takes of a pcap; what it hands on comes to ``looked``."""

    def taker(*given):
        looked.append(given)

    return _module().pcap(data, at, False, 16, 1e6, tcp, {}, taker, taker)


def _module():
    return quick._module


# --- which one is used --------------------------------------------------------------------------


def test_an_unknown_scanner_is_refused():
    with pytest.raises(BadInput, match="allowed: c, python"):
        read(pcap([]), "fast")


def test_c_must_be_there_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(quick, "_module", None)
    assert not quick.available()
    with pytest.raises(Unavailable, match="not built"):
        read(pcap([]), "c")


def test_the_environment_chooses_and_everything_works_without_c(synthetic):
    code = (
        "import sys; from pathlib import Path;"
        "from echoaudit.outcomes.traffic import quick, read_capture;"
        "assert quick._module is None and not quick.available();"
        "traffic = read_capture(Path(sys.argv[1])); print(hash(repr(traffic)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, synthetic],
        env={"ECHOAUDIT_SCANNER": "python", "PYTHONHASHSEED": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = "import sys; print(hash(sys.stdin.read()))"
    expected = subprocess.run(
        [sys.executable, "-c", shown], env={"PYTHONHASHSEED": "0"},
        input=repr(read_capture(synthetic)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == expected.stdout
