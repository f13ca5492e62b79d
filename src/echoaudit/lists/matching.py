"""What a list says of a host as a whole.

Adblock rules are about requests. A rule counts for a host only when it applies to any address on
it: the engine is asked for the host's bare address, for requests of ordinary types, from another
site. A rule for a path (``||amazon.com^*/path``), for pings or for pages of one site does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from echoaudit.errors import Unavailable
from echoaudit.lists.owners import Known, known
from echoaudit.lists.reading import Format, hosts

TYPES = ("script", "image", "xhr", "other")
"""Types of requests that are asked for; never ``ping``, which one rule matches on every host."""
ELSEWHERE = "https://nobody.invalid/"
"""A page of another site, and a host that no list knows: rules that match it say nothing."""


@dataclass(frozen=True)
class Match:
    """What a list says of a host, by which rule and for which types of requests.

    ``named`` is said by lists of owners: whose the host is and what for, not that it tracks.
    """

    says: Literal["listed", "allowed", "named"]
    rule: str
    types: tuple[str, ...] = TYPES
    organisations: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Matcher(Protocol):
    """A list that can be asked."""

    def find(self, host: str) -> Match | None:
        """What the list says of a host; nothing when it does not know it."""
        ...


class _Hosts:
    """A hosts file: it names whole hosts, and none below them."""

    def __init__(self, text: str) -> None:
        rules: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        for host, rule, allowed in hosts(text):
            rules[host].append((rule, allowed))
        self._rules = rules

    def find(self, host: str) -> Match | None:
        found = self._rules.get(host)
        if not found:
            return None
        allowed = any(allows for _, allows in found)
        rules = sorted({rule for rule, allows in found if allows == allowed})
        return Match("allowed" if allowed else "listed", "; ".join(rules))


class _Adblock:
    """Adblock rules in the engine of the package ``adblock``."""

    def __init__(self, text: str) -> None:
        try:
            import adblock
        except ImportError as error:
            raise Unavailable(
                "adblock rules need the package adblock", fix="pip install 'echoaudit[lists]'"
            ) from error
        rules = adblock.FilterSet(debug=True)
        rules.add_filter_list(text)
        self._engine = adblock.Engine(rules, optimize=False)
        self._vacuous = {rule for type_ in TYPES for rule in self._ask(ELSEWHERE, type_)}

    def _ask(self, url: str, type_: str) -> dict[str, Literal["listed", "allowed"]]:
        result = self._engine.check_network_urls(url, ELSEWHERE + "page", type_)
        if result.exception:
            return {result.exception: "allowed"}
        return {result.filter: "listed"} if result.matched and result.filter else {}

    def find(self, host: str) -> Match | None:
        types: dict[tuple[Literal["listed", "allowed"], str], list[str]] = defaultdict(list)
        for type_ in TYPES:
            for rule, says in self._ask(f"https://{host}/", type_).items():
                if rule not in self._vacuous:
                    types[says, rule].append(type_)
        if not types:
            return None
        (says, rule), covered = max(types.items(), key=lambda item: (len(item[1]), item[0]))
        return Match(says, rule, tuple(covered))


class _Owners:
    """A list of owners: the most specific domain counts."""

    def __init__(self, text: str) -> None:
        self._known: dict[str, list[Known]] = defaultdict(list)
        for one in known(text):
            self._known[one.domain].append(one)

    def find(self, host: str) -> Match | None:
        labels = host.split(".")
        above = (f"*.{'.'.join(labels[start:])}" for start in range(len(labels)))
        found = next((self._known[name] for name in (host, *above) if name in self._known), None)
        if found is None:
            return None
        return Match(
            "named",
            "; ".join(_names(_rule(one) for one in found)),
            (),
            _names(one.organisation for one in found),
            _names(one.service for one in found),
            _names(one.category for one in found),
        )


def _rule(one: Known) -> str:
    return f"{one.domain} ({one.service})" if one.service else one.domain


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))


def matcher(form: Format, text: str) -> Matcher:
    """A list as something to ask.

    Raises:
        Unavailable: adblock rules, and the package ``adblock`` is not installed.
    """
    kinds: dict[Format, Callable[[str], Matcher]] = {
        "hosts": _Hosts,
        "adblock": _Adblock,
        "owners": _Owners,
    }
    return kinds[form](text)
