"""The lab's network on paper: interfaces, addresses, names. Pure functions, nothing is done.

```
 echo-0 … echo-N ──veth── lan0 (bridge)  [the machine]  wan0 ──veth── eth0  [cloud]
   DHCP, own MAC            gateway, runner, browsers   100.64.0.2   100.64.0.1, one address a host
```
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from echoaudit.errors import BadInput

LAN, WAN = "lan0", "wan0"
LAN_ADDRESS = "192.168.77.1/24"
MACHINE_ADDRESS = "100.64.0.2"
"""The machine's address towards the internet, as a provider would give it."""
INTERNET = "100.64.0.1"
"""Next hop and name server of the lab's internet."""
CLOUD = "cloud"
MAC_PREFIX = "fc:a1:83"
"""Registered to Amazon Technologies Inc. at the IEEE: a speaker looks like one to any tool."""


class HostAddress(Protocol):
    """A name of the simulated internet."""

    @property
    def name(self) -> str:
        """The host name."""

    @property
    def address(self) -> str:
        """The IPv4 address it is served at."""

    @property
    def cname(self) -> str | None:
        """The name that DNS answers with first, or None."""

    @property
    def reverse(self) -> str | None:
        """What reverse DNS says of the address: a name, empty for none; None: a name it serves."""


def lan_mac(account: str) -> str:
    """The hardware address of an account's speaker: the same in every run."""
    digest = hashlib.sha256(account.encode()).digest()
    return ":".join([MAC_PREFIX, *(f"{byte:02x}" for byte in digest[:3])])


def overlay(
    accounts: Sequence[str],
    *,
    trusting: Sequence[str] = (),
    upstream_authority: Path | None = None,
    proxy_authority: Path | None = None,
) -> dict[str, Any]:
    """Configuration values that lead the instruments to the lab's network.

    Args:
        accounts: ids of all accounts with a speaker.
        trusting: those whose speaker accepts the gateway's authority.
        upstream_authority: certificate of the lab's own authority.
        proxy_authority: folder in which the gateway's authority is kept.

    Raises:
        BadInput: two accounts' names give the same hardware address, or there are too many.
    """
    owners: dict[str, str] = {}
    for account in accounts:
        other = owners.setdefault(lan_mac(account), account)
        if other != account:
            raise BadInput(f"accounts {other!r} and {account!r} cannot be in one lab; rename one")
    gateway = {
        "lan": LAN,
        "wan": WAN,
        "address": LAN_ADDRESS,
        "dns": (INTERNET,),
        "trusting": tuple(trusting),
        "upstream_authority": upstream_authority,
        "proxy_authority": proxy_authority,
    }
    return {
        "gateway": {key: value for key, value in gateway.items() if value not in (None, ())},
        "devices": {account: {"mac": mac} for mac, account in owners.items()},
    }


def echo_namespace(index: int) -> str:
    """Name of the network namespace of the speaker with this number."""
    return f"echo-{index}"


def links(accounts: Sequence[str]) -> str:
    """Commands for ``ip -batch`` that make all namespaces, links and the machine's own routes."""
    lines = [
        f"link add name {LAN} type bridge forward_delay 0",
        f"link set {LAN} up",
        f"netns add {CLOUD}",
        f"link add name {WAN} type veth peer name eth0 netns {CLOUD}",
        f"addr add {MACHINE_ADDRESS}/30 dev {WAN}",
        f"link set {WAN} up",
        f"route add default via {INTERNET}",
    ]
    for index, account in enumerate(accounts):
        space = echo_namespace(index)
        mac = lan_mac(account)
        lines += [
            f"netns add {space}",
            f"link add name {space} type veth peer name eth0 address {mac} netns {space}",
            f"link set {space} master {LAN} up",
        ]
    return "\n".join(lines) + "\n"


def cloud_links(hosts: Iterable[HostAddress]) -> str:
    """Commands for ``ip -batch`` inside the cloud: its uplink and one address per server."""
    lines = ["link set lo up", f"addr add {INTERNET}/30 dev eth0", "link set eth0 up"]
    addresses = sorted({host.address for host in hosts})
    return "\n".join([*lines, *(f"addr add {address}/32 dev lo" for address in addresses)]) + "\n"


def cloud_names(hosts: Iterable[HostAddress]) -> str:
    """dnsmasq's configuration as the internet's name server: these names, no others."""
    records = _records(hosts)
    lines = ["no-resolv", "no-hosts", "local-ttl=60", "address=/#/", "cache-size=10000"]
    lines += ["interface=eth0", "except-interface=lo", "bind-dynamic", "log-facility=-"]
    return "\n".join([*lines, *records]) + "\n"


def _records(hosts: Iterable[HostAddress]) -> list[str]:
    """An address for each name but the aliases; an alias's target has the alias's address."""
    addresses: dict[str, str] = {}
    aliases: Mapping[str, str] = {host.name: host.cname for host in hosts if host.cname}
    for host in hosts:
        name = host.cname or host.name
        if name not in aliases:
            addresses.setdefault(name, host.address)
    reverse = {host.address: host.reverse for host in hosts if host.reverse is not None}
    records = [
        line
        for name, address in sorted(addresses.items())
        for line in _forward(name, address, backwards=reverse.get(address) != "")
    ]
    # These go before what a host-record says of an address.
    records += [
        f"ptr-record={ip_address(address).reverse_pointer},{name}"
        for address, name in sorted(reverse.items())
        if name
    ]
    return records + [f"cname={name},{target}" for name, target in sorted(aliases.items())]


def _forward(name: str, address: str, *, backwards: bool) -> list[str]:
    """A name's address; a host-record is also found backwards."""
    if backwards:
        return [f"host-record={name},{address}"]
    # Nothing of other types, and no names below it.
    return [f"address=/{name}/{address}", f"local=/{name}/", f"address=/*.{name}/"]
