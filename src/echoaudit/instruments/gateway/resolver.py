"""dnsmasq as the speakers' DHCP and DNS server."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway.child import Child, LineSeen
from echoaudit.instruments.gateway.lan import Lan

START_PATIENCE = 30.0
LEASE = "15m"


def configuration(
    lan: Lan,
    upstream: Iterable[str],
    blocked: Iterable[str],
    leases: Path,
    *,
    denied: Iterable[str] = (),
    log: bool = True,
) -> str:
    """dnsmasq's configuration.

    Blocked names are answered as Pi-hole answers them: 0.0.0.0, ::, and nothing of other types.
    Of denied ones it says that there is no such name. Without ``log`` it says nothing of what
    devices do.
    """
    gateway = lan.address.ip
    lines = [
        f"interface={lan.interface}",
        "except-interface=lo",
        "bind-interfaces",
        "no-resolv",
        "no-hosts",
        "log-queries=extra" if log else "quiet-dhcp",
        "cache-size=10000",
        *(f"server={address}" for address in upstream),
        *(
            f"{rule}"
            for name in sorted(blocked)
            for rule in (f"address=/{name}/#", f"local=/{name}/")
        ),
        *(f"local=/{name}/" for name in denied),
        f"dhcp-leasefile={leases}",
        f"dhcp-range={lan.guests[0]},{lan.guests[1]},{lan.address.netmask},{LEASE}",
        f"dhcp-option=option:router,{gateway}",
        f"dhcp-option=option:dns-server,{gateway}",
        "dhcp-authoritative",
        "no-ping",
        *(f"dhcp-host={c.mac},{c.ip},{LEASE}" for c in lan.clients),
    ]
    return "\n".join(lines) + "\n"


class Resolver:
    """The running dnsmasq."""

    def __init__(self, state: Path, text: str, on_line: LineSeen) -> None:
        """Start it and wait until it answers.

        Raises:
            Unavailable: a port is busy, or dnsmasq refuses to start for another reason.
        """
        self._started = threading.Event()
        self._forward = on_line
        config = state / "dnsmasq.conf"
        config.write_text(text, encoding="utf-8")
        # An empty user and group: changing to another one needs rights that a user namespace lacks.
        arguments = ["--keep-in-foreground", f"--conf-file={config}", "--user=", "--group="]
        arguments += ["--log-facility=-", "--pid-file="]
        self.child = Child("dnsmasq", arguments, state / "dnsmasq.log", on_line=self._line)
        try:
            self.child.wait_until(self._started.is_set, START_PATIENCE)
        except Unavailable as error:
            self.child.stop()
            words = self.child.last_words()
            if "in use" in words:
                raise Unavailable(
                    f"the gateway's DNS or DHCP port is busy: {words}",
                    fix="stop the other name server (ss -lnptu 'sport = :53 or sport = :67')",
                ) from error
            raise

    def _line(self, time: float, line: str) -> None:
        if ": started, version" in line:
            self._started.set()
        self._forward(time, line)


def has_lease(leases: Path, mac: str, ip: str) -> bool:
    """Whether dnsmasq has given a device its address.

    Each line of its lease file: expiry, MAC, IP, name, client id.
    """
    if not leases.is_file():
        return False
    lines = (line.split() for line in leases.read_text(encoding="utf-8").splitlines())
    return any(words[1:3] == [mac, ip] for words in lines)
