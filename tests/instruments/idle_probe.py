"""A browser that does nothing, alone on a machine of its own: ``idle_probe.py FOLDER SECONDS``.

What leaves the machine goes to an interface behind which nobody is, and is counted there.
Prints JSON: the packets of the idle time, then those of one visit, which show that packets count.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from scapy.layers.dns import DNS  # noqa: F401 - and these
from scapy.layers.inet6 import IPv6  # noqa: F401 - lets Ether read such packets
from scapy.layers.l2 import Ether

from echoaudit.instruments.browser import Browser
from echoaudit.lab import machine_init
from echoaudit.lab.namespaces import enter, inside
from echoaudit.study.models import BrowserSettings

NETWORK = """
set -e
ip link add wan0 type veth peer name nobody0
ip link set nobody0 up
ip link set wan0 up
ip address add 198.51.100.2/24 dev wan0
ip address add 2001:db8::2/64 dev wan0 nodad
ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev wan0 nud permanent
ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev wan0 nud permanent
ip route add default via 198.51.100.1
ip route add default via 2001:db8::1
"""
KERNELS = ("ICMPv6", "ARP")
"""Packets that the kernel itself sends: it looks for routers, neighbours and groups."""


class Counter:
    """Takes down each packet that leaves by ``wan0``."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self._socket.bind(("wan0", 0))
        self._socket.settimeout(0.2)
        self._packets: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            with suppress(TimeoutError):
                packet, (_, _, direction, *_) = self._socket.recvfrom(65535)
                told = Ether(packet).summary()
                if direction == socket.PACKET_OUTGOING and not any(k in told for k in KERNELS):
                    self._packets.append(told)

    def taken(self) -> list[str]:
        """The packets since the last time."""
        time.sleep(0.5)
        found, self._packets = self._packets, []
        return found


def main(folder: Path, seconds: float) -> None:
    subprocess.run(["sh", "-c", NETWORK], check=True)
    machine_init.RESOLV.write_text("nameserver 203.0.113.53\n")
    counter = Counter()
    settings = BrowserSettings(page_timeout=3, settle=0)
    with Browser(settings, folder / "profile") as browser:
        time.sleep(seconds)
        idle = counter.taken()
        seen: list[str] = []
        for number in range(5):  # a busy machine may not come to it in a visit's time
            browser.visit("http://canary.example/", folder / f"visit-{number}")
            seen += counter.taken()
            if any("canary.example" in packet for packet in seen):
                break
        print(json.dumps({"idle": idle, "visit": seen}))


if __name__ == "__main__":
    if not inside():
        enter([sys.executable, *sys.argv], env=os.environ | {"PYTHONUNBUFFERED": "1"})
    main(Path(sys.argv[1]), float(sys.argv[2]))
