"""The machine between the speakers and the internet: addresses, names, rules, packets.

A gateway serves DHCP and DNS on one interface, forwards to another, and records each account's
device apart. All programs it starts end with it, and every rule it sets is removed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from echoaudit.instruments.gateway.checks import Found, check, check_programs
from echoaudit.instruments.gateway.discovery import check_devices
from echoaudit.instruments.gateway.gateway import Capture, Gateway
from echoaudit.instruments.gateway.remote import RemoteGateway
from echoaudit.study.models import GatewaySettings

__all__ = [
    "AnyGateway",
    "Capture",
    "Found",
    "Gateway",
    "RemoteGateway",
    "check",
    "check_devices",
    "check_programs",
    "gateway_for",
]

AnyGateway = Gateway | RemoteGateway


def gateway_for(settings: GatewaySettings, devices: Mapping[str, str], state: Path) -> AnyGateway:
    """This machine as the gateway, or the one that the settings name; nothing is started."""
    if settings.remote is not None:
        return RemoteGateway(settings.remote, devices, state, probe=settings.probe)
    return Gateway(settings, devices, state)
