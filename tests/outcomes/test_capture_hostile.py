"""Damaged and hostile captures: never a traceback, never a hang, never a silent loss."""

import contextlib
import random
import time
import tracemalloc

import pytest
from captures_kit import (
    Talk,
    lookup,
    pcap,
    pcapng,
    quic_datagrams,
    read,
    secure,
    udp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from echoaudit.errors import BadInput
from echoaudit.outcomes.traffic import dns, http, inspect, quic, tls

MUTANTS = 3000


@pytest.fixture(scope="module")
def seeds():
    quic_packets = [
        udp(True, data, server="198.18.1.9", server_port=443)
        for data in quic_datagrams("q.example")
    ]
    plain = (
        Talk(server_port=80, port=41000)
        .open()
        .send(True, b"GET / HTTP/1.1\r\nHost: h.example\r\n\r\n")
    )
    packets = lookup("a.example", through=["b.example"]) + secure("a.example").packets
    packets += quic_packets + plain.packets
    return [pcap(packets), pcapng(packets), pcap(packets, order=">"), pcapng(packets, ">")]


def mutant(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 16, 64))):
        at = random_.randrange(len(changed))
        match random_.randrange(5):
            case 0:
                changed[at] ^= 1 << random_.randrange(8)
            case 1:
                changed[at] = random_.choice((0, 1, 0x7F, 0x80, 0xC0, 0xFF))
            case 2:
                del changed[at : at + random_.randrange(1, 40)]
            case 3:
                changed[at:at] = random_.randbytes(random_.randrange(1, 40))
            case 4:
                changed[at:at] = changed[at : at + random_.randrange(1, 200)]
        if not changed:
            break
    return bytes(changed)


def test_mutated_captures(seeds):
    random_ = random.Random(20261123)
    refused = 0
    for number in range(MUTANTS):
        data = mutant(seeds[number % len(seeds)], random_)
        begin = time.perf_counter()
        try:
            traffic = read(data)
        except BadInput:
            refused += 1
            continue
        assert time.perf_counter() - begin < 1
        counted = sum(flow.packets_up + flow.packets_down for flow in traffic.flows)
        missing = traffic.packets - counted - sum(traffic.notes.other.values())
        assert missing == 0 or (missing > 0 and traffic.notes.unread)
    assert 0 < refused < MUTANTS / 4


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_a_message(data):
    for parse, refusal in ((dns.parse, dns.Malformed), (tls.hello, tls.NotTls)):
        with contextlib.suppress(refusal):
            parse(data)
    http.request_host(data)
    with contextlib.suppress(quic.NotInitial):
        quic.header(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_a_hello(data):
    with contextlib.suppress(tls.NotTls):
        tls.parse_hello(b"\1" + len(data).to_bytes(3, "big") + data, "t")


def test_a_flood_of_unfinished_hellos_does_not_fill_memory(monkeypatch):
    monkeypatch.setattr(inspect, "MOST_WAITING", 1_000_000)
    begun = b"\x16\x03\x01\x40\x00\x01\x00\xff\x00" + b"x" * 12_000
    packets = []
    for port in range(2000, 2800):
        packets += Talk(port=port).send(True, flags="S").send(True, begun).packets
    data = pcap(packets)
    assert len(data) > 9_000_000
    tracemalloc.start()
    traffic = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert traffic.notes.unread == {"beginnings of streams not put together": 800}
    assert peak < 4_000_000
