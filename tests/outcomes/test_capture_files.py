"""Captures in every container give the same flows; damage is counted, never hidden."""

import gzip
import struct

import pytest
import zstandard
from captures_kit import (
    ECHO,
    ECHO_MAC,
    SERVER,
    START,
    Talk,
    block,
    enhanced,
    interface,
    lookup,
    option,
    pcap,
    pcapng,
    read,
    section,
    secure,
)

from echoaudit.errors import BadInput
from echoaudit.outcomes.traffic import read_capture


@pytest.fixture(scope="module")
def packets():
    return lookup("a.example", time=START) + secure("a.example", start=START + 1).packets


def facts(traffic):
    return [
        (f.client_mac, f.client, f.server, f.server_port, f.sni, f.packets_up, f.packets_down,
         f.bytes_up, f.bytes_down, round(f.first, 4), f.state)
        for f in traffic.flows
    ], [(one.question, one.addresses) for one in traffic.lookups]  # fmt: skip


@pytest.fixture(scope="module")
def expected(packets):
    traffic = read(pcap(packets))
    assert traffic.packets == len(packets)
    assert traffic.octets == sum(len(data) for _, data in packets)
    assert [f.sni for f in traffic.flows] == ["", "a.example"]
    return facts(traffic)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_in_either_byte_order_and_resolution(packets, expected, order, nano):
    assert facts(read(pcap(packets, order=order, nano=nano))) == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_in_either_byte_order(packets, expected, order):
    assert facts(read(pcapng(packets, order))) == expected


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("made", [pcap, pcapng])
def test_compressed(packets, expected, pack, made):
    assert facts(read(pack(made(packets)))) == expected


def test_link_field_with_frame_check_sequence_bits(packets, expected):
    with_fcs = [(time, data + b"\xde\xad\xbe\xef") for time, data in packets]
    traffic = read(pcap(with_fcs, link=1 | 0x44000000))
    assert [f.sni for f in traffic.flows] == ["", "a.example"]
    assert traffic.flows[1].payload_up == read(pcap(packets)).flows[1].payload_up


def test_interfaces_with_their_own_links_resolutions_and_offsets(packets, expected):
    head = section() + interface() + interface(101, resolution=9) + interface(resolution=0x94)
    head += interface(offset=1_000_000_000, resolution=3)
    how = [
        {"number": 0},
        {"number": 2, "per_second": 2**20},
        {"number": 3, "per_second": 1000, "offset": 1_000_000_000},
    ]
    body = b"".join(
        enhanced(time, data, **how[index % 3]) for index, (time, data) in enumerate(packets)
    )
    mixed = read(head + body)
    assert [flow[:9] for flow in facts(mixed)[0]] == [flow[:9] for flow in expected[0]]
    assert mixed.flows[1].first == pytest.approx(START + 1.01, abs=0.002)
    raw = b"".join(enhanced(t, d[14:], number=1, per_second=10**9) for t, d in packets)
    assert [(f.client_mac, f.client, f.sni) for f in read(head + raw).flows] == [
        ("", ECHO, ""),
        ("", ECHO, "a.example"),
    ]


def test_sections_start_anew(packets, expected):
    half = len(packets) // 2
    first = section(">") + interface(order=">")
    first += b"".join(enhanced(t, d, order=">") for t, d in packets[:half])
    assert facts(read(first + pcapng(packets[half:]))) == expected


def test_blocks_of_other_kinds_are_passed_over(packets, expected):
    junk = block(0x0BAD, b"x" * 700_000) + block(4, b"\0" * 8)
    data = section() + interface() + junk
    data += b"".join(enhanced(t, d) + block(0x40000BAD, b"1234") for t, d in packets)
    traffic = read(data)
    assert facts(traffic) == expected
    assert not traffic.notes.partial


def test_simple_and_obsolete_packet_blocks(packets):
    simple = b"".join(block(3, struct.pack("<I", len(d)) + d) for _, d in packets)
    traffic = read(section() + interface() + simple)
    assert {f.sni for f in traffic.flows} == {"", "a.example"}
    assert traffic.notes.unread == {"packets without a time": len(packets)}
    old = b"".join(
        block(2, struct.pack("<HHIIII", 0, 0, 0, 0, len(d), len(d)) + d) for _, d in packets
    )
    assert {f.sni for f in read(section() + interface() + old).flows} == {"", "a.example"}


def test_drops_that_the_capturing_machine_reports(packets):
    counts = option(5, struct.pack("<Q", 30)) + option(7, struct.pack("<Q", 12))
    statistics = block(5, struct.pack("<III", 0, 0, 0) + counts)
    traffic = read(pcapng(packets) + statistics)
    assert traffic.notes.dropped == 42
    assert traffic.notes.partial


@pytest.mark.parametrize("made", [pcap, pcapng])
@pytest.mark.parametrize("cut", [1, 5, 13, 40])
def test_a_cut_file_reports_the_bytes_left_over(packets, made, cut):
    whole = made(packets)
    traffic = read(whole[:-cut])
    assert traffic.packets == len(packets) - 1
    last = len(whole) - len(made(packets[:-1]))
    assert traffic.notes.leftover == last - cut
    assert traffic.notes.partial


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_cut_compressed_file_is_partial(packets, pack):
    packed = pack(pcap(packets * 20))
    traffic = read(packed[: len(packed) // 2])
    assert traffic.notes.partial


def test_an_empty_file_is_partial_not_zero_traffic():
    assert read(b"").notes.lines() == ["empty file: 1"]


@pytest.mark.parametrize("data", [b"hello, world", b"\xfd7zXZ\0\0\0", b"PK\x03\x04....", b"\x0a"])
def test_what_is_no_capture_is_refused_in_one_line(data, tmp_path):
    file = tmp_path / "x.pcap"
    file.write_bytes(data)
    with pytest.raises(BadInput, match="not a pcap or pcapng file") as refusal:
        read_capture(file)
    assert "\n" not in str(refusal.value)


def test_a_record_of_impossible_length_ends_the_file_visibly(packets):
    bad = struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0) + b"x" * 100
    traffic = read(pcap(packets) + bad)
    assert traffic.packets == len(packets)
    assert traffic.notes.leftover == 116
    assert "impossible length" in traffic.notes.lines()[0]


def test_packets_cut_short_by_the_snap_length_still_count(packets):
    traffic = read(pcap(packets, snaplen=80))
    whole = read(pcap(packets))
    assert traffic.octets == whole.octets
    assert [f.payload_up for f in traffic.flows] == [f.payload_up for f in whole.flows]
    assert traffic.flows[1].sni == ""
    assert traffic.notes.partial


def test_memory_stays_flat_on_a_long_capture(tmp_path):
    import tracemalloc

    talk = Talk().open()
    for _ in range(20):
        talk.send(True, b"x" * 1000)
    short, long = (tmp_path / name for name in ("short.pcap", "long.pcap"))
    short.write_bytes(pcap(talk.packets))
    with long.open("wb") as file:
        file.write(short.read_bytes())
        body = short.read_bytes()[24:]
        for _ in range(1000):
            file.write(body)
    read_capture(short)
    tracemalloc.start()
    traffic = read_capture(long)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert traffic.packets == 1001 * len(talk.packets)
    assert long.stat().st_size > 20_000_000
    assert peak < 3_000_000
    assert traffic.flows[0].client_mac == ECHO_MAC
    assert traffic.flows[0].server == SERVER
