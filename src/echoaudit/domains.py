"""Registrable domains, by the snapshot of the public suffix list that tldextract brings along."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tldextract import TLDExtract


@cache
def registrable(host: str) -> str:
    """The domain of a host that somebody registered; an address or single label is itself.

    Where the list does not know the top-level domain, its default rule applies: one label below.
    """
    bare = host.strip(".").lower()
    found = suffixes()(bare)
    if found.top_domain_under_public_suffix:
        return found.top_domain_under_public_suffix
    if found.suffix or is_address(bare):
        return bare
    return ".".join(bare.split(".")[-2:])


@cache
def suffixes() -> TLDExtract:
    """The list as shipped: never fetched, so the same everywhere."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
