"""The scanner in C against the one in Python: the same flows, names and notes, on any capture."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from captures_kit import (
    Talk,
    enhanced,
    handshake,
    interface,
    pcap,
    pcapng,
    read,
    section,
    secure,
    udp,
)

from echoaudit.errors import BadInput, Unavailable
from echoaudit.outcomes.traffic import inspect, quick, read_capture, scan, tls
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
    left, plain = [], scan.Scanner._plain
    monkeypatch.setattr(
        scan.Scanner, "_plain", lambda self, *rest: (left.append(1), plain(self, *rest))
    )
    compiled = read_capture(synthetic, scanner="c")
    assert len(left) < compiled.packets / 100
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


class Flows:
    """Makes flows for C and keeps what it hands on."""

    def __init__(self, want=0):
        self.want, self.tcp, self.udp, self.opened, self.looked = want, {}, {}, [], []
        self.hellos, self.greeted = {}, []

    def pcap(self, data, at=24):
        takers = self.tcp, self.udp, self.open, self.look, self.look, self.hellos, self.greet
        return _module().pcap(data, at, False, 16, 1e6, *takers)

    def open(self, protocol, key, time, source, target):
        flow = LiveFlow(protocol, key, self.want)
        flow.a.first = flow.b.first = time
        table = {6: self.tcp, 17: self.udp}[protocol]
        table |= {key: flow.a, flow.b.key: flow.b}
        self.opened.append((protocol, key, source, target))
        return flow.a

    def greet(self, half, hello):
        self.greeted.append((half, hello))
        half.want -= hello == "taken"
        return hello == "taken"

    def look(self, half, data, time, about):
        self.looked.append((half, data, time, about))
        half.want -= 1


@needs_c
def test_c_opens_flows_counts_them_and_hands_on_what_is_wanted():
    sent, answered = handshake("a.example", "1.3")
    talk = Talk().open().send(True, sent).send(False, answered)
    for _ in range(50):
        talk.send(True, b"x" * 100)
    flows, size = Flows(want=1), sum(len(frame) for _, frame in talk.packets)
    data = pcap(talk.packets)
    assert flows.pcap(data) == (len(data), len(talk.packets), size)
    first = talk.packets[0][1]
    assert flows.opened == [(6, first[26:38], first[6:12], first[:6])]
    up, down = (
        flows.tcp[key]
        for key in (first[26:38], first[30:34] + first[26:30] + first[36:38] + first[34:36])
    )
    hello, answer = talk.packets[3], talk.packets[4]
    assert flows.looked == [
        (up, hello[1][54:], pytest.approx(hello[0]), up.isn + 1),
        (down, answer[1][54:], pytest.approx(answer[0]), down.isn + 1),
    ]
    assert (up.syn, down.syn) == (2, 18)
    assert up.packets + down.packets == len(talk.packets)
    assert up.octets + down.octets == size
    up.settle()
    down.settle()
    assert up.payload + down.payload == sum(len(frame) - 54 for _, frame in talk.packets)
    assert up.last == pytest.approx(talk.packets[-1][0], abs=1e-6)


@needs_c
def test_c_hands_on_a_known_hello_without_its_segment_unless_that_is_wanted():
    sent, answered = handshake("a.example", "1.3")
    talk = Talk().open().send(True, sent).send(False, answered)
    flows = Flows(want=1)
    flows.hellos = {quick.essence(sent, False): "taken", quick.essence(answered, False): "other"}
    flows.pcap(pcap(talk.packets))
    up, down = sorted(flows.tcp.values(), key=lambda half: half.syn)
    assert flows.greeted == [(up, "taken"), (down, "other")]
    assert [(half, data) for half, data, *_ in flows.looked] == [(down, answered)]
    assert up.want == down.want == 0


@needs_c
def test_c_stops_at_what_is_not_plain():
    reset = Talk().open().send(True, flags="R")
    gap = Talk().open().send(True, b"a").send(True, b"b").send(True, b"c")
    del gap.packets[-2]
    back = Talk().open().send(True, b"a")
    back.packets[-1] = (back.packets[-1][0] - 9, back.packets[-1][1])
    for talk in (reset, gap, back):
        data, last = pcap(talk.packets), len(pcap(talk.packets[-1:])) - 24
        assert Flows().pcap(data)[:2] == (len(data) - last, len(talk.packets) - 1)


@needs_c
@pytest.mark.parametrize("cut", range(1, 90))
def test_c_reads_nothing_beyond_its_buffer(cut):
    data = pcap(Talk().open().packets[2:])
    short = data[: len(data) - cut]
    for at in (24, len(short) + cut, -cut):
        assert Flows().pcap(short, at)[1] == 0


@needs_c
def test_c_refuses_flows_that_are_something_else():
    frame = Talk().open().packets[2]
    flows = Flows()
    flows.tcp[frame[1][26:38]] = "half"
    with pytest.raises(TypeError, match="Counters only"):
        flows.pcap(pcap([frame]))
    flows = Flows()
    flows.open = lambda *_: "half"
    with pytest.raises(TypeError, match="made of Counters"):
        flows.pcap(pcap([frame]))
    assert issubclass(Half, _module().Counters)


@needs_c
@pytest.mark.parametrize("failing", ["open", "look", "greet"])
def test_an_error_of_what_looks_into_a_packet_comes_through(failing):
    def broken(*_):
        raise ZeroDivisionError

    flows = Flows(want=9)
    known = quick.essence(handshake("a.example", "1.3")[0], False)
    flows.hellos = {known: "taken"} if failing == "greet" else {}
    setattr(flows, failing, broken)
    with pytest.raises(ZeroDivisionError):
        flows.pcap(pcap(secure("a.example").packets))


@needs_c
@pytest.mark.parametrize("in_quic", [False, True])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("side", [0, 1])
def test_hellos_of_one_essence_tell_the_same_however_they_are_damaged(in_quic, version, side):
    random_ = random.Random(version)
    told, known = {}, 0
    for number in range(3000):
        hello = bytearray(handshake(f"{number % 2}.example", version)[side][5 * in_quic :])
        for _ in range(number % 4):
            hello[random_.randrange(len(hello))] = random_.choice((0, 1, 4, 255, number % 256))
        stream = bytes(hello[: None if number % 3 else random_.randrange(len(hello))])
        essence = quick.essence(stream, in_quic)
        if essence:
            parsed = told_by(stream, in_quic)
            known += essence in told
            assert told.setdefault(essence, parsed) == parsed
    assert known > 500
    assert len(set(told.values())) > 5


def told_by(stream, in_quic):
    """What Python reads in a hello; nothing when it refuses."""
    try:
        return tls.parse_hello(stream, "q") if in_quic else tls.hello(stream)
    except tls.NotTls:
        return None


@needs_c
def test_a_hello_has_an_essence_when_it_is_whole_in_one_record():
    for version in ("1.2", "1.3"):
        for stream in handshake("a.example", version):
            whole = 9 + int.from_bytes(stream[6:9], "big")
            assert quick.essence(stream, False)
            assert quick.essence(stream[5:], True)
            assert not any(quick.essence(stream[:size], False) for size in range(whole))
            assert not quick.essence(b"\x17" + stream[1:], False)
    long = bytearray(handshake("a.example", "1.3")[0])
    long[3:5], long[7:9] = b"\x20\0", b"\x1f\xfc"
    assert quick.essence(bytes(long) + bytes(1 << 13), False) == b""


@needs_c
def test_hellos_beyond_those_remembered_are_read_all_the_same(monkeypatch):
    monkeypatch.setattr(inspect, "_MOST_HELLOS", 2)
    packets = []
    for number in (1, 2, 3, 4, 1, 2):
        packets += secure(f"h{number}.example", port=20000 + len(packets)).packets
    compiled, plain = both(pcap(packets))
    assert compiled == plain
    assert [flow.sni for flow in compiled.flows] == [f"h{n}.example" for n in (1, 2, 3, 4, 1, 2)]


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
