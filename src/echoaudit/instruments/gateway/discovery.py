"""Who is on the speakers' network, asked by ARP, and what that says about a study's devices."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import TYPE_CHECKING, NamedTuple

from echoaudit.errors import BadInput, EchoauditError, Unavailable
from echoaudit.instruments.gateway import links
from echoaudit.instruments.gateway.checks import Found
from echoaudit.instruments.gateway.lan import Client, lan_of
from echoaudit.study.models import GatewaySettings

if TYPE_CHECKING:
    from scapy.packet import Packet

MOST_ADDRESSES = 4096
"""Addresses asked for at most, each with one packet and a second one when nobody answers."""
PATIENCE = 3.0
"""Seconds: a speaker whose Wi-Fi sleeps takes more than one to answer."""
_SHOWN = 5
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_HOMES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


class Neighbour(NamedTuple):
    """A device that answered."""

    mac: str
    ip: str
    vendor: str | None
    """Who the first half of its hardware address is registered to, where that is known."""

    def __str__(self) -> str:
        return f"{self.mac} ({self.vendor or 'unknown vendor'}) at {self.ip}"


def discover(lan: str, network: str, timeout: float = PATIENCE) -> list[Neighbour]:
    """Ask every address of a network who has it.

    The questions are ARP probes (RFC 5227), which carry no sender's address: they can be asked
    before the gateway has its own, and no device remembers this machine by them.

    Args:
        lan: interface to ask on.
        network: an IPv4 network, e.g. ``192.168.77.0/24``.
        timeout: seconds to wait for answers.

    Raises:
        BadInput: ``network`` is no network, or too large.
        Unavailable: no right to send packets, or no such interface, or it is down.
    """
    asked = _network(network)
    if "CAP_NET_RAW" in links.missing_rights():
        raise Unavailable("looking for devices needs CAP_NET_RAW", fix="run with sudo")
    links.need_interface("lan", lan)
    try:
        return neighbours(_answers(lan, asked, timeout), asked)
    except OSError as error:
        raise Unavailable(
            f"cannot look for devices on {lan}: {error.strerror}", fix=f"ip link set {lan} up"
        ) from error


def neighbours(answers: Iterable[Packet], network: IPv4Network) -> list[Neighbour]:
    """The devices behind ARP answers, by address; what is no answer from ``network`` is left out.

    A device is known by the Ethernet address it sends from: captures and rules go by that one, and
    an access point may have put its own in place of the speaker's, which is then worth seeing.
    """
    with scapy_apart():
        from scapy.config import conf
        from scapy.layers.l2 import ARP, Ether
    found: set[Neighbour] = set()
    for answer in answers:
        if ARP not in answer or Ether not in answer or not _within(answer[ARP].psrc, network):
            continue
        mac = str(answer[Ether].src)
        vendor = conf.manufdb.lookup(mac)[1]
        found.add(Neighbour(mac, answer[ARP].psrc, vendor if vendor != mac else None))
    return sorted(found, key=lambda one: (IPv4Address(one.ip), one.mac))


def check_devices(settings: GatewaySettings, devices: Mapping[str, str]) -> Iterator[Found]:
    """Whether each account's device is on the network now; nothing is changed.

    Args:
        settings: where to look.
        devices: MAC address of each account's device.
    """
    if settings.remote is not None:
        from echoaudit.instruments.gateway import remote

        yield from remote.check_devices(settings.remote, devices)
        return
    try:
        lan = lan_of(settings, devices)
        here = discover(lan.interface, str(lan.address.network))
    except EchoauditError as error:
        yield Found("device", "not here", f"not looked for: {error}")
        return
    yield from compare(lan.clients, here)


def compare(clients: Sequence[Client], here: Sequence[Neighbour]) -> Iterator[Found]:
    """One finding for each client, from who answered."""
    known = {client.mac for client in clients}
    others = [str(one) for one in here if one.mac not in known]
    for client in clients:
        name = f"device-{client.account}"
        addresses = [one.ip for one in here if one.mac == client.mac]
        if client.ip in addresses:
            yield Found(name, "ok", f"{client.mac} answers at {client.ip}")
        elif addresses:
            message = f"{client.mac} answers at {', '.join(addresses)}, its address is {client.ip}"
            yield Found(name, "warn", message, "switch it off and on while a run waits for it")
        else:
            message = f"{client.mac} does not answer; found on the LAN: {_listed(others)}"
            fix = f"switch it on, join it to the LAN, or correct devices.{client.account}.mac"
            yield Found(name, "warn", message, fix)


def _listed(others: Sequence[str]) -> str:
    more = [f"{len(others) - _SHOWN} more"] if len(others) > _SHOWN else []
    return ", ".join([*others[:_SHOWN], *more]) or "no other device"


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no IPv4 network, e.g. 192.168.77.0/24") from error
    if network.num_addresses > MOST_ADDRESSES:
        raise BadInput(
            f"the network {network} has {network.num_addresses} addresses, too many to ask for each"
            f" (at most {MOST_ADDRESSES}); set gateway.address with /20 or a smaller network"
        )
    return network


def _within(address: object, network: IPv4Network) -> bool:
    try:
        return IPv4Address(str(address)) in network
    except AddressValueError:
        return False


def _answers(lan: str, network: IPv4Network, timeout: float) -> list[Packet]:
    with scapy_apart():
        from scapy.arch import get_if_hwaddr
        from scapy.data import ETH_P_ARP
        from scapy.layers.l2 import ARP, Ether
        from scapy.sendrecv import srp
    ours = get_if_hwaddr(lan)
    probes = Ether(src=ours, dst=_BROADCAST) / ARP(hwsrc=ours, psrc="0.0.0.0", pdst=str(network))
    # Chosen by its type alone: a filter would need libpcap. One thread: an error in a second one
    # would be a traceback. `multi`: a forged answer must not use up a question.
    answered, _ = srp(
        probes,
        iface=lan,
        type=ETH_P_ARP,
        promisc=False,
        timeout=timeout / 2,
        retry=1,
        multi=True,
        threaded=False,
        chainEX=True,
        verbose=0,
    )
    return [pair.answer for pair in answered]


@contextmanager
def scapy_apart() -> Iterator[None]:
    """Import scapy without a word from it and without a file in the user's home.

    It would read and write pickled tables in the cache folder, and make that and others.
    """
    for name in ("scapy.loading", "scapy.runtime"):
        logging.getLogger(name).setLevel(logging.ERROR)
    before = {name: os.environ.get(name) for name in _HOMES}
    os.environ.update(dict.fromkeys(_HOMES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
