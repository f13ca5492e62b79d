"""Naming flows: which witness tells the host name behind an address.

Witnesses from the strongest: the connection's own ClientHello (``sni``, ``quic``) or request
(``http``, or ``proxy`` when it was decrypted), DNS answers to the same device in this session
(``dns``), the same connection named in an earlier session of the account (``earlier-sni``),
earlier DNS answers (``earlier-dns``), the server's certificate when the gateway asked for it
(``probe``), reverse DNS (``reverse-dns``), ``none``. A DNS answer names a flow only when it came
before the flow, and always by the name that was asked for, not by the canonical name it led to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from echoaudit.errors import BadInput
from echoaudit.outcomes.probes import Probes
from echoaudit.outcomes.traffic.flows import Flow, Lookup, is_null
from echoaudit.outcomes.traffic.tls import host as clean_host

LOG_DELAY = 1.0
"""Seconds by which the times of a resolver's log may be late."""
_LOG_AHEAD = 0.1
"""Seconds by which an answer may leave after it was logged."""
ADDRESS_UNTOLD = "IP"
"""Answer of a log that says that an address was given, but not which."""
_NAMES_KEPT = 20


class Answer(NamedTuple):
    """One address that DNS gave for a name; none when it was blocked without one."""

    time: float
    name: str
    address: str
    blocked: bool
    alias: str
    """The canonical name at the end of the CNAME chain; empty when there is none."""


class Named(NamedTuple):
    """A flow's host, what told it, and other names that fit its address."""

    host: str
    witness: str
    others: tuple[str, ...]
    """Each with its strongest witness: ``dns:cdn.example``."""


Connection = tuple[str, int, str, int, str]


@dataclass
class Book:
    """DNS answers by address, in order of time."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def add(self, answers: Iterable[Answer]) -> None:
        """Take answers of any order."""
        touched = set()
        for answer in answers:
            self.answers[answer.address].append(answer)
            touched.add(answer.address)
        for address in touched:
            self.answers[address].sort()

    def names(self, address: str, before: float) -> list[str]:
        """Names that an address was given for until ``before``, the latest first."""
        known = self.answers.get(address, [])
        until = bisect_right(known, before, key=lambda answer: answer.time)
        return list(dict.fromkeys(answer.name for answer in reversed(known[:until])))


@dataclass
class Memory:
    """What earlier sessions of an account tell of later ones."""

    book: Book = field(default_factory=Book)
    hosts: dict[Connection, str] = field(default_factory=dict)
    """Hosts of connections that were still open at the end of their session."""

    def keep(self, named: Iterable[tuple[Flow, Named]], answers: Iterable[Answer]) -> None:
        """Remember a session's answers and open connections."""
        self.book.add(answers)
        for flow, name in named:
            if flow.state in ("established", "midstream") and name.witness in _OWN:
                self.hosts[connection(flow)] = name.host
            else:
                self.hosts.pop(connection(flow), None)


_OWN = ("sni", "quic", "http", "proxy", "earlier-sni")
"""Witnesses that belong to the connection itself."""


def connection(flow: Flow) -> Connection:
    """What tells a connection apart."""
    return flow.client, flow.client_port, flow.server, flow.server_port, flow.protocol


def name_flow(
    flow: Flow,
    here: Book,
    memory: Memory,
    decrypted: Mapping[Connection, Sequence[str]],
    probed: Probes,
) -> Named:
    """The host behind a flow by the strongest witness.

    ``decrypted`` has the hosts that the requests of decrypted connections named.
    """
    requested = decrypted.get(connection(flow), ())
    names: dict[str, str] = {}
    for name, witness in _candidates(flow, here, memory, requested):
        names.setdefault(name, witness)
    weak = list(probed.candidates(flow.server, flow.server_port))
    for found, by in weak:
        if len(found) == 1 and not names:
            names[found[0]] = by
    host = next(iter(names), "")
    for found, by in weak:
        for name in found:
            if not _covers(name, host):
                names.setdefault(name, by)
    named_by = names.pop(host, "none")
    others = [f"{witness}:{name}" for name, witness in names.items()]
    return Named(host, named_by, tuple(others[:_NAMES_KEPT]))


def _covers(domain: str, host: str) -> bool:
    """Whether a domain is a host's own: then it says nothing else."""
    return host == domain or host.endswith(f".{domain}")


def _candidates(
    flow: Flow, here: Book, memory: Memory, requested: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """All names of a flow with their witnesses, the strongest first."""
    if flow.sni:
        yield flow.sni, "quic" if flow.quic else "sni"
    if flow.http_host and not _is_address(flow.http_host):
        yield flow.http_host, "http"
    for name in requested:
        yield name, "proxy"
    if not flow.opened and (known := memory.hosts.get(connection(flow))):
        yield known, "earlier-sni"
    for name in here.names(flow.server, flow.first):
        yield name, "dns"
    for name in memory.book.names(flow.server, flow.first):
        yield name, "earlier-dns"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def answers_of(lookups: Iterable[Lookup]) -> Iterator[Answer]:
    """The addresses that look-ups in a capture were answered with."""
    for one in lookups:
        for address in one.addresses:
            alias = one.chain[-1] if one.chain else ""
            yield Answer(one.time, one.question, address, is_null(address), alias)


def answers_of_log(events: Iterable[Any]) -> Iterator[Answer]:
    """The addresses in a resolver's log (``names.jsonl``), each for the name that was asked.

    A reply through a CNAME chain is logged name by name; the query with the same id tells which
    name the device asked for. Raises ``BadInput`` when a line is no DNS event.
    """
    asked: dict[str, str] = {}
    for event in events:
        time, serial, kind, name, value = _event(event)
        if kind == "query":
            asked[serial] = name
            continue
        # A blocked name may be answered with NODATA or NXDOMAIN instead of a null address.
        bare = kind == "blocked" or value == ADDRESS_UNTOLD
        address = _address(value) or ("" if bare else None)
        if kind == "forwarded" or address is None:
            continue
        question = asked.get(serial, name) if serial else name
        alias = name if name != question else ""
        blocked = kind == "blocked" or (bool(address) and is_null(address))
        yield Answer(time - LOG_DELAY, question, address, blocked, alias)


def without_seen(logged: Iterable[Answer], seen: Iterable[Answer]) -> Iterator[Answer]:
    """A log's answers but for those that a capture has as well, whose packets tell when they came.

    The log's are dated back, and would name a connection that had begun before its look-up.
    """
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for answer in seen:
        times[answer.name, answer.address].append(answer.time)
    for answer in logged:
        until = answer.time + LOG_DELAY + _LOG_AHEAD
        if not any(answer.time <= time <= until for time in times[answer.name, answer.address]):
            yield answer


def _event(event: Any) -> tuple[float, str, str, str, str]:
    try:
        time, kind, name = float(event["time"]), str(event["event"]), str(event["name"])
        serial = "" if event.get("id") is None else f"{event.get('client')} {event['id']}"
        value = str(event.get("answer") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"names.jsonl: not a DNS event: {str(event)[:80]!r}") from error
    return time, serial, kind, clean_host(name.encode("ascii", "replace")) or name, value


def _address(value: str) -> str | None:
    try:
        return str(ip_address(value))
    except ValueError:
        return None
