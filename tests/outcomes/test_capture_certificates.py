"""Names on certificates that servers send in the clear, up to TLS 1.2."""

import contextlib
import random

import pytest
from captures_kit import Talk, handshake, pcap, read

from echoaudit.outcomes.traffic import inspect, quick, tls
from echoaudit.outcomes.traffic.certificates import certificate_hosts

NAMES = ("api.example", "*.cdn.example", "other.example")


def flight(version="1.2"):
    return handshake("api.example", version, names=NAMES)


def seen(pieces, *, up=None):
    """The flow of a TLS connection whose server's first bytes come in these pieces."""
    talk = Talk().open().send(True, flight()[0] if up is None else up)
    for piece in pieces:
        talk.send(False, piece)
    return read_both(talk.packets)


def hosts(found):
    """The names on the certificate of the only flow."""
    return certificate_hosts(found.flows[0].certificate)


def read_both(packets):
    found = read(pcap(packets))
    if quick.available():
        assert read(pcap(packets), "python") == found
    return found


def test_the_names_are_read_before_tls_1_3():
    found = seen([flight()[1]])
    assert hosts(found) == NAMES
    assert found.flows[0].tls == "TLS 1.2"


def test_tls_1_3_hides_them():
    up, down = flight("1.3")
    found = seen([down], up=up)
    assert (hosts(found), found.flows[0].tls) == ((), "TLS 1.3")
    assert not found.notes.unread


@pytest.mark.parametrize("size", [60, 300])
def test_over_several_segments(size):
    down = flight()[1]
    pieces = [down[at : at + size] for at in range(0, len(down), size)]
    assert hosts(seen(pieces)) == NAMES


def test_over_more_segments_than_are_looked_into():
    found = seen([flight()[1][at : at + 7] for at in range(0, len(flight()[1]), 7)])
    assert (hosts(found), dict(found.notes.unread)) == ((), {})
    assert found.flows[0].payload_down == len(flight()[1])


def test_segments_in_another_order():
    down = flight()[1]
    talk = Talk().open().send(True, flight()[0])
    for piece in (down[:200], down[200:400], down[400:]):
        talk.send(False, piece)
    first, second, third = talk.packets[-3:]
    for order in ([third, first, second], [second, third, first], [first, first, third, second]):
        assert hosts(read_both(talk.packets[:-3] + order)) == NAMES


@pytest.mark.parametrize("size", [1, 5, 100])
def test_over_several_records(size):
    said, stream = b"", flight()[1]
    while stream:
        length = int.from_bytes(stream[3:5], "big")
        said, stream = said + stream[5 : 5 + length], stream[5 + length :]
    parts = [said[at : at + size] for at in range(0, min(len(said), 900 * size), size)]
    again = b"".join(b"\x16\3\3" + len(part).to_bytes(2, "big") + part for part in parts)
    assert hosts(seen([again])) == NAMES


def test_without_a_certificate_nothing_is_missing():
    """A resumed connection: the server's hello, then no certificate."""
    hello = flight()[1][: 5 + int.from_bytes(flight()[1][3:5], "big")]
    hello = hello[:9] + hello[9 : 9 + int.from_bytes(hello[6:9], "big")]
    hello = hello[:3] + (len(hello) - 5).to_bytes(2, "big") + hello[5:]
    for after in (b"\x14\3\3\0\1\1", b"\x16\3\3\0\4\4\0\0\0"):
        found = seen([hello + after])
        assert (hosts(found), found.flows[0].tls) == ((), "TLS 1.2")
        assert not found.notes.unread


def test_a_certificate_that_is_cut_leaves_the_rest_as_it_was():
    found = seen([flight()[1][:300]])
    assert (hosts(found), found.flows[0].tls) == ((), "TLS 1.2")
    assert (found.flows[0].sni, dict(found.notes.unread)) == ("api.example", {})


def test_hostile_certificates_are_no_error():
    der = tls.certificate(flight()[1])
    assert certificate_hosts(der) == NAMES
    random_ = random.Random(1)
    for _ in range(2000):
        data = bytearray(der)
        for _ in range(random_.choice((1, 2, 8))):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        names = certificate_hosts(bytes(data[: random_.choice((len(data), 90))]))
        assert all(name.isascii() and " " not in name for name in names)


def test_hostile_streams_are_no_error():
    down, random_ = flight()[1], random.Random(2)
    for _ in range(3000):
        data = bytearray(down[: random_.randrange(len(down))])
        for _ in range(random_.choice((1, 4))):
            data[random_.randrange(90) : random_.randrange(90)] = random_.randbytes(1)
        with contextlib.suppress(tls.NotTls):
            assert tls.certificate(bytes(data)) != b""


def test_only_so_many_certificates_are_kept(monkeypatch):
    flights = [handshake("api.example", "1.2", names=(f"{one}.example",)) for one in "ab"]
    monkeypatch.setattr(inspect, "MOST_CERTIFICATES", len(tls.certificate(flights[0][1])))
    packets = []
    for port, (up, down) in enumerate((flights[0], *flights), 41000):
        packets += Talk(port=port).open().send(True, up).send(False, down).packets
    found = read_both(packets)
    assert [certificate_hosts(flow.certificate) for flow in found.flows] == [
        ("a.example",), ("a.example",), (),
    ]  # fmt: skip
    assert found.notes.unread["certificates beyond the first 16 MiB"] == 1
