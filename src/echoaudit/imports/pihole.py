"""Pi-hole's knowledge of devices as sessions: from its database, its log or its REST API."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from urllib.parse import urlsplit

from echoaudit.imports import dns_log, pihole_database
from echoaudit.imports.captures import check_address
from echoaudit.imports.pihole_api import Api
from echoaudit.imports.questions import Sorter
from echoaudit.imports.source import Source, copy, magic, shown
from echoaudit.imports.staging import Staged


@dataclass(frozen=True)
class Slice:
    """Which questions matter: of which devices and when (seconds since 1970)."""

    clients: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None

    def sorter(self, scratch: Path) -> Sorter:
        """A sorter that keeps these."""
        return Sorter(
            scratch,
            frozenset(check_address(client, "--client") for client in self.clients),
            float("-inf") if self.since is None else self.since,
            float("inf") if self.until is None else self.until,
        )


def stage_file(path: Path, scratch: Path, wanted: Slice, zone: tzinfo = UTC) -> list[Staged]:
    """A session per device of a database (``pihole-FTL.db``) or log.

    Only the questions of the devices that matter are kept, not the file: it tells of everybody at
    home. ``zone`` is the time zone of a log.

    Raises:
        BadInput: the file is neither, is damaged, or has no question that matters.
    """
    given, name = scratch / "given", shown(path.name)
    digest, size = copy(path, given)
    form, problems, sorter = magic(given), Counter[str](), wanted.sorter(scratch)
    if form == "sqlite":
        pihole_database.copy_beside(path, given)
        sorter.take(pihole_database.read(given, name, problems))
    else:
        clock = dns_log.Clock(path.stat().st_mtime, zone)
        sorter.take(dns_log.read(given, form == "gz", clock, name, problems))
    kind = "Pi-hole database" if form == "sqlite" else "dnsmasq log"
    return sorter.staged(path.name, Source(name, kind, digest, size, 0, _lines(problems)))


def stage_api(api: Api, scratch: Path, wanted: Slice) -> list[Staged]:
    """A session per device of a running Pi-hole of version 6.

    Raises:
        BadInput: wrong password, or an answer that is not of the documented form.
        Unavailable: it cannot be reached.
    """
    problems, sorter = Counter[str](), wanted.sorter(scratch)
    with api:
        sorter.take(api.questions(wanted.since, wanted.until, problems))
    host = urlsplit(api.url).hostname or "pi-hole"
    digest = api.digest.hexdigest()
    source = Source(api.url, "Pi-hole REST API", digest, api.octets, 0, _lines(problems))
    return sorter.staged(host, source)


def _lines(problems: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{reason}: {count}" for reason, count in sorted(problems.items()) if count)
