"""The host names on the certificates that servers send in the clear."""

from __future__ import annotations

from functools import lru_cache

from echoaudit.outcomes.traffic import tls


@lru_cache(maxsize=1024)
def certificate_hosts(der: bytes) -> tuple[str, ...]:
    """The host names on a certificate (DER), wildcards included; none when it cannot be read."""
    if not der:
        return ()
    from echoaudit.certificates import BadCertificate, certificate_names

    try:
        names, _ = certificate_names(der)
    except BadCertificate:
        return ()
    return tuple(dict.fromkeys(filter(None, map(_pattern, names))))


def _pattern(name: str) -> str:
    wildcard = "*." if name.startswith("*.") else ""
    host = tls.host(name[len(wildcard) :].encode("ascii", "replace"))
    return wildcard + host if host else ""
