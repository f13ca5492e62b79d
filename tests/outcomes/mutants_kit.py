"""Damages captures at random; the reader must neither fail, hang nor lose packets in silence."""

from __future__ import annotations

import gzip
import random
import time
import traceback
from dataclasses import dataclass

import zstandard
from captures_kit import (
    Talk,
    answer,
    lookup,
    pcap,
    pcapng,
    question,
    quic_datagrams,
    read,
    secure,
    udp,
)

from echoaudit.errors import BadInput
from echoaudit.outcomes.traffic import Traffic, quick

SLOW = 1.0
"""CPU seconds for a few kilobytes, beyond which the reader counts as hanging."""


@dataclass
class Result:
    """What became of a number of mutants."""

    mutants: int = 0
    failed: int = 0
    failure: str = ""
    """The first traceback."""
    refused: int = 0
    """No capture any more, said in one line."""
    silent: int = 0
    """Packets missing from the flows without a note."""
    different: int = 0
    """Read otherwise by the scanner in C than by the one in Python."""
    slow: int = 0
    slowest: float = 0.0


def seeds() -> list[bytes]:
    """Captures of DNS, TLS, QUIC and HTTP in several containers and links."""
    packets = lookup("a.example", through=["b.example"]) + secure("a.example").packets
    packets += [
        udp(True, data, server="198.18.1.9", server_port=443)
        for data in quic_datagrams("q.example", padded=8)
    ]
    request = b"GET / HTTP/1.1\r\nHost: h.example\r\n\r\n"
    packets += Talk(server_port=80, port=41000).open().send(True, request).packets
    asked, answered = question("t.example"), answer("t.example")
    packets += (
        Talk(server_port=53, port=41001)
        .open()
        .send(True, len(asked).to_bytes(2, "big") + asked)
        .send(False, len(answered).to_bytes(2, "big") + answered)
        .packets
    )
    packets += secure("c.example", "1.2", port=41002).packets
    raw = [(t, data[14:]) for t, data in packets]
    tagged = [(t, data[:12] + b"\x81\0\0\5" + data[12:]) for t, data in packets]
    return [
        pcap(packets),
        pcapng(packets),
        pcap(packets, order=">"),
        pcapng(packets, ">"),
        pcap(packets, nano=True, snaplen=120),
        pcap(raw, link=101),
        pcap(tagged),
        gzip.compress(pcapng(packets)),
        zstandard.ZstdCompressor().compress(pcap(packets)),
    ]


def mutant(data: bytes, random_: random.Random) -> bytes:
    """A copy with bits, bytes or stretches changed, removed, added or doubled."""
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


def trial(count: int, seed: int) -> Result:
    """Read so many mutants with every scanner that is there."""
    scanners = ["c", "python"] if quick.available() else ["python"]
    random_ = random.Random(seed)
    originals = seeds()
    result = Result(count)
    for number in range(count):
        data = mutant(originals[number % len(originals)], random_)
        begin = time.process_time()
        try:
            traffic = read(data, scanners[0])
            result.silent += _silent(traffic)
            result.different += any(read(data, other) != traffic for other in scanners[1:])
        except BadInput:
            result.refused += 1
        except Exception:  # noqa: BLE001 -- whatever comes is what is counted
            result.failed += 1
            result.failure = result.failure or traceback.format_exc()
        took = time.process_time() - begin
        result.slow += took > SLOW * len(scanners)
        result.slowest = max(result.slowest, took)
    return result


def _silent(traffic: Traffic) -> bool:
    counted = sum(flow.packets_up + flow.packets_down for flow in traffic.flows)
    missing = traffic.packets - counted - sum(traffic.notes.other.values())
    return missing < 0 or (missing > 0 and not traffic.notes.unread)
