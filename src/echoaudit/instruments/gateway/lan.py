"""Who is on the speakers' network, at which address, under which policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Literal

from echoaudit.errors import BadInput
from echoaudit.study.models import GatewaySettings

Policy = Literal["pinned", "trusting"]

FIRST_DEVICE = 10
"""Host number of the first device: the ones below are left for machines set up by hand."""


@dataclass(frozen=True)
class Client:
    """The device of one account."""

    account: str
    mac: str
    ip: str
    policy: Policy


@dataclass(frozen=True)
class Lan:
    """The speakers' network as the gateway serves it."""

    interface: str
    wan: str
    address: IPv4Interface
    clients: tuple[Client, ...]
    guests: tuple[IPv4Address, IPv4Address]
    """First and last address for devices of no account (a telephone that sets a speaker up)."""

    @property
    def trusting(self) -> tuple[Client, ...]:
        """The clients whose TLS is decrypted."""
        return tuple(client for client in self.clients if client.policy == "trusting")

    def client(self, account: str) -> Client:
        """The device of an account.

        Raises:
            BadInput: the account has no device.
        """
        for client in self.clients:
            if client.account == account:
                return client
        known = ", ".join(sorted(c.account for c in self.clients)) or "none"
        raise BadInput(f"account {account!r} has no device; devices: {known}")


def lan_of(settings: GatewaySettings, devices: Mapping[str, str]) -> Lan:
    """Give each device its fixed address and policy.

    Args:
        settings: the gateway's settings.
        devices: MAC address of each account's device.

    Raises:
        BadInput: the address is no IPv4 network, is too small, or two accounts share a device.
    """
    address = _address(settings.address)
    _refuse_shared(devices)
    last = address.network.num_addresses - 2
    guests_from = last - last // 4
    if FIRST_DEVICE + len(devices) > guests_from:
        raise BadInput(
            f"gateway.address {settings.address} has room for {guests_from - FIRST_DEVICE} devices,"
            f" the study has {len(devices)}; use a larger network, e.g. 192.168.72.1/21"
        )
    taken = address.ip
    hosts = (
        ip
        for number in range(FIRST_DEVICE, guests_from)
        if (ip := address.network.network_address + number) != taken
    )
    clients = tuple(
        Client(account, devices[account].lower(), str(ip), _policy(settings, account))
        for account, ip in zip(sorted(devices), hosts, strict=False)
    )
    base = address.network.network_address
    return Lan(settings.lan, settings.wan, address, clients, (base + guests_from + 1, base + last))


def _policy(settings: GatewaySettings, account: str) -> Policy:
    return "trusting" if account in settings.trusting else settings.policy


def _address(text: str) -> IPv4Interface:
    try:
        address = IPv4Interface(text)
    except ValueError as error:
        raise BadInput(
            f"gateway.address {text!r} is no IPv4 address with its network, e.g. 192.168.77.1/24"
        ) from error
    if address.network.prefixlen > 27:
        raise BadInput(f"gateway.address {text!r} is too small a network; use /27 or larger")
    return address


def _refuse_shared(devices: Mapping[str, str]) -> None:
    owner: dict[str, str] = {}
    for account, mac in devices.items():
        other = owner.setdefault(mac.lower(), account)
        if other != account:
            raise BadInput(f"devices {other!r} and {account!r} have the same address {mac}")
