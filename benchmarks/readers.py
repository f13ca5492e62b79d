"""One capture reader each, to be measured as a process of its own: ``readers.py NAME FILE``.

Each prints one JSON object: ``packets``, ``octets``, ``ends`` (rows of both ends, protocol, packets
and bytes, both ways together), ``names`` (rows of both ends, protocol and the names seen),
``lookups`` (rows of question, type and addresses), ``cpu`` (seconds, the whole process until it had
read everything) and ``peak`` (bytes of memory). What only the measuring needs is loaded afterwards.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

SCAPY_PACKETS = 20_000
"""scapy reads so many packets only: it needs minutes for the rest."""
_Ends = tuple[str, int, str, int, str]


def usage(*, program: bool = False) -> dict[str, float]:
    """CPU seconds and peak memory of this process and its children, or of the children alone."""
    usages = [getrusage(RUSAGE_CHILDREN), *([] if program else [getrusage(RUSAGE_SELF)])]
    return {
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "peak": max(usage.ru_maxrss for usage in usages) * 1024,
    }


class Table:
    """Connections without regard to direction, so that readers that differ in it compare."""

    def __init__(self) -> None:
        self.ends: dict[_Ends, list[int]] = defaultdict(lambda: [0, 0])
        self.names: dict[_Ends, set[str]] = defaultdict(set)

    def add(self, ends: _Ends, packets: int, octets: int, name: str = "") -> None:
        """Count packets of a connection, and its name if there is one."""
        client, port, server, server_port, protocol = ends
        if server_port > port:
            ends = (server, server_port, client, port, protocol)
        total = self.ends[ends]
        total[0] += packets
        total[1] += octets
        if name:
            self.names[ends].add(name)

    def write(
        self,
        packets: int,
        octets: int,
        lookups: Iterable[tuple[str, ...]] = (),
        *,
        used: dict[str, float] | None = None,
    ) -> None:
        """Print the result, and what was used until now unless it is given."""
        used = used or usage()
        import json

        found = {
            **used,
            "packets": packets,
            "octets": octets,
            "ends": [[*ends, *total] for ends, total in self.ends.items()],
            "names": [[*ends, *sorted(names)] for ends, names in self.names.items()],
            "lookups": sorted(set(lookups)),
        }
        sys.stdout.write(json.dumps(found))


def echoaudit(path: Path) -> None:
    """This project: everything; the environment says with which of its scanners."""
    from echoaudit.outcomes.traffic import read_capture

    traffic = read_capture(path)
    used = usage()
    table = Table()
    for f in traffic.flows:
        ends = (f.client, f.client_port, f.server, f.server_port, f.protocol)
        octets = f.bytes_up + f.bytes_down
        table.add(ends, f.packets_up + f.packets_down, octets, f.sni or f.http_host)
    lookups = [(one.question, one.type, *one.addresses) for one in traffic.lookups]
    table.write(traffic.packets, traffic.octets, lookups, used=used)


def nfstream(path: Path) -> None:
    """nfstream with nDPI, one meter, its statistics off."""
    from nfstream import NFStreamer

    table = Table()
    packets = octets = 0
    options = {"statistical_analysis": False, "n_meters": 1, "idle_timeout": 10**6}
    for f in NFStreamer(source=str(path), active_timeout=10**6, **options):
        packets += f.bidirectional_packets
        octets += f.bidirectional_bytes
        ends = (f.src_ip, f.src_port, f.dst_ip, f.dst_port, {6: "tcp", 17: "udp"}[f.protocol])
        name = "" if f.dst_port == 53 else f.requested_server_name
        table.add(ends, f.bidirectional_packets, f.bidirectional_bytes, name)
    table.write(packets, octets)


def dpkt(path: Path) -> None:
    """A loop over dpkt, as its documentation shows it, with this project's dissectors for names."""
    import dpkt
    from dpkt.utils import inet_to_str

    from echoaudit.outcomes.traffic import dns, http, tls

    packets = octets = 0
    lookups = []
    sizes: dict[tuple[Any, ...], list[int]] = {}
    named: dict[tuple[Any, ...], str] = {}
    with path.open("rb") as file:
        for _, raw in dpkt.pcap.Reader(file):
            packets += 1
            octets += len(raw)
            ip = dpkt.ethernet.Ethernet(raw).data
            carried: Any = ip.data
            data = carried.data
            key = (ip.src, carried.sport, ip.dst, carried.dport, ip.p)
            if key not in sizes:
                sizes[key] = [0, 0]
            total = sizes[key]
            total[0] += 1
            total[1] += len(raw)
            if carried.sport == 53 or carried.dport == 53:
                message = dns.parse(data)
                if message.response:
                    lookups.append((message.question, message.type, *message.addresses))
            elif data[:2] == b"\x16\x03" and data[5:6] == b"\1":
                hello = tls.hello(data)
                if isinstance(hello, tls.ClientHello):
                    named[key] = hello.sni
            elif data[:4] == b"GET ":
                named[key] = http.request_host(data) or ""
    used = usage()
    table = Table()
    for key, (count, size) in sizes.items():
        source, port, target, target_port, number = key
        ends = (inet_to_str(source), port, inet_to_str(target), target_port)
        name = named.get(key, "")
        table.add((*ends, {6: "tcp", 17: "udp"}[number]), count, size, name)
    table.write(packets, octets, lookups, used=used)


_FIELDS = [
    "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "tcp.srcport", "udp.srcport", "tcp.dstport",
    "udp.dstport", "frame.len", "tls.handshake.extensions_server_name", "http.host",
    "dns.flags.response", "dns.qry.name", "dns.qry.type", "dns.a", "dns.aaaa",
]  # fmt: skip


def tshark(path: Path) -> None:
    """The fields by ``tshark -T fields``, added up here."""
    import subprocess

    command = ["tshark", "-nr", str(path), "-T", "fields", "-E", "aggregator=;"]
    command += [part for field in _FIELDS for part in ("-e", field)]
    table = Table()
    packets = octets = 0
    lookups = []
    kinds = {"1": "A", "28": "AAAA"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            v = line.rstrip("\n").split("\t")
            packets += 1
            octets += int(v[8])
            protocol = "tcp" if v[4] else "udp"
            ends = (v[0] or v[1], int(v[4] or v[5]), v[2] or v[3], int(v[6] or v[7]), protocol)
            table.add(ends, 1, int(v[8]), v[9] or v[10])
            if v[11] in ("1", "True"):
                addresses = [a for a in (v[14] + ";" + v[15]).split(";") if a]
                lookups.append((v[12], kinds[v[13]], *addresses))
    if process.returncode:
        raise SystemExit(process.returncode)
    table.write(packets, octets, lookups, used=usage(program=True))


def scapy(path: Path) -> None:
    """The first packets of the capture by scapy's PcapReader, with its TLS layers."""
    from scapy.layers.inet import TCP, UDP
    from scapy.layers.l2 import Ether  # noqa: F401
    from scapy.layers.tls.all import TLSClientHello  # noqa: F401
    from scapy.utils import PcapReader

    table = Table()
    packets = octets = 0
    with PcapReader(str(path)) as reader:
        for packet in reader:
            carried = packet[TCP] if TCP in packet else packet[UDP]
            ip = carried.underlayer
            packets += 1
            octets += len(packet)
            ends = (ip.src, carried.sport, ip.dst, carried.dport)
            table.add((*ends, "tcp" if TCP in packet else "udp"), 1, len(packet))
            if packets == SCAPY_PACKETS:
                break
    table.write(packets, octets)


def cat(path: Path) -> None:
    """Reads and does nothing: the floor."""
    import subprocess

    subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)
    Table().write(0, 0, used=usage(program=True))


READERS: dict[str, Callable[[Path], None]] = {
    "c": echoaudit,
    "python": echoaudit,
    **{reader.__name__: reader for reader in (cat, nfstream, dpkt, tshark, scapy)},
}


def main() -> None:
    """Let the reader that is named read the file."""
    READERS[sys.argv[1]](Path(sys.argv[2]))


if __name__ == "__main__":
    main()
