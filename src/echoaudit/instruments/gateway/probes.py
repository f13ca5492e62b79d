"""Asking servers that stay nameless who they are: a TLS handshake, and a reverse look-up.

This is the one thing by which a gateway makes itself known to servers, so it is off unless asked
for. A server learns that somebody at the gateway's public address, which is the speaker's too,
opened a TLS connection and said nothing; the upstream resolver learns the address in question.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from echoaudit.instruments.gateway import asking
from echoaudit.instruments.gateway.lan import Client
from echoaudit.instruments.gateway.unnamed import Server, addresses_answered, unnamed_servers

FILE = "probes.jsonl"
MOST_SERVERS = 16
"""Servers asked in one session; the others are written down as not asked."""
PATIENCE = 3.0
"""Seconds for one question."""
BUDGET = 10.0
"""Seconds for all questions of a session."""
_AT_ONCE = 8
Question = Literal["certificate", "ptr"]


@dataclass(frozen=True)
class Probe:
    """One question to or about a server, and its answer: a line of ``probes.jsonl``."""

    time: float
    question: Question
    address: str
    port: int
    sni: str | None
    """The server name sent along, which the device itself had given; None when there was none."""
    names: tuple[str, ...] = ()
    issuer: str | None = None
    failure: asking.Failure | None = None


@dataclass
class Prober:
    """Asks each server once in a run and remembers what it said."""

    upstream: str
    """Address of the gateway's upstream resolver; another port than 53 after ``#``."""
    network: IPv4Network | None
    """The devices' network; None: as home routers give it, around each device's address."""
    dial: asking.Dial | None = None
    """How connections are opened where the gateway is another machine."""
    patience: float = PATIENCE
    _known: dict[str, frozenset[str]] = field(default_factory=dict)
    _answers: dict[tuple[Question, str, int, str | None], Probe] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        asking.prepare()

    def write(self, client: Client, folder: Path) -> None:
        """Ask about the nameless servers of a session's capture; leaves ``probes.jsonl``.

        Takes at most ``BUDGET`` seconds and raises nothing for what servers do.
        """
        with self._lock:
            known = self._known.get(client.account, frozenset())
            known |= addresses_answered(folder, client.mac)
            self._known[client.account] = known
        network = self.network or IPv4Network(f"{client.ip}/24", strict=False)
        servers = unnamed_servers(folder / "traffic.pcapng", client.mac, network, known)
        with (folder / FILE).open("w", encoding="ascii") as out:
            for probe in self._ask(servers):
                out.write(json.dumps(asdict(probe), separators=(",", ":")) + "\n")

    def _ask(self, servers: Sequence[Server]) -> list[Probe]:
        end = time.monotonic() + BUDGET
        asked = list(_questions(servers[:MOST_SERVERS]))
        left = [replace(p, failure="not-asked") for p in _questions(servers[MOST_SERVERS:])]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="probe") as pool:
            return [*pool.map(lambda probe: self._answer(probe, end), asked), *left]

    def _answer(self, probe: Probe, end: float) -> Probe:
        key = (probe.question, probe.address, probe.port, probe.sni)
        with self._lock:
            known = self._answers.get(key)
        if known is None:
            known = self._put(replace(probe, time=time.time()), end)
            if known.failure != "not-asked":
                with self._lock:
                    self._answers[key] = known
        return known

    def _put(self, probe: Probe, end: float) -> Probe:
        if time.monotonic() >= end:
            return replace(probe, failure="not-asked")
        until = min(end, time.monotonic() + self.patience)
        try:
            if probe.question == "ptr":
                names = asking.pointers(probe.address, self.upstream, until, self.dial)
                return replace(probe, names=names)
            dial = self.dial or asking.direct
            der = asking.certificate(probe.address, probe.port, probe.sni, until, dial)
            names, issuer = asking.names_on(der)
            return replace(probe, names=names, issuer=issuer)
        except asking.Unanswered as reason:
            return replace(probe, failure=reason.failure)


def _questions(servers: Sequence[Server]) -> Iterator[Probe]:
    """What is asked: certificates of those that speak TLS, and the names of all addresses."""
    for server in servers:
        if server.tls:
            yield Probe(0.0, "certificate", server.address, server.port, server.sni or None)
    for address in dict.fromkeys(server.address for server in servers):
        yield Probe(0.0, "ptr", address, 53, None)
