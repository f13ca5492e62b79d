"""The gateway's firewall rules: one nftables table, set and removed as a whole."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway.child import need_program
from echoaudit.instruments.gateway.lan import Client, Lan

TABLE = "inet echoaudit"
WATCHED = ("quic", "dot", "doh", "dns")
"""What is counted for each device: UDP to 443, anything to 853, 443 of known resolvers, DNS sent
past the gateway."""

Counters = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Packets and bytes by what is watched and MAC address."""


@dataclass(frozen=True)
class Before:
    """The machine as it was before the gateway started; kept as the table's comment.

    So the record lives exactly as long as the rules it belongs to, also past a crash, and whoever
    restores it need not know with which configuration the gateway was started.
    """

    lan: str
    address: str
    """The gateway's address on ``lan``."""
    forwarding: bool
    addressed: bool
    """Whether ``lan`` had the address."""
    bridge_rules: bool
    """Whether rules for routed packets also met bridged ones."""

    def comment(self) -> str:
        """The record as text (at most 128 bytes, says nft)."""
        switches = {key: int(value) for key, value in asdict(self).items() if key in _SWITCHES}
        words = {"lan": self.lan, "address": self.address, **switches}
        return " ".join(f"{name}={value}" for name, value in words.items())


_SWITCHES = ("forwarding", "addressed", "bridge_rules")
_COMMENT = re.compile(
    r'comment "lan=(\S+) address=(\S+) forwarding=([01]) addressed=([01]) bridge_rules=([01])"'
)


@dataclass(frozen=True)
class Drops:
    """What is dropped besides being counted."""

    quic: bool
    dot: bool
    doh: bool


def ruleset(
    lan: Lan, *, proxy_port: int, drops: Drops, resolvers: Iterable[IPv4Network], before: Before
) -> str:
    """The table as nft reads it, replacing one that is there.

    Only devices known to be trusting are sent to the proxy: a pinned or unknown device's
    connections never touch anything of ours but the forwarding itself. ``resolvers`` are those of
    DNS over HTTPS; they are met before the proxy, which would hide them from forwarding.
    """
    gateway = lan.address.ip
    return f"""\
table {TABLE}
delete table {TABLE}
table {TABLE} {{
  comment "{before.comment()}"
  {_set("pinned", (c for c in lan.clients if c.policy == "pinned"))}
  {_set("trusting", lan.trusting)}
  {_watched()}
  set resolvers {{ type ipv4_addr; flags interval; elements = {{ {_listed(resolvers)} }}; }}
  chain known_resolvers {{
    type filter hook prerouting priority mangle; policy accept;
    iifname "{lan.interface}" ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 443 \
{_count("doh")} {"drop" if drops.doh else ""}
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "{lan.interface}" return
    ip daddr != {gateway} meta l4proto {{ tcp, udp }} th dport 53 {_count("dns")} redirect to :53
    ip daddr {gateway} return
    ether saddr @pinned return
    ether saddr @trusting tcp dport {{ 80, 443 }} redirect to :{proxy_port}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{lan.interface}" udp dport 443 {_count("quic")} {_verdict(drops.quic)}
    iifname "{lan.interface}" meta l4proto {{ tcp, udp }} th dport 853 {_count("dot")} \
{_verdict(drops.dot)}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {lan.address.network} oifname "{lan.wan}" masquerade
  }}
}}
"""


def _set(name: str, clients: Iterable[Client]) -> str:
    macs = ", ".join(client.mac for client in clients)
    elements = f" elements = {{ {macs} }};" if macs else ""
    return f"set {name} {{ type ether_addr;{elements} }}"


def _listed(networks: Iterable[IPv4Network]) -> str:
    return ", ".join(str(network) for network in networks)


def _watched() -> str:
    return "\n  ".join(
        f"set {name} {{ type ether_addr; size 4096; flags dynamic; counter; }}" for name in WATCHED
    )


def _count(name: str) -> str:
    return f"update @{name} {{ ether saddr }}"


def _verdict(drop: bool) -> str:
    return "drop" if drop else "accept"


def apply(rules: str) -> None:
    """Set the table, all of it or nothing."""
    _nft("-f", "-", text=rules)


def present() -> bool:
    """Whether the table is there."""
    return f"table {TABLE}" in _nft("list", "tables").splitlines()


def left_over() -> Before | None:
    """What the gateway that made the table noted in it; None without a table or a note."""
    if not present():
        return None
    found = _COMMENT.search(_nft("list", "table", *TABLE.split()))
    if found is None:
        return None
    lan, address, *switches = found.groups()
    return Before(lan, address, *(value == "1" for value in switches))


def remove() -> None:
    """Remove the table, if it is there."""
    _nft("-f", "-", text=f"table {TABLE}\ndelete table {TABLE}\n")


def counters() -> Counters:
    """What was counted so far."""
    return parse_counters(_nft("-j", "list", "table", *TABLE.split()))


def parse_counters(text: str) -> Counters:
    """Read the counters from nft's JSON."""
    found: dict[str, dict[str, dict[str, int]]] = {name: {} for name in WATCHED}
    for entry in json.loads(text)["nftables"]:
        listed = entry.get("set", {})
        if listed.get("name") in found:
            for element in (e["elem"] for e in listed.get("elem", ()) if "elem" in e):
                counted = element["counter"]
                found[listed["name"]][element["val"]] = {
                    "packets": counted["packets"],
                    "bytes": counted["bytes"],
                }
    return found


def counted(found: Counters, mac: str) -> dict[str, dict[str, int]]:
    """What one device was counted for."""
    return {name: dict(found[name].get(mac, {"packets": 0, "bytes": 0})) for name in WATCHED}


def counted_since(before: Counters, after: Counters, mac: str) -> dict[str, dict[str, int]]:
    """What one device was counted for between two readings."""
    earlier, later = counted(before, mac), counted(after, mac)
    return {
        name: {unit: later[name][unit] - earlier[name][unit] for unit in ("packets", "bytes")}
        for name in WATCHED
    }


def _nft(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [need_program("nft"), *arguments], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = next(iter(done.stderr.strip().splitlines()), "no message")
        raise Unavailable(f"nft refused the gateway's rules: {reason}", fix="run as root")
    return done.stdout
