"""What servers said of themselves when the gateway asked (``probes.jsonl``).

The weakest witnesses. A certificate with one name and no wildcard names that host. With several
names or a wildcard it names the registrable domain that all of them are in, and no host, for none
of them says which one this server is; names in several domains name nothing. Reverse DNS is read in
the same way: whoever runs an address writes there what they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from echoaudit.domains import is_address, registrable, suffixes
from echoaudit.errors import BadInput
from echoaudit.outcomes.traffic.tls import host as clean_host

if TYPE_CHECKING:
    from echoaudit.recording import StepEvidence

FILE = "probes.jsonl"
Witness = Literal["probe", "reverse-dns"]


@dataclass
class Probes:
    """Names that servers gave, by address and, on certificates, port."""

    certificates: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    pointers: dict[str, list[str]] = field(default_factory=dict)

    def candidates(self, address: str, port: int) -> Iterator[tuple[tuple[str, ...], Witness]]:
        """What a certificate and reverse DNS tell: one name, or several that decide nothing."""
        yield told(self.certificates.get((address, port), ())), "probe"
        yield told(self.pointers.get(address, ())), "reverse-dns"


def told(names: Iterable[str]) -> tuple[str, ...]:
    """The host or domain that names on one server amount to; several when they do not agree.

    >>> told(["api.a.example"]), told(["a.example", "www.a.example"]), told(["*.a.example"])
    (('api.a.example',), ('a.example',), ('a.example',))
    """
    given = dict.fromkeys(names)
    bare = [name.removeprefix("*.").lower().rstrip(".") for name in given]
    known = list(dict.fromkeys(name for name in bare if _is_public(name)))
    if len(given) == 1 and not any("*" in name for name in given):
        return tuple(known)
    return tuple(sorted({registrable(name) for name in known}))


def _is_public(name: str) -> bool:
    """Whether a name is below a suffix at which anybody could have registered it."""
    if not clean_host(name.encode("ascii", "replace")) or is_address(name):
        return False
    found = suffixes()(name)
    return bool(found.top_domain_under_public_suffix) or (not found.suffix and "." in name)


def probes(step: StepEvidence) -> Probes:
    """The answers that a session has; none when nothing was asked. Raises ``BadInput``."""
    found = Probes()
    for line in step.jsonl(FILE) if step.has(FILE) else ():
        question, address, port, names = _parts(line)
        if question == "certificate":
            found.certificates.setdefault((address, port), []).extend(names)
        elif question == "ptr":
            found.pointers.setdefault(address, []).extend(names)
    return found


def _parts(line: Any) -> tuple[str, str, int, list[str]]:
    try:
        names = [str(name) for name in line["names"]]
        return str(line["question"]), str(line["address"]), int(line["port"]), names
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{FILE}: not a probe: {str(line)[:80]!r}") from error
