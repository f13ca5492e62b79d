"""A simulated world: its planted truth, where it is reached, and what ought to be found."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal

from echoaudit.domains import registrable
from echoaudit.errors import BadInput
from echoaudit.lab.world_check import problems
from echoaudit.lab.world_model import (
    PLATFORM,
    Behaviour,
    Bidder,
    Contact,
    HostRow,
    Http,
    Kind,
    Organisation,
    Party,
    Publisher,
    Role,
    Send,
    WorldFile,
)
from echoaudit.study.faults import Fault, Origin, error, shown
from echoaudit.study.models import Skill
from echoaudit.study.tree import Node, Scalar, Table, extend, overlay, parse
from echoaudit.study.typed import read

NETWORK = IPv4Network("198.18.0.0/15")
"""Addresses reserved for tests (RFC 2544): they never exist on the internet."""
BASED_ON = "based_on"
"""Key of a file that says only how it differs from another world."""
ADD = "add"
"""Key of such a file: what goes before the items of the other world's lists."""
MOST_BASES = 3
ROLES: dict[Kind, Role] = {
    "platform": "functional",
    "vendor": "functional",
    "publisher": "functional",
    "advertising": "advertising",
    "tracking": "tracking",
    "hosting": "hosting",
}
"""What the hosts of an organisation are for, unless they say otherwise."""
DEFAULT_BEHAVIOUR = Behaviour(interest="any")


@dataclass(frozen=True)
class Host:
    """A name of the world and where it is served."""

    name: str
    address: str
    tls: Literal["1.2", "1.3"]
    http: Http
    cname: str | None
    certificate: tuple[str, ...]
    """Names on the certificate that its address shows to whoever gives none."""
    reverse: str
    """What reverse DNS says of its address; empty: nothing."""


@dataclass(frozen=True)
class Hop:
    """One identifier passed on: ``source``'s, to ``target``."""

    source: str
    target: str
    parameter: str
    encoding: str


@dataclass(frozen=True)
class World:
    """The planted truth with what follows from it."""

    file: WorldFile
    path: Path

    @property
    def name(self) -> str:
        """The world's name."""
        return self.file.world

    def hosts(self) -> list[Host]:
        """Every name with its address, TLS and HTTP versions; the same for the same file."""
        return list(self._hosts.values())

    def host(self, name: str) -> Host:
        """The host called ``name`` (KeyError when the world has none)."""
        return self._hosts[name]

    @cached_property
    def _hosts(self) -> dict[str, Host]:
        addresses = _addresses(self.file)
        places: dict[str, list[HostRow]] = defaultdict(list)
        for _, row in _rows(self.file):
            places[addresses[row.address_of or row.host]].append(row)
        found = {
            row.host: Host(row.host, address, row.tls, row.http, row.cname, *_said(rows))
            for address, rows in places.items()
            for row in rows
        }
        return {row.host: found[row.host] for _, row in _rows(self.file)}

    @cached_property
    def parties(self) -> dict[str, Party]:
        """Parties by name, the platform's advertising among them."""
        platform = self.file.platform
        own = Party(
            party=PLATFORM,
            host=platform.ads,
            path="/ecm3",
            cookie=platform.ads_cookie,
            identifier="base64",
            sends=platform.sends,
        )
        return {PLATFORM: own, **{party.party: party for party in self.file.parties}}

    @cached_property
    def bidders(self) -> dict[str, Bidder]:
        """Bidders by code."""
        return {bidder.bidder: bidder for bidder in self.file.bidders}

    def pixels(self, publisher: Publisher) -> tuple[Party, ...]:
        """Parties whose pixel a page of ``publisher`` loads: its bidders' and the listed."""
        names = [self.bidders[code].party for code in publisher.bidders]
        return tuple(self.parties[name] for name in dict.fromkeys([*names, *publisher.pixels]))

    def chain(self, party: str) -> tuple[Hop, ...]:
        """What one pixel of ``party`` sets off: each hop once, depth first."""
        hops: dict[tuple[str, str], Hop] = {}

        def walk(source: str) -> None:
            for send in self.parties[source].sends:
                hop = _hop(source, send)
                if (hop.source, hop.target) not in hops:
                    hops[hop.source, hop.target] = hop
                    walk(hop.target)

        walk(party)
        return tuple(hops.values())

    def platform_hop(self, party: str) -> Send | None:
        """How ``party`` passes its identifier to the platform, if it does."""
        sends = self.parties[party].sends
        return next((send for send in sends if send.to == PLATFORM), None)

    def lift(self, bidder: str, interests: Sequence[str]) -> tuple[float, str | None]:
        """The factor that ``bidder`` applies to a browser of ``interests``, and for which."""
        found = self.bidders[bidder].lifts if self.file.targeting else {}
        known = [(found[interest], interest) for interest in interests if interest in found]
        return max(known) if known else (1.0, None)

    def behaviour(self, skill: Skill, interest: str) -> Behaviour:
        """What ``skill`` does: named behaviours come before those of its interest."""
        names = {skill.id.casefold(), skill.name.casefold(), skill.invocation.casefold()}
        for row in self.file.behaviours:
            if any(name.casefold() in names for name in row.skills):
                return row
        for row in self.file.behaviours:
            if not row.skills and row.interest == interest:
                return row
        return DEFAULT_BEHAVIOUR.model_copy(update={"reply": self.file.platform.reply})

    def contacts(self) -> Iterator[Contact]:
        """Every request that an Echo of this world may make."""
        yield from self.file.platform.background
        for row in self.file.behaviours:
            yield from row.contacts

    def truth(self) -> dict[str, Any]:
        """What a perfect study of this world finds, as plain values."""
        return {
            "world": self.name,
            "targeting": self.file.targeting,
            "organisations": _organisations(self.file),
            "roles": _roles(self.file),
            "asked": {host.address: told for host in self.hosts() if (told := _told(host))},
            "blocked": list(self.file.blocked),
            "effects": {interest: self.effect(interest) for interest in self._interests()},
            "lifts": {b.bidder: dict(b.lifts) for b in self.file.bidders if self.file.targeting},
            "syncs": [list(pair) for pair in sorted(self.syncs())],
            "noise": self.file.noise.model_dump(),
        }

    def _interests(self) -> list[str]:
        return sorted({interest for b in self.file.bidders for interest in b.lifts})

    def effect(self, interest: str) -> float:
        """Expected ratio of prices given a bid (geometric mean over all bids of all pages)."""
        weighted = [
            (self.bidders[code].bid_rate * len(site.slots), math.log(self._reached(code, interest)))
            for site in self.file.publishers
            if site.topic is None
            for code in site.bidders
        ]
        weight = sum(share for share, _ in weighted)
        return math.exp(sum(share * log for share, log in weighted) / weight) if weight else 1.0

    def _reached(self, code: str, interest: str) -> float:
        party = self.bidders[code].party
        known = self.platform_hop(party) is not None or self._sees(party, interest)
        return self.lift(code, [interest])[0] if known else 1.0

    def _sees(self, party: str, interest: str) -> bool:
        """Whether a site of ``interest`` loads the pixel of ``party``."""
        sites = (site for site in self.file.publishers if site.interest == interest)
        return any(party == pixel.party for site in sites for pixel in self.pixels(site))

    def shown_interest(self, host: str) -> str | None:
        """What a visitor of the site at ``host`` shows to be interested in."""
        sites = (site for site in self.file.publishers if site.host == host)
        return next((site.interest for site in sites), None)

    def syncs(self) -> set[tuple[str, str]]:
        """(whose identifier, receiver) as registrable domains, over all pages."""
        return {
            (self._domain(hop.source), self._domain(hop.target))
            for site in self.file.publishers
            for party in self.pixels(site)
            for hop in self.chain(party.party)
        }

    def _domain(self, party: str) -> str:
        return registrable(self.parties[party].host)


def load_world(name_or_path: str | Path) -> World:
    """Read a world by name (``worlds/NAME.yaml``) or by path.

    Raises:
        BadInput: there is no such world, or the file is wrong.
    """
    path = find_world(name_or_path)
    file, document = read(WorldFile, _tree(path))
    document.refuse(list(problems(file)))
    return World(file, path.resolve())


def find_world(name_or_path: str | Path) -> Path:
    """The file of a world given by name or path (BadInput when there is none)."""
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        if Path(text).is_file():
            return Path(text)
        raise BadInput(f"no world file {text}; give a path or a name under worlds/")
    folders = (Path("worlds"), Path(__file__).parents[3] / "worlds")
    for folder in folders:
        if (folder / f"{text}.yaml").is_file():
            return folder / f"{text}.yaml"
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise BadInput(f"no world {shown(text)}; known: {', '.join(known) or 'none'}, or give a path")


def _tree(path: Path, depth: int = 0) -> Node:
    """The file's tree, laid over that of the world it is based on and adding to its lists."""
    tree = parse(path.read_bytes(), Origin(str(path), folder=path.parent))
    if not isinstance(tree, Table):
        return tree
    base = next((entry.value for entry in tree.entries if entry.key.text == BASED_ON), None)
    if base is None:
        return tree
    rest = Table(tuple(e for e in tree.entries if e.key.text not in (BASED_ON, ADD)), tree.origin)
    added = [entry.value for entry in tree.entries if entry.key.text == ADD]
    if not isinstance(base, Scalar) or depth == MOST_BASES:
        what = "another world's file beside this one, up to three times"
        raise error([Fault(base.origin, f"{BASED_ON} cannot be followed", what, "paper.yaml")])
    below = path.parent / base.text
    if not below.is_file():
        found = f"no file {shown(base.text)}"
        raise error([Fault(base.origin, found, "another world's file", "based_on: paper.yaml")])
    whole = overlay(_tree(below, depth + 1), rest)
    return extend(whole, added[0]) if added else whole


def _rows(file: WorldFile) -> Iterator[tuple[Organisation, HostRow]]:
    for organisation in file.organisations:
        for row in organisation.hosts:
            yield organisation, row


def _addresses(file: WorldFile) -> dict[str, str]:
    """The address of each host that has one of its own, in the file's order."""
    groups: dict[tuple[str, str, str], IPv4Address] = {}
    found: dict[str, str] = {}
    for organisation, row in _rows(file):
        if row.address_of is None:
            group = (organisation.organisation, row.tls, row.http)
            found[row.host] = str(groups.setdefault(group, NETWORK[257 + len(groups)]))
    return found


def _said(rows: Sequence[HostRow]) -> tuple[tuple[str, ...], str]:
    """The names on the certificate of an address, and what reverse DNS says of it."""
    shown = next((row.certificate for row in rows if row.certificate), None)
    reverse = next((row.reverse for row in rows if row.reverse), None)
    reverse = reverse or min(row.cname or row.host for row in rows)
    return shown or tuple(row.host for row in rows), "" if reverse == "none" else reverse


def _told(host: Host) -> str:
    """What whoever asks an address learns of it; empty when that is no one name.

    A certificate's only name; else the registrable domain that all its names are in; else what
    reverse DNS says. ``docs/outcomes.md`` has the same rule.
    """
    if len(host.certificate) == 1 and not host.certificate[0].startswith("*."):
        return host.certificate[0]
    domains = {registrable(name.removeprefix("*.")) for name in host.certificate}
    return domains.pop() if len(domains) == 1 else host.reverse


def _roles(file: WorldFile) -> dict[str, dict[str, Any]]:
    """What each host is for, and whether public lists are known to say so."""
    return {
        row.host: {"role": row.role or ROLES[organisation.kind], "listed": row.role is not None}
        for organisation, row in _rows(file)
    }


def _hop(source: str, send: Send) -> Hop:
    return Hop(source, send.to, send.parameter, send.encoding)


def _organisations(file: WorldFile) -> dict[str, dict[str, str]]:
    return {
        row.host: {"organisation": organisation.organisation, "kind": organisation.kind}
        for organisation, row in _rows(file)
    }
