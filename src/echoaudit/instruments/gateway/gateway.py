"""The gateway: started and stopped as a whole, recording one device at a time or many."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway import doh, guardian, links, resolver, restoring, rules, seat
from echoaudit.instruments.gateway.blocklist import read_blocklists
from echoaudit.instruments.gateway.child import Child, need_program
from echoaudit.instruments.gateway.lan import Client, Lan, lan_of
from echoaudit.instruments.gateway.names import NameLog, Parser
from echoaudit.instruments.gateway.probes import Prober
from echoaudit.instruments.gateway.proxy import Proxy, free_port
from echoaudit.instruments.gateway.session import Session
from echoaudit.resolvers import NAMES
from echoaudit.study.models import GatewaySettings

_POLL = 0.05
_LOOKS = 20


@dataclass(frozen=True)
class Capture:
    """A session being recorded."""

    account: str
    folder: Path
    started: float
    """When packets began to be taken, in seconds since 1970."""


class Gateway:
    """Serves the speakers' network while it is entered.

    On entering, whatever a crashed run left behind is removed first. On leaving, the machine's
    rules, addresses and settings are what they were.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        devices: Mapping[str, str],
        state: Path,
        *,
        purpose: seat.Purpose = "run",
    ) -> None:
        """Plan the network; nothing is started.

        Args:
            settings: where and how.
            devices: MAC address of each account's device.
            state: private folder for leases, logs and the proxy's authority; kept between runs.
            purpose: one that stays ``up`` between runs keeps no names and decrypts nothing.

        Raises:
            BadInput: settings or devices cannot be used together.
        """
        if purpose == "up":
            settings = settings.model_copy(update={"policy": "pinned", "trusting": ()})
        self._settings = settings
        self._purpose = purpose
        self._state = state
        self._lan: Lan = lan_of(settings, devices)
        self._blocked = read_blocklists(settings.block)
        if settings.doh == "drop":
            self._blocked |= NAMES
        self._leases = state / "leases"
        accounts = {client.ip: client.account for client in self._lan.clients}
        self._names = NameLog(state / "names", accounts, Parser(self._blocked))
        self._prober = (
            Prober(settings.dns[0], self._lan.address.network)
            if settings.probe and settings.dns
            else None
        )
        self._children: list[Child] = []
        self._proxy: Proxy | None = None
        self._port = 0
        self._index: int | None = None
        self._since = time.time()
        self._serving = False
        self.trouble: str | None = None
        """What keeps it from serving just now, for whoever asks."""
        self._seat = ExitStack()
        self._served = ExitStack()

    def __enter__(self) -> Gateway:
        with ExitStack() as stack:
            self._require()
            self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._state.chmod(0o700)
            stack.enter_context(seat.take(self.about))
            restoring.clear()
            stack.enter_context(guardian.watched(self._state / "guardian.log"))
            self._served = self._serve()
            self._seat = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._seat:
            self._served.close()

    def about(self) -> dict[str, Any]:
        """What it tells of itself to other processes of this machine."""
        lan = self._lan
        return {
            "purpose": self._purpose,
            "since": self._since,
            "lan": lan.interface,
            "wan": lan.wan,
            "address": str(lan.address),
            "programs": {child.name: child.alive for child in self._children},
            "serving": self._serving,
            "trouble": self.trouble,
        }

    # --- start --------------------------------------------------------------------------------

    def _serve(self) -> ExitStack:
        """Set everything up; the stack undoes it."""
        with ExitStack() as stack:
            self._set_up(stack)
            self._start_programs(stack)
            self._serving = True
            return stack.pop_all()

    def renew(self) -> None:
        """Stop serving and start again; nobody else can become the gateway in between.

        Raises:
            Unavailable: it could not start; nothing is served, and it can be tried again.
        """
        self._serving = False
        self._served.close()
        self._require()
        self._served = self._serve()

    def _require(self) -> None:
        missing = links.missing_rights()
        if missing:
            raise Unavailable(
                f"a gateway needs {' and '.join(missing)}, which this user lacks",
                fix="run as root (sudo)",
            )
        programs = ["setpriv", "ip", "nft", "dnsmasq", "dumpcap"]
        if self._lan.trusting:
            programs += ["mitmdump", "editcap"]
        for program in programs:
            need_program(program)
        links.need_interface("lan", self._lan.interface)
        links.need_interface("wan", self._lan.wan)

    def _set_up(self, stack: ExitStack) -> None:
        lan, settings = self._lan, self._settings
        before = restoring.as_it_is(lan)
        self._index = links.index(lan.interface)
        self._port = free_port()
        rules.apply(
            rules.ruleset(
                lan,
                proxy_port=self._port,
                drops=rules.Drops(
                    quic=settings.quic == "drop",
                    dot=settings.dot == "drop",
                    doh=settings.doh == "drop",
                ),
                resolvers=doh.addresses(),
                before=before,
            )
        )
        stack.callback(restoring.restore, before)
        links.add_address(lan.interface, lan.address)
        links.forward(True)
        if links.is_bridge(lan.interface):
            # Else packets are redirected before dumpcap sees them on the bridge, and the capture
            # names the gateway where the device named its server.
            links.apply_bridge_rules(False)

    def _start_programs(self, stack: ExitStack) -> None:
        stack.callback(self._stop_programs)
        if self._lan.trusting:
            self._proxy = Proxy(
                self._state,
                self._lan.address.ip,
                self._port,
                folder=self._settings.proxy_authority,
                upstream=self._settings.upstream_authority,
                learn=self._settings.learn,
            )
            self._children.append(self._proxy.child)
            # Devices get their addresses from dnsmasq, so none is there before the proxy is.
            self._proxy.wait()
        # A lease of an earlier plan would keep its address from the device that has it now.
        self._leases.unlink(missing_ok=True)
        text = resolver.configuration(
            self._lan,
            self._settings.dns,
            self._blocked,
            self._leases,
            denied=(doh.CANARY,) if self._settings.doh == "drop" else (),
            log=self._purpose == "run",
        )
        started = resolver.Resolver(self._state, text, self._names.line)
        self._children.append(started.child)

    def _stop_programs(self) -> None:
        while self._children:
            self._children.pop().stop()

    # --- use ----------------------------------------------------------------------------------

    def device(self, account: str) -> dict[str, str]:
        """MAC and IP address and policy of an account's device."""
        client = self._lan.client(account)
        return {"mac": client.mac, "ip": client.ip, "policy": client.policy}

    def wait_for(self, account: str, timeout: float) -> str:
        """Wait until an account's device is on the network; its IP address.

        A device that still holds its address from an earlier run does not ask for one again: it is
        called at that address, and its answer is as good.

        Raises:
            Unavailable: it was not there within ``timeout`` seconds, or the gateway broke.
        """
        client = self._lan.client(account)
        end = time.monotonic() + timeout
        while not self._seen(client):
            self._require_alive()
            if time.monotonic() > end:
                raise Unavailable(
                    f"the device of {account} ({client.mac}) has not joined {self._lan.interface}"
                    f" within {timeout:g} s",
                    fix="switch it on, join it to the gateway's network, check its MAC address",
                )
        return client.ip

    def _seen(self, client: Client) -> bool:
        """Watch for a device for about a second, then call it."""
        for _ in range(_LOOKS):
            if resolver.has_lease(self._leases, client.mac, client.ip):
                return True
            time.sleep(_POLL)
        links.call(client.ip)
        time.sleep(_POLL)
        return links.answered(self._lan.interface, client.mac, client.ip)

    @contextmanager
    def capture(self, account: str, folder: Path) -> Iterator[Capture]:
        """Record one device's packets, names and (when it trusts the proxy) exchanges.

        Packets are being taken when the body begins. Enter and leave it in one thread.

        Args:
            account: whose device.
            folder: an existing folder; gets traffic.pcapng, capture.json, names.jsonl and, for a
                trusting device, proxy.mitm, proxy.jsonl and keys.log; with ``gateway.probe``,
                probes.jsonl.

        Raises:
            Unavailable: a program of the gateway ended, before or during the session.
        """
        client = self._lan.client(account)
        self._require_alive()
        proxy = self._proxy if client.policy == "trusting" else None
        log = self._state / "dumpcap.log"
        session = Session(self._settings, client, folder, names=self._names, proxy=proxy, log=log)
        try:
            yield Capture(account, folder, session.started)
            self._require_alive()
            session.packets.child.require_alive()
        finally:
            session.finish()
        if self._prober is not None:
            self._prober.write(client, folder)

    def require_whole(self) -> None:
        """Raise ``Unavailable`` when speakers can no longer reach the internet through it.

        Looks for what others do to a machine: end programs, pull cables, flush firewalls.
        """
        self._require_alive()
        lan = self._lan
        if links.index(lan.interface) != self._index:
            raise Unavailable(f"{lan.interface} was unplugged", fix="plug it in")
        if not links.has_address(lan.interface, lan.address):
            raise Unavailable(f"{lan.interface} lost the address {lan.address}")
        if not rules.present():
            raise Unavailable("the gateway's firewall rules were removed by another program")
        if not links.forwarding():
            raise Unavailable("another program ended the forwarding of packets")

    def _require_alive(self) -> None:
        if not self._children:
            raise Unavailable("the gateway is not running", fix="enter it first")
        for child in self._children:
            child.require_alive()
