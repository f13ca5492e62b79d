"""Known public resolvers of DNS over HTTPS: their addresses, and who asked for them.

One that is not on the list passes and shows as a connection to an address that nobody asked DNS
for.
"""

from __future__ import annotations

import json
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

from echoaudit.instruments.gateway.blocklist import is_blocked
from echoaudit.resolvers import NAMES, RESOLVERS

CANARY = "use-application-dns.net"
"""Asked for by browsers: no such name means that this network wants its own resolver used."""


@cache
def addresses() -> tuple[IPv4Network, ...]:
    """Addresses of all resolvers on the list."""
    texts = (text for resolver in RESOLVERS for text in resolver.addresses)
    return tuple(sorted({IPv4Network(text) for text in texts}))


def questions(names: Path) -> int:
    """Questions for known resolvers among the events of a ``names.jsonl``."""
    known = NAMES | {CANARY}
    with names.open(encoding="ascii") as lines:
        events = (json.loads(line) for line in lines)
        return sum(e["event"] == "query" and is_blocked(e["name"], known) for e in events)
