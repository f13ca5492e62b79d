"""Makes small captures with known truth: files by hand, packets by scapy, hellos by OpenSSL."""

from __future__ import annotations

import contextlib
import datetime
import io
import ssl
import struct
import tempfile
from functools import cache

from echoaudit.outcomes.traffic import Traffic, read_stream

ECHO_MAC, GATEWAY_MAC = "02:00:00:00:00:01", "02:00:00:00:00:fe"
ECHO, GATEWAY, SERVER = "192.168.77.10", "192.168.77.1", "198.18.1.5"
START = 1_700_000_000.0

Packet = tuple[float, bytes]


# --- files ------------------------------------------------------------------------------------


def pcap(packets, *, order="<", nano=False, link=1, snaplen=262144) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for time, data in packets:
        fraction = round((time % 1) * (10**9 if nano else 10**6))
        kept = data[:snaplen]
        out.append(struct.pack(order + "IIII", int(time), fraction, len(kept), len(data)) + kept)
    return b"".join(out)


def block(kind: int, body: bytes, order="<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order="<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def option(code: int, value: bytes, order="<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def interface(link=1, order="<", resolution=None, offset=None, snaplen=0) -> bytes:
    options = b""
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset is not None:
        options += option(14, struct.pack(order + "q", offset), order)
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(time, data, *, number=0, per_second=10**6, order="<", offset=0) -> bytes:
    ticks = round((time - offset) * per_second)
    head = struct.pack(
        order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)
    )
    return block(6, head + data, order)


def pcapng(packets, order="<") -> bytes:
    blocks = [enhanced(time, data, order=order) for time, data in packets]
    return section(order) + interface(order=order) + b"".join(blocks)


def read(data: bytes, scanner="") -> Traffic:
    return read_stream(io.BytesIO(data), scanner=scanner)


# --- packets ----------------------------------------------------------------------------------


def frame(payload, *, source=ECHO, target=SERVER, up=True) -> bytes:
    """An Ethernet frame of a scapy transport layer between the Echo and somebody."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    network = IPv6 if ":" in source else IP
    macs = (ECHO_MAC, GATEWAY_MAC) if up else (GATEWAY_MAC, ECHO_MAC)
    return bytes(Ether(src=macs[0], dst=macs[1]) / network(src=source, dst=target) / payload)


class Talk:
    """A TCP connection as frames, from SYN to FIN; each call moves time on by 10 ms."""

    def __init__(
        self, port=40000, server=SERVER, server_port=443, client=ECHO, start=START, isn=1000
    ):
        self.ends = ((client, port), (server, server_port))
        self.next = [isn, isn + 4_000_000_000]
        self.time = start
        self.packets: list[Packet] = []

    def segment(self, up: bool, data=b"", flags="A", sequence=None) -> Packet:
        from scapy.layers.inet import TCP

        me = 0 if up else 1
        sequence = self.next[me] if sequence is None else sequence
        (source, sport), (target, dport) = self.ends[me], self.ends[1 - me]
        head = TCP(sport=sport, dport=dport, seq=sequence % 2**32,
                   ack=self.next[1 - me] % 2**32, flags=flags)  # fmt: skip
        self.time += 0.01
        return self.time, frame(head / data, source=source, target=target, up=up)

    def send(self, up: bool, data=b"", flags="A") -> Talk:
        self.packets.append(self.segment(up, data, flags))
        self.next[0 if up else 1] += len(data) + ("S" in flags) + ("F" in flags)
        return self

    def open(self) -> Talk:
        return self.send(True, flags="S").send(False, flags="SA").send(True)

    def close(self) -> Talk:
        return self.send(True, flags="FA").send(False, flags="FA").send(True)


def udp(
    up: bool, data: bytes, *, port=50000, server=GATEWAY, server_port=53, time=START, client=ECHO
):
    from scapy.layers.inet import UDP

    ends = ((client, port), (server, server_port))
    (source, sport), (target, dport) = ends if up else ends[::-1]
    return time, frame(UDP(sport=sport, dport=dport) / data, source=source, target=target, up=up)


def question(name: str, kind="A", number=7) -> bytes:
    from scapy.layers.dns import DNS, DNSQR

    return bytes(DNS(id=number, qd=DNSQR(qname=name, qtype=kind)))


def answer(name: str, address=SERVER, *, number=7, through=(), kind="A", rcode=0, glue=()) -> bytes:
    from scapy.layers.dns import DNS, DNSQR, DNSRR

    owners = [name, *through]
    records = [
        DNSRR(rrname=owner, type="CNAME", rdata=target)
        for owner, target in zip(owners, through, strict=False)
    ]
    if address:
        records.append(DNSRR(rrname=owners[-1], type=kind, rdata=address))
    extra = [DNSRR(rrname=host, type="A", rdata=ip) for host, ip in glue]
    return bytes(
        DNS(id=number, qr=1, rcode=rcode, qd=DNSQR(qname=name, qtype=kind), an=records, ar=extra)
    )


def lookup(name: str, address=SERVER, *, time=START, number=7, port=50000, **how) -> list[Packet]:
    return [
        udp(True, question(name, how.get("kind", "A"), number), port=port, time=time),
        udp(False, answer(name, address, number=number, **how), port=port, time=time + 0.005),
    ]


# --- hellos -----------------------------------------------------------------------------------


@cache
def authority(*names: str) -> str:
    """A self-signed certificate with its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime(2026, 1, 1)
    hosts = x509.SubjectAlternativeName([x509.DNSName(host) for host in names or ("test",)])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(9999))
        .add_extension(hosts, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    return (
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ).decode()


@cache
def handshake(
    host: str | None, version="1.3", alpn=("h2", "http/1.1"), names: tuple[str, ...] = ()
) -> tuple[bytes, bytes]:
    """The first flight of a real TLS client and of the server that answers it."""
    asked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asked.check_hostname, asked.verify_mode = False, ssl.CERT_NONE
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(authority(*names))
        file.flush()
        answering.load_cert_chain(file.name)
    limit = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    answering.maximum_version = limit
    for context in (asked, answering):
        context.set_alpn_protocols(list(alpn))
    wires = [ssl.MemoryBIO() for _ in range(4)]
    client = asked.wrap_bio(wires[0], wires[1], server_hostname=host)
    server = answering.wrap_bio(wires[2], wires[3], server_side=True)
    up = _flight(client, wires[1])
    wires[2].write(up)
    return up, _flight(server, wires[3])


@cache
def retried(host: str) -> list[tuple[bool, bytes]]:
    """A TLS handshake whose server first asks for another key share (HelloRetryRequest)."""
    asked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asked.check_hostname, asked.verify_mode = False, ssl.CERT_NONE
    answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(authority())
        file.flush()
        answering.load_cert_chain(file.name)
    answering.set_ecdh_curve("secp384r1")
    wires = [ssl.MemoryBIO() for _ in range(4)]
    client = asked.wrap_bio(wires[0], wires[1], server_hostname=host)
    server = answering.wrap_bio(wires[2], wires[3], server_side=True)
    flights = []
    for _ in range(2):
        up = _flight(client, wires[1])
        wires[2].write(up)
        down = _flight(server, wires[3])
        wires[0].write(down)
        flights += [(True, up), (False, down)]
    return flights


def _flight(side: ssl.SSLObject, out: ssl.MemoryBIO) -> bytes:
    with contextlib.suppress(ssl.SSLWantReadError):
        side.do_handshake()
    return out.read()


def secure(host: str, version="1.3", **how) -> Talk:
    """A whole TLS connection to a host."""
    up, down = handshake(host, version)
    return (
        Talk(**how)
        .open()
        .send(True, up)
        .send(False, down)
        .send(True, b"\x17\x03\x03\0\5hello")
        .close()
    )


def records_of(hello: bytes, size: int) -> bytes:
    """A handshake message cut over several TLS records."""
    body = hello[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


def quic_datagrams(host: str, version=1, padded=0) -> list[bytes]:
    """The first flight of a real QUIC client."""
    return [data for data, _ in _quic_client(host, version, padded).datagrams_to_send(now=0.0)]


def quic_retry(host: str, padded=0) -> tuple[list[bytes], bytes, list[bytes]]:
    """A QUIC client's first flight, the server's Retry, and the flight that follows it."""
    from aioquic.quic.packet import encode_quic_retry

    client = _quic_client(host, 1, padded)
    first = [data for data, _ in client.datagrams_to_send(now=0.0)]
    given, own = first[0][6 : 6 + first[0][5]], client.host_cid
    retry = encode_quic_retry(1, b"server's", own, given, b"token" * 4)
    client.receive_datagram(retry, (SERVER, 443), now=0.1)
    return first, retry, [data for data, _ in client.datagrams_to_send(now=0.2)]


def _quic_client(host: str, version: int, padded: int):
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    alpn = ["h3", *(f"padding-{number:04d}-" + "x" * 200 for number in range(padded))]
    settings = QuicConfiguration(
        is_client=True, server_name=host, alpn_protocols=alpn, original_version=version,
        supported_versions=[version],
    )  # fmt: skip
    connection = QuicConnection(configuration=settings)
    connection.connect((SERVER, 443), now=0.0)
    return connection
