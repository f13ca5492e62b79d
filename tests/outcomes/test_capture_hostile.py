"""Damaged and hostile captures: never a traceback, never a hang, never a silent loss."""

import contextlib
import tracemalloc

from captures_kit import Talk, pcap, read
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants_kit import trial

from echoaudit.outcomes.traffic import dns, http, inspect, quic, tls

MUTANTS = 3000


def test_mutated_captures():
    result = trial(MUTANTS, seed=20261123)
    assert not result.failure
    assert (result.silent, result.different, result.slow) == (0, 0, 0)
    assert 0 < result.refused < MUTANTS / 4


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
