"""Packets to flows and names: every trap that a capture can set."""

import itertools
import random
import struct

import pytest
from captures_kit import (
    ECHO,
    ECHO_MAC,
    SERVER,
    START,
    Talk,
    answer,
    handshake,
    lookup,
    pcap,
    question,
    quic_datagrams,
    quic_retry,
    read,
    records_of,
    retried,
    secure,
    udp,
)

from echoaudit.outcomes.traffic import quic, quick

HELLO, REPLY = handshake("a.example", "1.3")
SCANNERS = ["python", *(["c"] if quick.available() else [])]


def only(traffic):
    (flow,) = traffic.flows
    return flow


def hello_in(parts, order=None):
    """A connection whose hello comes in these parts, sent in this order."""
    talk = Talk().open()
    starts = [talk.next[0] + sum(map(len, parts[:index])) for index in range(len(parts))]
    for index in order or range(len(parts)):
        talk.packets.append(talk.segment(True, parts[index], sequence=starts[index]))
    talk.next[0] += sum(map(len, parts))
    return talk.send(False, REPLY).close()


def cut(data, *places):
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# --- counts -----------------------------------------------------------------------------------


def test_a_connection_is_one_flow_seen_from_the_client():
    talk = secure("a.example")
    flow = only(read(pcap(talk.packets)))
    assert (flow.client_mac, flow.client, flow.client_port) == (ECHO_MAC, ECHO, 40000)
    assert (flow.server, flow.server_port, flow.protocol) == (SERVER, 443, "tcp")
    assert flow.packets_up + flow.packets_down == len(talk.packets)
    assert flow.bytes_up + flow.bytes_down == sum(len(data) for _, data in talk.packets)
    assert flow.payload_up == len(HELLO) + 10
    assert flow.payload_down == len(REPLY)
    assert (flow.tls, flow.sni, flow.state) == ("TLS 1.3", "a.example", "closed")
    assert flow.first == pytest.approx(talk.packets[0][0], abs=1e-5)
    assert flow.last == pytest.approx(talk.packets[-1][0], abs=1e-5)


def test_retransmissions_count_as_seen_but_carry_nothing_new():
    talk = Talk().open()
    for _ in range(5):
        talk.send(True, b"x" * 1000)
    again = [*talk.packets, talk.packets[5], talk.packets[6], talk.packets[5]]
    flow = only(read(pcap(again)))
    assert flow.packets_up == 2 + 5 + 3
    assert flow.payload_up == 5000


def test_a_lost_segment_that_comes_later_is_counted_once():
    talk = Talk().open()
    for _ in range(6):
        talk.send(True, b"x" * 1000)
    packets = talk.packets
    late = packets[:4] + packets[6:] + [packets[5], packets[4], packets[5]]
    assert only(read(pcap(late))).payload_up == 6000


def test_sequence_numbers_wrap():
    talk = Talk(isn=2**32 - 1500).open()
    for _ in range(4):
        talk.send(True, b"x" * 1000)
    flow = only(read(pcap([*talk.packets, talk.packets[4]])))
    assert flow.payload_up == 4000


def test_duplicates_of_a_mirror_double_the_packets_but_not_the_payload():
    packets = [packet for packet in secure("a.example").packets for _ in range(2)]
    packets += [packet for packet in lookup("b.example") for _ in range(2)]
    traffic = read(pcap(packets))
    tls = next(flow for flow in traffic.flows if flow.protocol == "tcp")
    assert tls.packets_up == 12
    assert tls.payload_up == len(HELLO) + 10
    assert [(one.question, one.answered) for one in traffic.lookups] == [("b.example", True)]


def test_packets_out_of_time_order():
    packets = secure("a.example").packets
    shuffled = [packets[index] for index in (3, 1, 0, 2, 5, 4, *range(6, len(packets)))]
    flow = only(read(pcap(shuffled)))
    assert (flow.client, flow.sni, flow.state) == (ECHO, "a.example", "closed")
    assert flow.first == pytest.approx(packets[0][0], abs=1e-5)
    assert flow.payload_up == len(HELLO) + 10


def test_ports_used_again_are_another_flow():
    first = secure("a.example")
    second = secure("b.example", isn=900_000_000, start=START + 60)
    flows = read(pcap(first.packets + second.packets)).flows
    assert [(flow.sni, flow.packets_up) for flow in flows] == [("a.example", 6), ("b.example", 6)]


@pytest.mark.parametrize("scanner", ["", "python"])
def test_udp_ports_used_again_after_silence_are_another_flow(scanner):
    def call(host, start):
        data = quic_datagrams(host)
        talk = [(True, one) for one in data] + [(False, b"\x41" * 60), (True, b"\x42" * 60)] * 30
        return [
            udp(up, one, server=SERVER, server_port=443, time=start + 0.1 * number)
            for number, (up, one) in enumerate(talk)
        ]

    first = call("a.example", START)
    end = first[-1][0]
    heard = udp(False, b"\x41" * 60, server=SERVER, server_port=443, time=end + 299)
    flows = read(pcap([*first, heard, *call("b.example", end + 299 + 301)]), scanner).flows
    assert [flow.sni for flow in flows] == ["a.example", "b.example"]
    assert flows[0].last == pytest.approx(end + 299)
    assert flows[0].packets_up + flows[0].packets_down == len(first) + 1
    again = udp(True, b"\x41" * 60, server=SERVER, server_port=443, time=end + 598)
    (only_one,) = read(pcap([*first, heard, again]), scanner).flows
    assert only_one.sni == "a.example"


@pytest.mark.parametrize(
    ("flags", "state"),
    [((), "unanswered"), (("RA",), "refused"), (("SA", "RA"), "reset"), (("SA",), "established")],
)
def test_states(flags, state):
    talk = Talk().send(True, flags="S")
    for flag in flags:
        talk.send(False, flags=flag)
    assert only(read(pcap(talk.packets))).state == state


def test_a_flow_that_began_before_the_capture():
    packets = secure("a.example").packets[4:-3]
    flow = only(read(pcap(packets)))
    assert (flow.client, flow.state, flow.sni) == (ECHO, "midstream", "")


def test_a_capture_that_begins_with_the_hello_still_finds_its_name():
    parts = cut(HELLO, 200)
    talk = hello_in(parts)
    flow = only(read(pcap(talk.packets[3:])))
    assert (flow.client, flow.sni) == (ECHO, "a.example")


def test_offloaded_frames_are_longer_than_a_wire_allows():
    talk = Talk().open().send(True, HELLO).send(False, b"x" * 20_000)
    packets = talk.packets
    time, data = packets[-1]
    assert only(read(pcap(packets))).payload_down == 20_000
    without_length = data[:16] + b"\0\0" + data[18:]
    assert only(read(pcap([*packets[:-1], (time, without_length)]))).payload_down == 20_000


def test_padding_of_short_frames_carries_nothing():
    packets = [(t, d + b"\0" * (60 - len(d))) for t, d in Talk().open().close().packets]
    flow = only(read(pcap(packets)))
    assert (flow.payload_up, flow.payload_down) == (0, 0)


# --- links and networks -----------------------------------------------------------------------


def over(link, head, tail=0):
    talk = secure("a.example")
    return read(pcap([(t, head(d) + d[14:]) for t, d in talk.packets], link=link))


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (1, lambda d: d[:12] + b"\x81\x00\x00\x05" + d[12:14]),
        (1, lambda d: d[:12] + b"\x88\xa8\x00\x07\x81\x00\x00\x05" + d[12:14]),
        (1, lambda d: d[:12] + b"\x88\x64\x11\x00\x00\x01\x00\x40\x00\x21"),
        (113, lambda d: b"\0\0\0\1\0\6" + d[6:12] + b"\0\0" + d[12:14]),
        (276, lambda d: d[12:14] + b"\0" * 6 + b"\0\1\0\6" + d[6:12] + b"\0\0"),
        (101, lambda d: b""),
        (12, lambda d: b""),
        (228, lambda d: b""),
        (0, lambda d: b"\2\0\0\0"),
        (0, lambda d: b"\0\0\0\2"),
        (108, lambda d: b"\0\0\0\2"),
    ],
    ids=[
        "vlan",
        "qinq",
        "pppoe",
        "sll",
        "sll2",
        "raw",
        "rawbsd",
        "ipv4",
        "null",
        "null-be",
        "loop",
    ],
)
def test_link_layers(link, head):
    traffic = over(link, head)
    flow = only(traffic)
    assert (flow.sni, flow.client, flow.state) == ("a.example", ECHO, "closed")
    assert flow.client_mac == (ECHO_MAC if link in (1, 113, 276) else "")
    assert not traffic.notes.partial


@pytest.mark.parametrize(("link", "name"), [(127, "radiotap"), (105, "802.11"), (147, "147")])
def test_other_links_are_refused_by_name(link, name):
    traffic = over(link, lambda d: d[:14])
    assert traffic.flows == []
    assert traffic.packets > 0
    assert name in traffic.notes.lines()[0]
    assert traffic.notes.partial


def test_ipv6_with_extension_headers():
    from scapy.layers.inet import TCP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
    from scapy.layers.l2 import Ether

    client, server = "fd00::10", "2001:db8::5"
    plain = secure("a.example", client=client, server=server).packets
    flow = only(read(pcap(plain)))
    assert (flow.client, flow.server, flow.sni) == (client, server, "a.example")
    extended = []
    for time, data in plain:
        packet = Ether(data)
        segment = packet[TCP].copy()
        ip = IPv6(src=packet[IPv6].src, dst=packet[IPv6].dst)
        head = Ether(src=packet.src, dst=packet.dst)
        options = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
        extended.append((time, bytes(head / ip / options / segment)))
    assert only(read(pcap(extended))).sni == "a.example"


def test_ipv4_options():
    from scapy.layers.inet import IP, IPOption_NOP
    from scapy.layers.l2 import Ether

    packets = []
    for time, data in secure("a.example").packets:
        packet = Ether(data)
        packet[IP].options = [IPOption_NOP()] * 4
        del packet[IP].ihl, packet[IP].len, packet[IP].chksum
        packets.append((time, bytes(packet)))
    assert only(read(pcap(packets))).sni == "a.example"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_fragments(order):
    from scapy.layers.inet import IP, fragment
    from scapy.layers.l2 import Ether

    (_, asked), (time, answered) = lookup(
        "a.example", through=[f"{'c' * 60}{n}.example" for n in range(20)]
    )
    head = Ether(answered)
    pieces = [
        (time, bytes(Ether(src=head.src, dst=head.dst) / piece))
        for piece in fragment(head[IP], fragsize=(len(answered) // 3) & ~7)
    ]
    assert len(pieces) > 2
    shuffled = [pieces[index] for index in order] + pieces[3:]
    traffic = read(pcap([(time, asked), *shuffled]))
    assert traffic.lookups[0].addresses == (SERVER,)
    assert only(traffic).packets_down == len(pieces)
    lost = read(pcap([(time, asked), *shuffled[1:]]))
    assert lost.notes.unread == {"IP fragments without the rest": len(pieces) - 1}


def test_what_is_not_ip_or_not_tcp_and_udp_is_counted():
    arp = bytes.fromhex("ffffffffffff0200000000010806") + b"\0" * 46
    icmp = secure("a.example").packets[0][1]
    icmp = icmp[:23] + b"\1" + icmp[24:]
    traffic = read(pcap([(START, arp), (START, icmp), (START, b"short")]))
    assert traffic.notes.other == {"ARP": 1, "ICMP": 1}
    assert traffic.notes.unread == {"frames cut before their IP header": 1}


# --- TLS --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1)])
def test_a_hello_over_two_segments_in_any_order(order):
    traffic = read(pcap(hello_in(cut(HELLO, 150), order).packets))
    flow = only(traffic)
    assert flow.sni == "a.example"
    assert flow.payload_up == len(HELLO)
    assert not traffic.notes.partial


def test_a_hello_over_many_segments_backwards():
    parts = cut(HELLO, 3, 50, 51, 200, 300)
    assert only(read(pcap(hello_in(parts, range(5, -1, -1)).packets))).sni == "a.example"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_hello_over_several_records(size):
    stream = records_of(HELLO, size)
    assert only(read(pcap(hello_in(cut(stream, 99)).packets))).sni == "a.example"


def test_a_hello_that_never_becomes_whole_is_counted():
    traffic = read(pcap(hello_in(cut(HELLO, 150), [1]).packets))
    assert only(traffic).sni == ""
    assert traffic.notes.unread == {"beginnings of streams not put together": 1}


@pytest.mark.parametrize(("version", "said"), [("1.2", "TLS 1.2"), ("1.3", "TLS 1.3")])
def test_the_version_is_the_one_the_server_chose(version, said):
    flow = only(read(pcap(secure("a.example", version).packets)))
    assert flow.tls == said
    assert flow.alpn == ("h2" if version == "1.2" else "h2,http/1.1")


def test_a_hello_that_the_server_asks_for_again():
    flights = retried("a.example")
    assert flights[1][1][5] == 2  # the server's first message is a HelloRetryRequest
    assert flights[1][1][11:19] == bytes.fromhex("cf21ad74e59a6111")
    talk = Talk().open()
    for up, data in flights:
        talk.send(up, data)
    traffic = read(pcap(talk.close().packets))
    flow = only(traffic)
    assert (flow.sni, flow.tls, flow.state) == ("a.example", "TLS 1.3", "closed")
    assert flow.payload_up == sum(len(data) for up, data in flights if up)
    assert not traffic.notes.partial


def test_a_hello_without_a_name():
    up, down = handshake(None, "1.3")
    flow = only(read(pcap(Talk().open().send(True, up).send(False, down).packets)))
    assert (flow.sni, flow.tls) == ("", "TLS 1.3")
    assert flow.ja4.startswith("t13i")


def test_ja4_is_the_specification_s_example():
    # The worked example of FoxIO's JA4 specification, as a hello of those parts.
    from echoaudit.outcomes.traffic.tls import _Offer, _open_part

    ciphers = "1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035"
    extensions = "001b 0000 0033 0010 4469 0017 002d 000d 0005 0023 0012 002b ff01 000b 000a 0015"
    signatures = "0403 0804 0401 0503 0805 0501 0806 0601"

    code = bytes.fromhex
    offer = _Offer("t", code("0303"), code("2a2a" + ciphers), code("3a3a" + extensions),
                   code("04 0a0a 0304"), code("0010" + signatures), b"\0\3\2h2")  # fmt: skip
    assert _open_part(offer) == (("h2",), "t13d1516h2_8daaf6152771_e5627efa2ab1")


# --- QUIC -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "name"), [(1, "QUIC 1"), (0x6B3343CF, "QUIC 2")])
@pytest.mark.parametrize("padded", [0, 8])
def test_quic_names_its_host(version, name, padded):
    datagrams = quic_datagrams("q.example", version, padded)
    assert len(datagrams) >= (2 if padded else 1)
    for order in (datagrams, datagrams[::-1]):
        packets = [
            udp(True, data, server=SERVER, server_port=443, time=START + index)
            for index, data in enumerate(order)
        ]
        flow = only(read(pcap(packets)))
        assert (flow.sni, flow.quic, flow.protocol) == ("q.example", name, "udp")
        assert flow.ja4.startswith("q13d")


@pytest.mark.parametrize("padded", [0, 8])
@pytest.mark.parametrize("kept", [slice(0, None), slice(1, None), slice(2, None)])
def test_quic_that_begins_again_after_a_retry(padded, kept):
    first, retry, second = quic_retry("q.example", padded)
    flights = [(True, first[:1]), (False, [retry]), (True, second)][kept]
    packets = [
        udp(up, data, server=SERVER, server_port=443) for up, datas in flights for data in datas
    ]
    traffic = read(pcap(packets))
    flow = only(traffic)
    assert (flow.client, flow.sni, flow.quic) == (ECHO, "q.example", "QUIC 1")
    assert not traffic.notes.partial


@pytest.mark.parametrize("scanner", SCANNERS)
@pytest.mark.parametrize("padded", [0, 8])
@pytest.mark.parametrize("client", ["fd00::1", ECHO])
def test_another_quic_connection_between_the_same_ports_is_another_flow(scanner, padded, client):
    server = "2001:db8::5" if ":" in client else SERVER
    with_token = quic_retry("c.example", padded)[2]
    packets, counts = [], []
    for datagrams in (quic_datagrams("a.example", padded=padded), quic_datagrams("b.example"),
                      with_token):  # fmt: skip
        flight = [(True, data) for data in datagrams * 2]
        flight += [(False, b"\xe0" + b"z" * 1199), (True, b"\xe1" + b"y" * 60), (True, b"\x41")]
        counts.append((len(datagrams) * 2 + 2, 1))
        packets += [
            udp(up, data, server=server, client=client, server_port=443) for up, data in flight
        ]
    packets = [(START + number / 10, frame) for number, (_, frame) in enumerate(packets)]
    traffic = read(pcap(packets), scanner)
    assert [flow.sni for flow in traffic.flows] == ["a.example", "b.example", "c.example"]
    assert [(flow.packets_up, flow.packets_down) for flow in traffic.flows] == counts
    assert not traffic.notes.partial


def test_quic_whose_crypto_frames_are_shuffled():
    """As Chromium sends them: pieces of the hello in any order, padding and pings between."""
    (data,) = quic_datagrams("q.example")
    found = quic.header(data)
    ((_, hello),) = quic.crypto(data, 0, found, quic.client_keys(1, found.destination))
    pieces = [(at, hello[at : at + 61]) for at in range(0, len(hello), 61)]
    random.Random(1).shuffle(pieces)
    frames = b"".join(
        b"\0\0\1\6" + struct.pack("!HH", 0x4000 | at, 0x4000 | len(piece)) + piece
        for at, piece in pieces
    )
    flow = only(read(pcap([udp(True, initial(frames), server=SERVER, server_port=443)])))
    assert (flow.sni, flow.quic) == ("q.example", "QUIC 1")


def initial(frames, destination=b"8 octets"):
    """A client's Initial packet, protected as RFC 9001 says in section 5."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    keys = quic.client_keys(1, destination)
    number = (2).to_bytes(4, "big")
    head = b"\xc3\0\0\0\1\x08" + destination + b"\0\0"
    head += struct.pack("!H", 0x4000 | 4 + len(frames) + 16)
    nonce = int.from_bytes(keys.iv, "big") ^ 2
    sealed = AESGCM(keys.key).encrypt(nonce.to_bytes(12, "big"), frames, head + number)
    mask = Cipher(algorithms.AES(keys.hp), modes.ECB()).encryptor().update(sealed[:16])
    hidden = bytes(byte ^ bit for byte, bit in zip(number, mask[1:5], strict=True))
    return bytes([head[0] ^ mask[0] & 15]) + head[1:] + hidden + sealed


def test_quic_of_another_version_is_counted():
    data = b"\xc0" + struct.pack("!I", 0xFF00001D) + b"\0" * 1195
    traffic = read(pcap([udp(True, data, server=SERVER, server_port=443)]))
    assert traffic.notes.unread == {"QUIC 0xff00001d hides its names": 1}


def test_other_udp_is_no_quic():
    packets = [udp(True, bytes([first]) * 48, server=SERVER, server_port=123, port=first + 1000)
               for first in range(0, 256, 5)]  # fmt: skip
    traffic = read(pcap(packets))
    assert {flow.quic for flow in traffic.flows} == {""}
    assert not traffic.notes.partial


# --- what hides names -------------------------------------------------------------------------


def hello_with(extension: int, body: bytes) -> bytes:
    """A real hello with one more extension at its end."""
    added = struct.pack("!HH", extension, len(body)) + body
    message = HELLO[5:]
    lengths = 39 + message[38]
    lengths += 2 + struct.unpack_from("!H", message, lengths)[0]
    lengths += 1 + message[lengths]
    size = struct.unpack_from("!H", message, lengths)[0] + len(added)
    message = message[:lengths] + struct.pack("!H", size) + message[lengths + 2 :] + added
    message = message[:1] + (len(message) - 4).to_bytes(3, "big") + message[4:]
    return HELLO[:3] + struct.pack("!H", len(message)) + message


@pytest.mark.parametrize(
    ("packets", "how"),
    [
        (secure("resolver.example", server_port=853).packets, "DNS over TLS"),
        (secure("dns.google").packets, "DNS over HTTPS"),
        (secure("one.dns.nextdns.io").packets, "DNS over HTTPS"),
        (Talk().open().send(True, hello_with(0xFE0D, b"\0" * 40)).packets, "Encrypted ClientHello"),
        ([udp(True, b"\x41" * 40, server=SERVER, server_port=853)], "DNS over QUIC"),
    ],
)
def test_protocols_that_hide_names_are_said_to(packets, how):
    notes = read(pcap(packets)).notes
    assert notes.lines() == [f"names hidden by {how}: 1"]
    assert not notes.partial


def test_ordinary_connections_hide_nothing():
    packets = secure("a.example").packets + lookup("dns.google")
    assert read(pcap(packets)).notes.lines() == []


# --- HTTP -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        (b"GET / HTTP/1.1\r\nHost: H.Example:8080\r\n\r\n", "h.example"),
        (b"POST /x HTTP/1.1\r\nX: 1\r\nhost:\th.example.\r\nA: " + b"b" * 3000, "h.example"),
        (b"GET / HTTP/1.0\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n", ""),
        (b"NONSENSE" * 10, ""),
    ],
)
def test_http_host(request_, host):
    for parts in (cut(request_, 5), cut(request_, 1, 20, 25)):
        talk = Talk(server_port=80).open()
        for part in parts:
            talk.send(True, part)
        traffic = read(pcap(talk.send(False, b"HTTP/1.1 200 OK\r\n\r\n").packets))
        assert only(traffic).http_host == host
        assert not traffic.notes.partial


# --- DNS --------------------------------------------------------------------------------------


def test_a_look_up_with_its_chain():
    (one,) = read(
        pcap(lookup("Www.Example", through=["edge.cdn.example", "e1.cdn.example"]))
    ).lookups
    assert (one.question, one.type, one.rcode) == ("www.example", "A", 0)
    assert one.addresses == (SERVER,)
    assert one.chain == ("edge.cdn.example", "e1.cdn.example")
    assert (one.client_mac, one.client, one.transport) == (ECHO_MAC, ECHO, "udp")
    assert one.time == pytest.approx(START)


def test_glue_and_strangers_answer_nobody_s_question():
    given = answer("a.example", glue=[("ns.example", "198.18.9.9")])
    (one,) = read(pcap([udp(False, given)])).lookups
    assert one.addresses == (SERVER,)
    from scapy.layers.dns import DNS, DNSQR, DNSRR

    stranger = bytes(
        DNS(
            id=7,
            qr=1,
            qd=DNSQR(qname="a.example"),
            an=[DNSRR(rrname="b.example", rdata="198.18.9.9")],
        )
    )
    (one,) = read(pcap([udp(False, stranger)])).lookups
    assert one.addresses == ()


def test_blocked_unanswered_and_unknown_names():
    packets = lookup("blocked.example", "0.0.0.0", number=1)
    packets += lookup("gone.example", None, number=2, rcode=3)
    packets += [udp(True, question("silent.example", number=3))]
    found = {one.question: one for one in read(pcap(packets)).lookups}
    assert found["blocked.example"].blocked
    assert (found["gone.example"].rcode, found["gone.example"].blocked) == (3, False)
    assert not found["silent.example"].answered


def test_https_records_give_hints():
    from scapy.layers.dns import DNS, DNSQR

    hints = b"\0\1\0" + struct.pack("!HH", 4, 8) + bytes([198, 18, 1, 5, 198, 18, 1, 6])
    head = bytes(DNS(id=7, qr=1, ancount=1, qd=DNSQR(qname="a.example", qtype="HTTPS")))
    record = b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 60, len(hints)) + hints
    (one,) = read(pcap([udp(False, head[:6] + b"\0\1" + head[8:] + record)])).lookups
    assert (one.type, one.addresses) == ("HTTPS", (SERVER, "198.18.1.6"))


def test_dns_over_tcp_in_pieces():
    messages = [question("a.example", number=1), question("b.example", number=2)]
    replies = [answer("a.example", number=1), answer("b.example", "198.18.1.6", number=2)]

    def framed(parts):
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    talk = Talk(server_port=53).open()
    for part in cut(framed(messages), 1, 20):
        talk.send(True, part)
    for part in cut(framed(replies), 1, 2, 30, 60):
        talk.send(False, part)
    found = read(pcap(talk.packets)).lookups
    assert [(one.question, one.addresses, one.transport) for one in found] == [
        ("a.example", (SERVER,), "tcp"),
        ("b.example", ("198.18.1.6",), "tcp"),
    ]


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\x01a\xc0\x0c", b"\x3f" + b"a" * 10, b"\x40", b"\xc0", b"\xc0\xff"],
    ids=["self", "loop", "cut", "reserved", "half", "beyond"],
)
def test_hostile_dns_names_are_counted_as_malformed(name):
    data = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0) + name + b"\0\1\0\1"
    traffic = read(pcap([udp(False, data)]))
    assert traffic.lookups == []
    assert traffic.notes.unread == {"DNS messages malformed": 1}


@pytest.mark.parametrize(("server", "port"), [("224.0.0.251", 5353), ("224.0.0.252", 5355)])
def test_multicast_dns_is_not_a_look_up(server, port):
    asked = udp(True, question("printer.local"), server=server, server_port=port, port=port)
    traffic = read(pcap([asked]))
    assert traffic.lookups == []
    assert only(traffic).server == server
