"""Which servers are asked for their names, what they answer, and what is kept of it."""

import datetime
import json
import random
import socket
import ssl
import struct
import threading
import time
from ipaddress import IPv4Network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from echoaudit.instruments.gateway import asking, probes, unnamed
from echoaudit.instruments.gateway.lan import Client
from echoaudit.instruments.gateway.probes import Prober
from echoaudit.instruments.gateway.unnamed import (
    Server,
    addresses_answered,
    server_name,
    unnamed_servers,
)
from echoaudit.recording import formats

asking.prepare()
from scapy.layers.dns import DNS, DNSRR  # noqa: E402
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.utils import PcapNgReader, PcapNgWriter  # noqa: E402

MAC, ECHO = "fc:a1:83:00:00:01", "192.168.77.10"
LAN = IPv4Network("192.168.77.0/24")
CLIENT = Client("fashion-1", MAC, ECHO, "pinned")
FAR = "198.18.0.9"


# --- whom to ask ------------------------------------------------------------------------------


def hello(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def tcp(payload, *, address=FAR, port=443, own=40000, opened=True, parts=1):
    """What the device sends on one connection, its payload in so many segments, last one first."""
    frame = Ether(src=MAC, dst="02:00:00:00:00:99") / IP(src=ECHO, dst=address)
    packets = [frame / TCP(sport=own, dport=port, flags="S", seq=999)] if opened else []
    step = -(-len(payload) // parts) or 1
    cuts = [(at, payload[at : at + step]) for at in range(0, len(payload), step)]
    for at, piece in reversed(cuts):
        packets.append(frame / TCP(sport=own, dport=port, flags="PA", seq=1000 + at) / piece)
    return packets


def udp(address, port):
    frame = Ether(src=MAC, dst="02:00:00:00:00:99") / IP(src=ECHO, dst=address)
    return [frame / UDP(sport=50000, dport=port) / b"x"]


def capture(folder, *talks):
    path = folder / "traffic.pcapng"
    with PcapNgWriter(str(path)) as out:
        for packet in (packet for talk in talks for packet in talk):
            out.write(packet)
    return path


def found(folder, *talks, known=()):
    return unnamed_servers(capture(folder, *talks), MAC, LAN, frozenset(known))


def test_a_connection_that_names_its_server_leaves_nothing_to_ask(tmp_path):
    assert found(tmp_path, tcp(hello("api.example"), parts=3)) == []
    request = b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n"
    assert found(tmp_path, tcp(request, port=80)) == []
    assert found(tmp_path, tcp(hello(None)), known=[FAR]) == []


def test_a_server_without_a_name_is_asked(tmp_path):
    assert found(tmp_path, tcp(hello(None))) == [Server(FAR, 443, True)]
    assert found(tmp_path, tcp(b"\x17\x03\x03...", opened=False)) == [Server(FAR, 443, True)]
    assert found(tmp_path, tcp(b"HELO\r\n", port=7000)) == [Server(FAR, 7000, False)]
    assert found(tmp_path, udp(FAR, 123)) == [Server(FAR, 123, False)]


def test_a_name_that_the_device_gave_there_is_sent_along(tmp_path):
    talks = tcp(hello("api.example")), tcp(hello(None), own=40001)
    assert found(tmp_path, *talks) == [Server(FAR, 443, True, "api.example")]


def test_neighbours_resolvers_quic_and_attempts_are_not_asked(tmp_path):
    near = [tcp(hello(None), address=one) for one in ("192.168.77.20", "127.0.0.1", "169.254.1.1")]
    near += [udp("239.255.255.250", 1900), udp("255.255.255.255", 67)]
    assert found(tmp_path, *near, udp(FAR, 443), udp(FAR, 53), tcp(b"")) == []


def test_a_cut_capture_and_other_devices_frames_are_harmless(tmp_path):
    path = capture(tmp_path, tcp(hello(None)))
    path.write_bytes(path.read_bytes()[:-9])
    assert unnamed_servers(path, MAC, LAN, frozenset()) == []
    assert unnamed_servers(path, "02:00:00:00:00:01", LAN, frozenset()) == []


def test_a_capture_of_a_machine_with_the_other_byte_order_is_read(tmp_path):
    path = capture(tmp_path, tcp(hello(None)))
    with PcapNgReader(str(path)) as packets:
        frames = [bytes(packet) for packet in packets]
    path.write_bytes(
        struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
        + struct.pack(">IIHHII", 1, 20, 1, 0, 0, 20)
        + b"".join(block(frame) for frame in frames)
    )
    assert unnamed_servers(path, MAC, LAN, frozenset()) == [Server(FAR, 443, True)]


def block(frame):
    """An Enhanced Packet Block with its bytes in network order."""
    data = frame + bytes(-len(frame) % 4)
    length = 32 + len(data)
    head = struct.pack(">IIIIIII", 6, length, 0, 0, 0, len(frame), len(frame))
    return head + data + struct.pack(">I", length)


def test_without_a_log_dns_answers_in_the_capture_name_servers(tmp_path):
    def told(data, mac=MAC, port=53):
        frame = Ether(src="02:00:00:00:00:99", dst=mac) / IP(src="192.168.77.1", dst=ECHO)
        return [frame / UDP(sport=port, dport=40000) / data]

    def answer(address):
        record = DNSRR(rrname="a.example", type="A", rdata=address)
        return bytes(DNS(qr=1, an=[DNSRR(rrname="a.example", type="CNAME", rdata="b"), record]))

    other = told(answer("198.18.0.7"), mac="02:00:00:00:00:01")
    plain, junk = told(answer("198.18.0.8"), port=5353), told(b"\xff" * 40)
    capture(tmp_path, junk, told(answer(FAR)), other, plain)
    assert addresses_answered(tmp_path, MAC) == {FAR}
    (tmp_path / "names.jsonl").write_text('{"event": "reply", "answer": "198.18.0.6"}\n')
    assert addresses_answered(tmp_path, MAC) == {"198.18.0.6"}


@pytest.mark.parametrize("junk", [b"", b"\x16\x03\x01", b"\x16" * 900, bytes(range(256)) * 8])
def test_what_is_no_hello_has_no_server_name(junk):
    assert server_name(junk) == ""


# --- asking -----------------------------------------------------------------------------------


def certificate(names, common="server"):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Authority")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(
        issuer, subject, key.public_key(), 7, start, start + datetime.timedelta(days=900)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        made = made.add_extension(alternative, critical=False)
    return made.sign(key, hashes.SHA256()), key


class TlsServer:
    """Serves one certificate on the loopback and counts who came."""

    def __init__(self, folder, names, common="server"):
        made, key = certificate(names, common)
        pem = folder / "server.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.asked = []
        self.context.sni_callback = lambda _tls, name, _context: self.asked.append(name)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                link, _ = self.socket.accept()
                self.context.wrap_socket(link, server_side=True).close()
            except (ssl.SSLError, ConnectionError):
                continue
            except OSError:
                return


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """What is asked here answers at once, but a busy machine may not."""
    monkeypatch.setattr(probes, "BUDGET", 120.0)


@pytest.fixture
def tls(tmp_path):
    server = TlsServer(tmp_path, ["api.example", "*.cdn.example"])
    yield server
    server.socket.close()


def soon(seconds=60.0):
    return time.monotonic() + seconds


def test_a_certificate_is_read_without_trusting_it(tls):
    der = asking.certificate("127.0.0.1", tls.port, None, soon())
    assert asking.names_on(der) == (("api.example", "*.cdn.example"), "Test Authority")
    asking.certificate("127.0.0.1", tls.port, "api.example", soon())
    assert tls.asked == [None, "api.example"]


def test_a_certificate_without_names_has_its_common_name():
    made, _ = certificate([], "old.example\n\x1b[2J")
    names, _ = asking.names_on(made.public_bytes(serialization.Encoding.DER))
    assert names == ("old.example\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[2J",)


def listener(answer):
    """A TCP server that answers each connection with these bytes, or is silent (None)."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        links = []
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return
            links.append(link)
            if answer is not None:
                link.sendall(answer)
                link.recv(4096)
                link.close()

    threading.Thread(target=serve, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("answer", "failure"),
    [(None, "timeout"), (b"220 mail\r\n", "no-handshake"), (b"", "closed")],
)
def test_a_server_that_speaks_no_tls_is_a_reason_not_an_error(answer, failure):
    until = soon(0.3) if failure == "timeout" else soon()
    with listener(answer) as server, pytest.raises(asking.Unanswered, match=failure):
        asking.certificate("127.0.0.1", server.getsockname()[1], None, until)


def test_a_closed_port_is_refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody else can have it
        with pytest.raises(asking.Unanswered, match="refused"):
            asking.certificate("127.0.0.1", closed.getsockname()[1], None, soon())


@pytest.mark.parametrize("name", [".", "a" * 70 + ".example", ".example", "a..example"])
def test_a_server_name_that_is_none_is_not_sent(tls, name):
    with pytest.raises(asking.Unanswered, match="no-handshake"):
        asking.certificate("127.0.0.1", tls.port, name, soon())
    assert tls.asked == []


def test_damaged_certificates_are_bad_or_read_and_never_an_error():
    made, _ = certificate(["a.example", "b.example"])
    whole = made.public_bytes(serialization.Encoding.DER)
    rng = random.Random(3)
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            names, issuer = asking.names_on(bytes(data[: rng.choice((len(data), 90))]))
        except asking.Unanswered as reason:
            assert reason.failure == "bad-certificate"
        else:
            assert all(name.isprintable() for name in (*names, issuer or ""))


def test_a_certificate_that_is_none_is_bad():
    with pytest.raises(asking.Unanswered, match="bad-certificate"):
        asking.names_on(b"\x30\x03junk")


class Resolver:
    """A name server on the loopback; ``answer`` makes the message for a query."""

    def __init__(self):
        self.answer = pointing()
        self.questions = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1#{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(4096)
                query = DNS(data)
                self.questions.append(query.qd[0].qname.decode())
                other = bytes([data[0] ^ 255, data[1]]) + b"not what was asked"
                self.socket.sendto(other, peer)
                self.socket.sendto(self.answer(query), peer)
            except OSError:
                return


@pytest.fixture
def resolver():
    server = Resolver()
    yield server
    server.socket.close()


def pointing(*names, code=0):
    def answer(query):
        records = [DNSRR(rrname=query.qd[0].qname, type="PTR", rdata=name) for name in names]
        return bytes(DNS(id=query.id, qr=1, rcode=code, qd=query.qd, an=records))

    return answer


def test_reverse_dns_gives_an_address_s_names(resolver):
    resolver.answer = pointing("edge-1.example.", "edge-2.example.")
    assert asking.pointers(FAR, resolver.address, soon()) == ("edge-1.example", "edge-2.example")
    assert resolver.questions == ["9.0.18.198.in-addr.arpa."]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (pointing(code=3), "no-name"),
        (pointing(), "no-name"),
        (pointing(code=2), "server-failure"),
        (lambda query: query.id.to_bytes(2, "big") + b"\xff" * 9, "bad-answer"),
        (lambda query: b"", "timeout"),
    ],
    ids=["no such name", "no names", "failing", "malformed", "silent"],
)
def test_no_answer_has_a_reason(resolver, answer, failure):
    resolver.answer = answer
    until = soon(0.3) if failure == "timeout" else soon()
    with pytest.raises(asking.Unanswered, match=failure):
        asking.pointers(FAR, resolver.address, until)


# --- a session --------------------------------------------------------------------------------


def session(folder, *talks, names=()):
    folder.mkdir()
    capture(folder, *talks)
    events = [{"event": "reply", "name": "a.example", "answer": answer} for answer in names]
    lines = [json.dumps(event) + "\n" for event in events]
    (folder / "names.jsonl").write_text("".join(lines))
    return folder


def written(folder):
    formats.check(folder / "probes.jsonl")
    return [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]


def test_a_session_s_nameless_servers_are_asked_once_in_a_run(tmp_path, tls, resolver, monkeypatch):
    # The only server that a test can be is on the loopback, which is never asked.
    monkeypatch.setattr(unnamed, "_is_near", lambda address, network: False)
    resolver.answer = pointing("host-1.example")
    talk = tcp(hello(None), address="127.0.0.1", port=tls.port)
    prober = Prober(resolver.address, LAN, patience=60.0)
    first, second = (session(tmp_path / name, talk) for name in "ab")
    prober.write(CLIENT, first)
    prober.write(CLIENT, second)
    told, pointed = written(first)
    assert (told["question"], told["address"], told["port"]) == (
        "certificate", "127.0.0.1", tls.port,
    )  # fmt: skip
    assert (told["names"], told["issuer"]) == (["api.example", "*.cdn.example"], "Test Authority")
    assert (told["sni"], told["failure"]) == (None, None)
    assert abs(told["time"] - time.time()) < 60
    assert (pointed["question"], pointed["names"]) == ("ptr", ["host-1.example"])
    assert written(second) == written(first)
    assert (len(tls.asked), len(resolver.questions)) == (1, 1)


def test_addresses_that_dns_gave_earlier_in_the_run_are_not_asked(tmp_path, resolver):
    prober = Prober(resolver.address, LAN)
    prober.write(CLIENT, session(tmp_path / "a", names=[FAR, "NODATA"]))
    prober.write(CLIENT, session(tmp_path / "b", tcp(hello(None))))
    assert written(tmp_path / "a") == written(tmp_path / "b") == []
    assert resolver.questions == []


def test_number_and_time_are_bounded_and_what_is_left_out_is_said(tmp_path, resolver, monkeypatch):
    monkeypatch.setattr(probes, "MOST_SERVERS", 2)
    resolver.answer = pointing("host-1.example")
    talks = [udp(f"198.18.0.{n}", 123) for n in (1, 2, 3)]
    patient = Prober(resolver.address, LAN, patience=60.0)
    patient.write(CLIENT, session(tmp_path / "a", *talks))
    assert [line["failure"] for line in written(tmp_path / "a")] == [None, None, "not-asked"]
    monkeypatch.setattr(probes, "BUDGET", 0.0)
    Prober(resolver.address, LAN).write(CLIENT, session(tmp_path / "b", *talks))
    assert {line["failure"] for line in written(tmp_path / "b")} == {"not-asked"}
    assert len(resolver.questions) == 2


def test_the_reasons_are_those_that_the_format_knows():
    assert asking.Failure.__args__ == formats.PROBE_FAILURES
