"""Where an ad leads, read from its links: nothing is visited."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from echoaudit.domains import registrable
from echoaudit.outcomes.organisations import directory
from echoaudit.outcomes.visits import host_of, plain

DEPTH = 5
"""Click trackers around each other."""
LONGEST = 200
_INNER = re.compile(r"https?(?::|%(?:25)*3A)(?:/|%(?:25)*2F){2}", re.IGNORECASE)
_NO_ADS = frozenset(
    {
        "aboutads.info",
        "adssettings.google.com",
        "networkadvertising.org",
        "privacy.us.criteo.com",
        "youradchoices.ca",
        "youradchoices.com",
        "youronlinechoices.com",
        "youronlinechoices.eu",
    }
)
"""What the button "why this ad" leads to."""
_BETWEEN = frozenset({"advertising", "tracking", "hosting"})


def landing(links: Sequence[str], advertisers: Sequence[str], page: str) -> str:
    """The address that an ad leads to; empty when its links tell none.

    Args:
        links: of its markup, in order.
        advertisers: registrable domains that the bidder declared.
        page: registrable domain of the page it is on.

    The advertiser's own comes first; else the first that is neither the page's, nor a server that
    the list knows to stand between, nor about the choice of ads.
    """
    found = [target for link in links for target in unwrapped(link)]
    for target in found:
        if registrable(host_of(target)) in advertisers:
            return target
    return next((target for target in found if _may_advertise(target, page)), "")


def unwrapped(link: str) -> Iterator[str]:
    """A link and the addresses inside it, the innermost first."""
    layers = [link]
    while len(layers) <= DEPTH and (inner := _inner(layers[-1])):
        layers.append(inner)
    yield from (layer for layer in reversed(layers) if host_of(layer))


def _inner(link: str) -> str:
    """The address that another one carries, decoded."""
    start = _INNER.search(link, 8)
    if start is None:
        return ""
    found = link[start.start() :]
    encoded = re.match(r"https?:", found, re.IGNORECASE) is None
    if encoded or "=" in link[: start.start()]:
        found = re.split(r"[&;]", found, maxsplit=1)[0] if encoded else found
    while _INNER.match(found) and not re.match(r"https?://", found, re.IGNORECASE):
        found = unquote(found)
    return found


def _may_advertise(target: str, page: str) -> bool:
    host = host_of(target)
    site = registrable(host)
    if site == page or host in _NO_ADS or site in _NO_ADS:
        return False
    return directory().attribute(host).role not in _BETWEEN


def bare(url: str) -> str:
    """An address without user, query and fragment, as one short line."""
    if not url or not host_of(url):
        return ""
    parts = urlsplit(url)
    return plain(f"{parts.scheme.lower()}://{host_of(url)}{parts.path}", LONGEST) or ""
