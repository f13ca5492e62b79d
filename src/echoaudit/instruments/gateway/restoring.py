"""Putting the machine back as it was before a gateway changed it."""

from __future__ import annotations

from ipaddress import IPv4Interface

from echoaudit.instruments.gateway import links, rules
from echoaudit.instruments.gateway.lan import Lan
from echoaudit.instruments.gateway.rules import Before


def as_it_is(lan: Lan) -> Before:
    """The machine as it is now."""
    return Before(
        lan=lan.interface,
        address=str(lan.address),
        forwarding=links.forwarding(),
        addressed=links.has_address(lan.interface, lan.address),
        bridge_rules=links.bridge_rules(),
    )


def restore(before: Before) -> None:
    """Remove the rules and put back what they note; an interface that has gone needs nothing."""
    rules.remove()
    links.forward(before.forwarding)
    links.apply_bridge_rules(before.bridge_rules)
    address = IPv4Interface(before.address)
    if not before.addressed and links.has_address(before.lan, address):
        links.remove_address(before.lan, address)


def clear() -> bool:
    """Remove what a killed gateway left behind; whether there was anything."""
    if not rules.present():
        return False
    before = rules.left_over()
    if before is None:
        # A table without the note is not known to have changed anything else.
        rules.remove()
    else:
        restore(before)
    return True
