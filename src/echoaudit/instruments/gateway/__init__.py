"""The machine between the speakers and the internet: addresses, names, rules, packets.

A gateway serves DHCP and DNS on one interface, forwards to another, and records each account's
device apart. All programs it starts end with it, and every rule it sets is removed again.
"""

from __future__ import annotations

from echoaudit.instruments.gateway.checks import Found, check, check_programs
from echoaudit.instruments.gateway.discovery import check_devices
from echoaudit.instruments.gateway.gateway import Capture, Gateway

__all__ = ["Capture", "Found", "Gateway", "check", "check_devices", "check_programs"]
