"""DNS events: from the resolver's messages to one file per client."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast

from echoaudit.instruments.gateway.blocklist import is_blocked

Event = Literal["query", "forwarded", "reply", "cached", "blocked", "config"]

_STAMP = r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?: \S+)? )?"
"""What messages begin with in a file or a system's log."""
_PREFIX = _STAMP + r"dnsmasq\[\d+\]: (?P<id>\d+) (?P<client>[0-9a-fA-F.:]+)/\d+ "
_REFUSING = r"(?:[a-z]+ )*(?:blocked|denied|blacklisted)(?: \([^)]*\))?|special domain"
"""How Pi-hole says that one of its lists refuses a name: ``gravity blocked NAME is 0.0.0.0``."""
_QUERY = re.compile(_PREFIX + r"query\[(?P<type>[^\]]+)\] (?P<name>\S+) from \S+")
_FORWARDED = re.compile(_PREFIX + r"forwarded (?P<name>\S+) to (?P<answer>\S+)")
_ANSWER = re.compile(
    _PREFIX
    + rf"(?P<kind>reply|cached|cached-stale|config|DHCP|/\S+|{_REFUSING}) "
    + r"(?P<name>\S+) is (?P<answer>.+)"
)
_OPEN_QUERIES = 4096
_REFUSED = frozenset({"0.0.0.0", "::", "NODATA", "NODATA-IPv4", "NODATA-IPv6", "NXDOMAIN"})


@dataclass(frozen=True)
class NameEvent:
    """One thing that happened to a question; ``time`` in seconds since 1970."""

    time: float
    client: str
    id: int
    """The resolver's number of the question; its events share it."""
    event: Event
    name: str
    type: str | None
    """Type of the question; None when the question came before the gateway listened."""
    answer: str | None


class Parser:
    """Turns the resolver's messages into events; remembers the type of open questions."""

    def __init__(self, blocked: frozenset[str] = frozenset()) -> None:
        self._blocked = blocked
        self._types: OrderedDict[int, str] = OrderedDict()

    def event(self, time: float, line: str) -> NameEvent | None:
        """The event of one message; None when it tells of something else."""
        if found := _QUERY.fullmatch(line):
            self._remember(int(found["id"]), found["type"])
            return self._made(time, found, "query", None)
        if found := _FORWARDED.fullmatch(line):
            return self._made(time, found, "forwarded", found["answer"])
        if found := _ANSWER.fullmatch(line):
            kind = self._kind(found["kind"], found["name"], found["answer"])
            return self._made(time, found, kind, found["answer"])
        return None

    def numbered(self, line: str) -> bool:
        """Whether a line is a message about a question, with the question's number."""
        return self.event(0.0, line) is not None

    def _made(
        self, time: float, found: re.Match[str], event: Event, answer: str | None
    ) -> NameEvent:
        number = int(found["id"])
        client = str(ip_address(found["client"]))
        kind = self._types.get(number)
        return NameEvent(time, client, number, event, found["name"], kind, answer)

    def _kind(self, kind: str, name: str, answer: str) -> Event:
        if kind == "config" and answer in _REFUSED and is_blocked(name, self._blocked):
            return "blocked"
        if re.fullmatch(_REFUSING, kind):
            return "blocked"
        if kind in {"reply", "cached", "config"}:
            return cast("Event", kind)
        return "cached" if kind == "cached-stale" else "config"

    def _remember(self, number: int, kind: str) -> None:
        self._types[number] = kind
        if len(self._types) > _OPEN_QUERIES:
            self._types.popitem(last=False)


class NameLog:
    """One growing file of events per client, from which sessions take their slices.

    A slice is the file itself, moved: what has not been taken is still there after a crash.
    """

    def __init__(
        self, folder: Path, accounts: Mapping[str, str], parser: Parser, *, others: bool = True
    ) -> None:
        """Plan; nothing is written yet.

        Args:
            folder: where the growing files are.
            accounts: account by IP address; it may grow, too.
            parser: reads the messages.
            others: whether events of other devices are kept, in ``other.jsonl``.
        """
        self._folder, self._others = folder, others
        self._accounts = accounts
        self._parser = parser
        self._lock = threading.Lock()

    def line(self, time: float, line: str) -> None:
        """Take one message of the resolver."""
        event = self._parser.event(time, line)
        if event is None or not (self._others or event.client in self._accounts):
            return
        text = json.dumps(asdict(event), separators=(",", ":"))
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock, self._file(event.client).open("a", encoding="ascii") as out:
            out.write(text + "\n")

    def take(self, account: str, target: Path) -> int:
        """Move the events since the last slice to ``target``; how many there are."""
        source = self._folder / f"{account}.jsonl"
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            source.touch()
            shutil.move(source, target)
        with target.open("rb") as lines:
            return sum(1 for _ in lines)

    def _file(self, client: str) -> Path:
        return self._folder / f"{self._accounts.get(client, 'other')}.jsonl"
