"""Registrable domains, from the bundled snapshot of the public suffix list."""

from __future__ import annotations

from functools import cache

import tldextract

_EXTRACT = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@cache
def registrable(host: str) -> str:
    """The domain of ``host`` that somebody registered, or ``host`` itself."""
    return _EXTRACT(host).top_domain_under_public_suffix or host
