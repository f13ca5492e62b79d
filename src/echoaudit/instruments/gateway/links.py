"""Interfaces, addresses and forwarding of this machine."""

from __future__ import annotations

import json
import socket
import subprocess
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway.child import need_program

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_BRIDGE_RULES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_NET_ADMIN, _NET_RAW = 12, 13


def missing_rights() -> list[str]:
    """The capabilities a gateway needs and this process lacks."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = int(next(x for x in status.splitlines() if x.startswith("CapEff")).split()[1], 16)
    needed = {_NET_ADMIN: "CAP_NET_ADMIN", _NET_RAW: "CAP_NET_RAW"}
    return [name for bit, name in needed.items() if not effective >> bit & 1]


def interfaces() -> list[str]:
    """Names of the network interfaces, but for the loopback."""
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def need_interface(setting: str, name: str) -> None:
    """Raise ``Unavailable`` when an interface is not here."""
    if name not in interfaces():
        here = ", ".join(interfaces()) or "none"
        raise Unavailable(
            f"there is no network interface {name!r} (here: {here})",
            fix=f"set gateway.{setting} in the configuration",
        )


def index(interface: str) -> int | None:
    """The kernel's number of an interface: another one when it was unplugged and came back."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def has_address(interface: str, address: IPv4Interface) -> bool:
    """Whether an interface has an address; one that has gone has none."""
    return index(interface) is not None and any(
        found.get("local") == str(address.ip)
        for link in _ip_json("addr", "show", "dev", interface)
        for found in link.get("addr_info", ())
    )


def add_address(interface: str, address: IPv4Interface) -> None:
    """Give an interface an address and bring it up."""
    _ip("addr", "replace", str(address), "dev", interface)
    _ip("link", "set", interface, "up")


def remove_address(interface: str, address: IPv4Interface) -> None:
    """Take an address from an interface that has it."""
    _ip("addr", "del", str(address), "dev", interface)


def call(ip: str) -> None:
    """Have the kernel ask who is at an address, by an empty datagram to the discard port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.sendto(b"", (ip, 9))
        except OSError:
            return  # No way to that network just now: nobody answers either.


def answered(interface: str, mac: str, ip: str) -> bool:
    """Whether a device has said that it is at an address."""
    return any(
        found.get("lladdr") == mac and "FAILED" not in found.get("state", ())
        for found in _ip_json("neigh", "show", ip, "dev", interface)
    )


def forwarding() -> bool:
    """Whether this machine forwards IPv4 packets."""
    return _is_on(_FORWARDING)


def forward(on: bool) -> None:
    """Have this machine forward IPv4 packets, or no longer."""
    _switch(_FORWARDING, on)


def bridge_rules() -> bool:
    """Whether rules for routed packets also meet packets on their way through a bridge."""
    return _BRIDGE_RULES.exists() and _is_on(_BRIDGE_RULES)


def apply_bridge_rules(on: bool) -> None:
    """Have them meet, or no longer."""
    if _BRIDGE_RULES.exists():
        _switch(_BRIDGE_RULES, on)


def is_bridge(interface: str) -> bool:
    """Whether an interface is a bridge."""
    (link,) = _ip_json("-d", "link", "show", "dev", interface)
    return bool(link.get("linkinfo", {}).get("info_kind") == "bridge")


def _is_on(setting: Path) -> bool:
    return setting.read_text(encoding="ascii").strip() == "1"


def _switch(setting: Path, on: bool) -> None:
    if _is_on(setting) == on:
        return
    try:
        setting.write_text(f"{int(on)}\n", encoding="ascii")
    except OSError as error:
        raise Unavailable(f"cannot set {setting}: {error.strerror}", fix="run as root") from error


def _ip(*arguments: str) -> str:
    done = subprocess.run(
        [need_program("ip"), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = done.stderr.strip().removeprefix("RTNETLINK answers: ")
        raise Unavailable(f"ip {' '.join(arguments)}: {reason}", fix="run as root")
    return done.stdout


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_ip("-j", *arguments) or "[]")
    return found
