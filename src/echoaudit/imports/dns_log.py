"""Logs of dnsmasq and of Pi-hole's FTL (``pihole.log``), with and without ``log-queries=extra``.

Their times have neither year nor time zone. Without ``extra`` a line does not say which device's
question it belongs to: an answer then counts for the last device that asked for its name.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import IO

from echoaudit.errors import BadInput
from echoaudit.imports.questions import Answer, Question, Verdict, client_address, usable

_LINE = re.compile(
    r"(?P<stamp>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?: \S+)? dnsmasq\[\d+\]: "
    r"(?:(?P<serial>\d+) (?P<client>[0-9a-fA-F.:]+)/\d+ )?(?P<rest>.*)"
)
_QUERY = re.compile(r"query\[(?P<type>[A-Za-z0-9=]{1,16})\] (?P<name>\S+) from (?P<client>\S+)")
_FORWARDED = re.compile(r"forwarded (?P<name>\S+) to \S+")
_ANSWER = re.compile(r"(?P<kind>\S.*?) (?P<name>\S+) is (?P<value>.+)")
_BLOCKED = re.compile(r"(gravity |external )?blocked|denied|blacklisted|special domain")
_OTHER = ("validation", "dnssec-", "Rate-limiting")
"""Beginnings of messages about something else."""
LINE_LIMIT = 4096
OPEN_QUESTIONS = 4096
MOST_ANSWERS = 64
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass
class Clock:
    """Times of a log that leaves out the year, as seconds since 1970.

    ``written`` is when the file was last written: the first line is within the year before it.
    """

    written: float
    zone: tzinfo
    _last: datetime | None = None

    def seconds(self, stamp: str) -> float | None:
        """The time of a line; nothing when there is no such day."""
        if stamp[:3] not in _MONTHS:
            return None
        moment = self._dated(stamp)
        if moment is not None:
            self._last = moment
            return moment.timestamp()
        return None

    def _dated(self, stamp: str) -> datetime | None:
        month, day = _MONTHS.index(stamp[:3]) + 1, int(stamp[4:6])
        hour, minute, second = (int(part) for part in stamp[7:].split(":"))
        for year in self._years():
            try:
                moment = datetime(year, month, day, hour, minute, second, tzinfo=self.zone)
            except ValueError:
                continue
            if self._fits(moment):
                return moment
        return None

    def _years(self) -> range:
        if self._last is not None:
            return range(self._last.year - 1, self._last.year + 2)
        latest = datetime.fromtimestamp(self.written, self.zone).year
        return range(latest + 1, latest - 9, -1)

    def _fits(self, moment: datetime) -> bool:
        if self._last is not None:
            return abs(moment - self._last) < timedelta(days=183)
        return moment.timestamp() <= self.written + 86400


@dataclass
class _Open:
    """A question while its answers are still being read."""

    time: float
    client: str
    name: str
    type: str
    verdict: Verdict = "unknown"
    answers: list[Answer] = field(default_factory=list)

    def closed(self) -> Question:
        return Question(
            self.time, self.client, self.name, self.type, self.verdict, tuple(self.answers)
        )


@dataclass
class Reader:
    """Lines to questions; feed lines in their order, then take the rest."""

    clock: Clock
    problems: Counter[str]
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    _by_name: dict[str, str] = field(default_factory=dict)
    _chain: tuple[str, str | None] | None = None
    """The question whose CNAME was just read, and the name that the chain has come to."""
    _count: int = 0

    def line(self, text: str) -> Iterator[Question]:
        """Take one line; gives questions that nothing more will be said of."""
        found = _LINE.fullmatch(text)
        if found is None:
            self.problems["lines that are no message of dnsmasq"] += 1
        elif query := _QUERY.fullmatch(found["rest"]):
            self._chain = None
            self._asked(found, query)
        elif not found["rest"].startswith(_OTHER):
            self._told(found)
        while len(self._open) > OPEN_QUESTIONS:
            yield self._close(next(iter(self._open)))

    def rest(self) -> Iterator[Question]:
        """The questions that are still open at the end."""
        while self._open:
            yield self._close(next(iter(self._open)))

    def _close(self, key: str) -> Question:
        question = self._open.pop(key)
        if self._by_name.get(question.name) == key:
            del self._by_name[question.name]
        return question.closed()

    def _asked(self, line: re.Match[str], query: re.Match[str]) -> None:
        moment, client = self.clock.seconds(line["stamp"]), client_address(query["client"])
        if moment is None or client is None or not usable(query["name"]):
            self.problems["questions whose time, client or name is unusable"] += 1
            return
        self._count += 1
        # A serial number starts again with the resolver, so an old question may have it too.
        key = f"{line['serial']} {client}" if line["serial"] else f"#{self._count}"
        name = query["name"].lower()
        if key in self._open:
            self._open[f"old {self._count}"] = self._open.pop(key)
        self._open[key] = _Open(moment, client, name, query["type"])
        self._by_name[name] = key

    def _told(self, line: re.Match[str]) -> None:
        if forwarded := _FORWARDED.fullmatch(line["rest"]):
            question = self._question(line, forwarded["name"])
            if question is not None and question.verdict != "blocked":
                question.verdict = "forwarded"
        elif answer := _ANSWER.fullmatch(line["rest"]):
            self._answered(line, answer)

    def _answered(self, line: re.Match[str], answer: re.Match[str]) -> None:
        question = self._question(line, answer["name"])
        if question is None:
            self.problems["answers to questions before the log"] += 1
            return
        if _BLOCKED.search(answer["kind"]):
            question.verdict, question.answers = "blocked", []
        elif answer["kind"] != "reply" and question.verdict == "unknown":
            question.verdict = "cached"
        if len(question.answers) < MOST_ANSWERS and usable(answer["name"]):
            question.answers.append(Answer(answer["name"].lower(), answer["value"][:255]))

    def _question(self, line: re.Match[str], name: str) -> _Open | None:
        """The question that a line belongs to."""
        if line["serial"]:
            return self._open.get(f"{line['serial']} {client_address(line['client'])}")
        return self._open.get(self._key(line["rest"], name.lower()))

    def _key(self, message: str, name: str) -> str:
        """Without serial numbers: the last question for the name, or the one whose CNAME it is."""
        key = self._by_name.get(name, "")
        if self._chain is not None and self._chain[1] in (None, name):
            key = self._chain[0]
        if message.endswith(" is <CNAME>"):
            self._chain = (key, None)
        elif self._chain is not None:
            self._chain = (key, name) if key == self._chain[0] else None
        return key


def read(
    path: Path, packed: bool, clock: Clock, name: str, problems: Counter[str]
) -> Iterator[Question]:
    """The questions of a log, plain or gzip.

    Raises:
        BadInput: no line is a message of dnsmasq, or the gzip is damaged at its beginning.
    """
    reader = Reader(clock, problems)
    lines = 0
    for text in _lines(path, packed, problems):
        lines += 1
        yield from reader.line(text)
    if lines == problems["lines that are no message of dnsmasq"]:
        raise BadInput(
            "not a log of dnsmasq or Pi-hole; allowed: pihole.log, pihole-FTL.db or a Pi-hole's "
            "address",
            file=name,
        )
    yield from reader.rest()


def _lines(path: Path, packed: bool, problems: Counter[str]) -> Iterator[str]:
    with path.open("rb") as file:
        source: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=file) if packed else file
        try:
            while raw := source.readline(LINE_LIMIT):
                yield raw.decode("utf-8", "replace").rstrip("\r\n")
        except (EOFError, OSError, zlib.error):
            problems["ends in damaged gzip data"] += 1
