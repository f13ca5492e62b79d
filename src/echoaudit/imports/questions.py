"""What a DNS log tells of one question, and the events that a recording keeps of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from echoaudit.errors import BadInput
from echoaudit.imports.source import Source, shown
from echoaudit.imports.staging import Staged
from echoaudit.recording import canonical

Verdict = Literal["blocked", "forwarded", "cached", "unknown"]
ADDRESS = "IP"
"""Answer of a log that says that an address was given, but not which."""
_NAME = re.compile(r"[!-~]{1,253}")
MOST_CLIENTS = 500
"""Each has an open file while a log is read."""


class Answer(NamedTuple):
    """One line of an answer: for which name, and what."""

    name: str
    value: str | None


@dataclass(frozen=True)
class Question:
    """One question of one device and what became of it."""

    time: float
    client: str
    name: str
    type: str
    verdict: Verdict
    """``unknown``: the log does not say, which is not the same as allowed."""
    answers: tuple[Answer, ...] = ()


def events(question: Question, number: int) -> Iterator[Mapping[str, Any]]:
    """The lines of ``names.jsonl`` that a question becomes."""
    about = {"time": question.time, "client": question.client, "id": number, "type": question.type}
    yield {**about, "event": "query", "name": question.name, "answer": None}
    if question.verdict == "blocked" and not question.answers:
        yield {**about, "event": "blocked", "name": question.name, "answer": None}
    if question.verdict == "forwarded":
        yield {**about, "event": "forwarded", "name": question.name, "answer": None}
    told = {"blocked": "blocked", "cached": "cached"}.get(question.verdict, "reply")
    for answer in question.answers:
        yield {**about, "event": told, "name": answer.name, "answer": answer.value}


def usable(name: Any) -> bool:
    """Whether a name out of a log can be a name at all."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


@dataclass
class _Client:
    """A device's file while it is written, and when its questions were."""

    folder: Path
    file: IO[bytes]
    count: int = 0
    first: float = float("inf")
    last: float = float("-inf")


@dataclass
class Sorter:
    """Questions to one ``names.jsonl`` per device, memory flat."""

    scratch: Path
    only: frozenset[str] = frozenset()
    """Addresses of the devices that matter; empty for all."""
    since: float = float("-inf")
    until: float = float("inf")
    clients: dict[str, _Client] = field(default_factory=dict)

    def take(self, questions: Iterable[Question]) -> None:
        """Keep the questions that matter.

        Raises:
            BadInput: too many devices.
        """
        try:
            for question in questions:
                if self._matters(question):
                    self._keep(question)
        finally:
            for client in self.clients.values():
                client.file.close()

    def _matters(self, question: Question) -> bool:
        ours = not self.only or question.client in self.only
        return ours and self.since <= question.time <= self.until

    def _keep(self, question: Question) -> None:
        client = self._client(question.client)
        client.count += 1
        client.first = min(client.first, question.time)
        client.last = max(client.last, question.time)
        for event in events(question, client.count):
            client.file.write(canonical(event) + b"\n")

    def _client(self, address: str) -> _Client:
        known = self.clients.get(address)
        if known is None:
            if len(self.clients) >= MOST_CLIENTS:
                raise BadInput(
                    f"more than {MOST_CLIENTS} clients; name those that matter with --client"
                )
            folder = self.scratch / f"client-{len(self.clients)}"
            folder.mkdir()
            known = _Client(folder, (folder / "names.jsonl").open("xb"))
            self.clients[address] = known
        return known

    def staged(self, label: str, source: Source) -> list[Staged]:
        """A session per device.

        Raises:
            BadInput: no question is left.
        """
        if not self.clients:
            chosen = f" of {shown(', '.join(sorted(self.only)))}" if self.only else ""
            raise BadInput(f"no question{chosen} in the time asked for", file=source.name)
        return [
            Staged(
                label,
                "session",
                address,
                {
                    "skill": shown(label),
                    "started": client.first,
                    "ended": client.last,
                    "device": {"mac": None, "ip": address, "policy": None},
                },
                client.folder,
                Source(
                    source.name,
                    source.format,
                    source.sha256,
                    source.bytes,
                    client.count,
                    source.problems,
                ),
            )
            for address, client in sorted(self.clients.items())
        ]


def client_address(text: Any) -> str | None:
    """A device's address in its usual spelling; nothing when the log hides it."""
    try:
        return str(ip_address(text)) if isinstance(text, str) else None
    except ValueError:
        return None
