"""Public resolvers that speak DNS over HTTPS, as their operators document them.

Names are those that clients are given to use; all names below them are meant as well. Addresses are
IPv4 addresses and networks of their own: those that a resolver shares with other services of a
content network are left out, because dropping them would cut more than DNS. Any web server can be
such a resolver, so the list is never complete. Compiled 2026-11.
"""

from __future__ import annotations

from typing import NamedTuple


class Resolver(NamedTuple):
    """One operator's resolvers."""

    provider: str
    names: tuple[str, ...]
    addresses: tuple[str, ...] = ()


RESOLVERS = (
    Resolver(
        "Google", ("dns.google", "dns.google.com", "dns64.dns.google"), ("8.8.8.8", "8.8.4.4")
    ),
    Resolver(
        "Cloudflare",
        ("cloudflare-dns.com", "one.one.one.one", "dns.cloudflare.com", "cloudflare-gateway.com"),
        (
            "1.1.1.1",
            "1.0.0.1",
            "1.1.1.2",
            "1.0.0.2",
            "1.1.1.3",
            "1.0.0.3",
            "104.16.248.249",
            "104.16.249.249",
            "162.159.61.3",
            "172.64.41.3",
        ),
    ),
    Resolver(
        "Quad9",
        (
            "dns.quad9.net",
            "dns9.quad9.net",
            "dns10.quad9.net",
            "dns11.quad9.net",
            "dns12.quad9.net",
        ),
        (
            "9.9.9.9",
            "149.112.112.112",
            "149.112.112.9",
            "9.9.9.10",
            "149.112.112.10",
            "9.9.9.11",
            "149.112.112.11",
            "9.9.9.12",
            "149.112.112.12",
        ),
    ),
    Resolver(
        "Cisco OpenDNS",
        (
            "doh.opendns.com",
            "doh.familyshield.opendns.com",
            "doh.sandbox.opendns.com",
            "doh.umbrella.com",
        ),
        ("208.67.222.222", "208.67.220.220", "208.67.222.123", "208.67.220.123", "146.112.41.2"),
    ),
    Resolver(
        "AdGuard",
        (
            "adguard-dns.com",
            "dns.adguard.com",
            "dns-family.adguard.com",
            "dns-unfiltered.adguard.com",
        ),
        (
            "94.140.14.14",
            "94.140.15.15",
            "94.140.14.15",
            "94.140.15.16",
            "94.140.14.140",
            "94.140.14.141",
        ),
    ),
    Resolver(
        "CleanBrowsing",
        ("doh.cleanbrowsing.org",),
        (
            "185.228.168.9",
            "185.228.169.9",
            "185.228.168.10",
            "185.228.169.11",
            "185.228.168.168",
            "185.228.169.168",
        ),
    ),
    Resolver("NextDNS", ("dns.nextdns.io",), ("45.90.28.0/24", "45.90.30.0/24")),
    Resolver(
        "Control D", ("dns.controld.com", "freedns.controld.com"), ("76.76.2.0/24", "76.76.10.0/24")
    ),
    Resolver("Mullvad", ("dns.mullvad.net", "doh.mullvad.net"), ("194.242.2.0/24",)),
    Resolver(
        "CIRA Canadian Shield",
        ("canadianshield.cira.ca",),
        (
            "149.112.121.10",
            "149.112.122.10",
            "149.112.121.20",
            "149.112.122.20",
            "149.112.121.30",
            "149.112.122.30",
        ),
    ),
    Resolver("AliDNS", ("dns.alidns.com",), ("223.5.5.5", "223.6.6.6")),
    Resolver("DNSPod", ("doh.pub", "dns.pub"), ("1.12.12.12", "120.53.53.53")),
    Resolver(
        "Yandex",
        ("common.dot.dns.yandex.net", "safe.dot.dns.yandex.net", "family.dot.dns.yandex.net"),
        ("77.88.8.8", "77.88.8.1", "77.88.8.88", "77.88.8.2", "77.88.8.7", "77.88.8.3"),
    ),
    Resolver("DNS.SB", ("doh.dns.sb", "doh.sb", "dot.sb"), ("185.222.222.222", "45.11.45.11")),
    Resolver("SWITCH", ("dns.switch.ch",), ("130.59.31.248", "130.59.31.251")),
    Resolver(
        "Digitale Gesellschaft",
        ("dns.digitale-gesellschaft.ch",),
        ("185.95.218.42", "185.95.218.43"),
    ),
    Resolver("Hurricane Electric", ("ordns.he.net",), ("74.82.42.42",)),
    Resolver("dns0.eu", ("dns0.eu",), ("193.110.81.0/24", "185.253.5.0/24")),
    Resolver(
        "UncensoredDNS",
        ("anycast.uncensoreddns.org", "unicast.uncensoreddns.org"),
        ("91.239.100.100", "89.233.43.71"),
    ),
    Resolver("Comcast", ("doh.xfinity.com",)),
    Resolver("360", ("doh.360.cn",)),
    Resolver("IIJ", ("public.dns.iij.jp",)),
    Resolver("Rethink", ("sky.rethinkdns.com", "max.rethinkdns.com")),
)

NAMES = frozenset(name for resolver in RESOLVERS for name in resolver.names)


def is_doh(name: str) -> bool:
    """Whether a host name in lower case belongs to a known resolver."""
    while name not in NAMES:
        _, dot, name = name.partition(".")
        if not dot:
            return False
    return True
