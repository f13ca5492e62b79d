"""Known public resolvers of DNS over HTTPS: their names and addresses, and who asked for them.

Any web server can be such a resolver, so this list is never complete: one that is not on it passes
and shows as a connection to an address that nobody asked DNS for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

from echoaudit.instruments.gateway.blocklist import is_blocked

FILE = Path(__file__).with_name("doh.yaml")
CANARY = "use-application-dns.net"
"""Asked for by browsers: no such name means that this network wants its own resolver used."""


@dataclass(frozen=True)
class Resolvers:
    """All of them together."""

    names: frozenset[str]
    """Names below these are meant as well."""
    addresses: tuple[IPv4Network, ...]


@cache
def resolvers() -> Resolvers:
    """The list that comes with echoaudit."""
    import yaml

    providers = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    addresses = {IPv4Network(text) for each in providers for text in each["addresses"]}
    names = frozenset(name for each in providers for name in each["names"])
    return Resolvers(names, tuple(sorted(addresses)))


def questions(names: Path) -> int:
    """Questions for known resolvers among the events of a ``names.jsonl``."""
    known = resolvers().names | {CANARY}
    with names.open(encoding="ascii") as lines:
        events = (json.loads(line) for line in lines)
        return sum(e["event"] == "query" and is_blocked(e["name"], known) for e in events)
