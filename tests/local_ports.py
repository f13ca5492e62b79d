"""Ports for servers that tests start, which nobody else takes before they are in use."""

from __future__ import annotations

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that the kernel gives to no connection.

    It gives any port of its range to whoever asks for one, other tests' connections among them; a
    server that takes a second to start would now and then find its port taken.
    """
    highest = int(RANGE.read_text().split()[0]) - 1
    if highest < LOWEST + 1000:
        raise RuntimeError(f"{RANGE} leaves no ports to servers")
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randint(LOWEST, highest)
        if _is_free(port):
            found.add(port)
    return list(found)


def free_port() -> int:
    """One such port."""
    (port,) = free_ports(1)
    return port


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
