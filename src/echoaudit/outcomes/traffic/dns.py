"""DNS messages to questions and answers (RFC 1035, RFC 9460), safe on hostile input."""

from __future__ import annotations

import re
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from echoaudit.outcomes.traffic.headers import address

_PLAIN = re.compile(rb"[A-Za-z0-9_-]+")
_head = Struct("!HHHHHH").unpack_from
_one = Struct("!H").unpack_from
_two = Struct("!HH").unpack_from
_record = Struct("!HHIH").unpack_from

A, NS, CNAME, PTR, TXT, AAAA, SVCB, HTTPS = 1, 2, 5, 12, 16, 28, 64, 65
_SIZES = {A: 4, AAAA: 16}
TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA",
    33: "SRV", 35: "NAPTR", 43: "DS", 46: "RRSIG", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS",
    255: "ANY",
}  # fmt: skip
MOST_QUESTIONS = 4
_LONGEST_KEPT = 512
"""Bytes of a message that is remembered."""
MOST_RECORDS = 512
"""Answers read of one message; a UDP message cannot hold many more."""


class Malformed(ValueError):
    """Bytes that are no DNS message."""


class Message(NamedTuple):
    """What one DNS message says about its (first) question."""

    response: bool
    question: str
    """Lower case, without the final dot."""
    type: str
    rcode: int
    truncated: bool
    addresses: tuple[str, ...]
    """IP addresses of the question's name, through its CNAME chain; hints of HTTPS included."""
    chain: tuple[str, ...]
    """Canonical names after the question's, in order."""


def parse(data: bytes) -> Message:
    """Read one DNS message; raises ``Malformed``.

    Only the answer section counts: additional records (glue) answer nobody's question, nor do
    answers whose owner the question's chain does not reach.
    """
    if len(data) > _LONGEST_KEPT:
        return _parse(data)
    return _kept(b"\0\0" + data[2:])


def _parse(data: bytes) -> Message:
    if len(data) < 12:
        raise Malformed("shorter than a header")
    _, flags, questions, answers, _, _ = _head(data, 0)
    if not questions:
        raise Malformed("without a question")
    name, at = _name(data, 12)
    if at + 4 > len(data):
        raise Malformed("question cut")
    kind, _ = _two(data, at)
    at += 4
    for _ in range(min(questions, MOST_QUESTIONS) - 1):
        at = _name(data, at)[1] + 4
    found = _answers(data, at, min(answers, MOST_RECORDS))
    chain = _chain(name, found)
    addresses = _addresses({name, *chain}, found)
    return Message(
        bool(flags & 0x8000),
        name,
        TYPES.get(kind, f"TYPE{kind}"),
        flags & 15,
        bool(flags & 0x0200),
        addresses,
        chain,
    )


_kept = lru_cache(maxsize=1024)(_parse)
"""Devices ask the same again and again; only the identity, which is no part of this, is new."""


class _Answer(NamedTuple):
    owner: str
    type: int
    at: int
    data: bytes
    target: str


def _answers(data: bytes, at: int, count: int) -> list[_Answer]:
    found = []
    for _ in range(count):
        owner, at = _name(data, at)
        if at + 10 > len(data):
            raise Malformed("answer cut")
        kind, _, _, length = _record(data, at)
        at += 10
        if at + length > len(data):
            raise Malformed("answer cut")
        target = _name(data, at)[0] if kind == CNAME else ""
        found.append(_Answer(owner, kind, at, data[at : at + length], target))
        at += length
    return found


def _chain(name: str, answers: list[_Answer]) -> tuple[str, ...]:
    following = {answer.owner: answer.target for answer in answers if answer.type == CNAME}
    chain: list[str] = []
    while (name := following.pop(name, "")) != "":
        chain.append(name)
    return tuple(chain)


def _addresses(names: set[str], answers: list[_Answer]) -> tuple[str, ...]:
    found: list[str] = []
    for answer in answers:
        if answer.owner not in names:
            continue
        if _SIZES.get(answer.type) == len(answer.data):
            found.append(address(answer.data))
        elif answer.type in (SVCB, HTTPS):
            found.extend(_hints(answer.data))
    return tuple(dict.fromkeys(found))


def _hints(data: bytes) -> list[str]:
    """Addresses in the ipv4hint (4) and ipv6hint (6) of service parameters."""
    if len(data) < 3:
        return []
    found: list[str] = []
    at = _name(data, 2)[1]
    while at + 4 <= len(data):
        key, length = _two(data, at)
        value = data[at + 4 : at + 4 + length]
        at += 4 + length
        if key == 4:
            found += [address(value[i : i + 4]) for i in range(0, len(value) - 3, 4)]
        elif key == 6:
            found += [address(value[i : i + 16]) for i in range(0, len(value) - 15, 16)]
    return found


def _name(data: bytes, at: int) -> tuple[str, int]:
    """A name and the offset after it; each pointer must lead further back, so loops end."""
    labels: list[str] = []
    after, lowest, total = 0, at, 0
    while True:
        if at >= len(data):
            raise Malformed("name cut")
        length = data[at]
        if length == 0:
            return ".".join(labels), after or at + 1
        if length >= 0xC0:
            if at + 2 > len(data):
                raise Malformed("name cut")
            after = after or at + 2
            at = _one(data, at)[0] & 0x3FFF
            if at >= lowest:
                raise Malformed("compression pointer that does not lead back")
            lowest = at
            continue
        total += length + 1
        if length > 63 or total > 255 or at + 1 + length > len(data):
            raise Malformed("label of impossible length")
        labels.append(_label(data[at + 1 : at + 1 + length]))
        at += 1 + length


@lru_cache(maxsize=4096)
def _label(raw: bytes) -> str:
    """Lower-case text; bytes that no host name has are written as ``\\ddd`` (RFC 4343)."""
    if _PLAIN.fullmatch(raw):
        return raw.decode("ascii").lower()
    return "".join(
        chr(byte).lower() if 33 <= byte < 127 and byte not in b'."\\' else f"\\{byte:03d}"
        for byte in raw
    )
