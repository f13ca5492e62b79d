"""A gateway that is another machine: its packets are taken there, over SSH, and kept here.

echoaudit changes nothing on that machine: it starts dumpcap there for each session, sees which
devices are there and, where it is told of one, follows the log of the resolver there. Servers that
stay nameless are asked from there, too, by connections that its SSH server opens.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments.gateway import ssh
from echoaudit.instruments.gateway.checks import Found
from echoaudit.instruments.gateway.child import Child, find_program, fix_for
from echoaudit.instruments.gateway.gateway import Capture
from echoaudit.instruments.gateway.lan import Client
from echoaudit.instruments.gateway.names import NameLog, Parser
from echoaudit.instruments.gateway.packets import READY_PATIENCE, PacketCapture
from echoaudit.instruments.gateway.probes import Prober
from echoaudit.instruments.gateway.remote_names import RemoteNames, clock_ahead
from echoaudit.recording import write_json
from echoaudit.study.models import RemoteSettings

SETTLE = 0.5
"""Seconds between a session's end and its capture's: packets wait in buffers there."""
PROBE_PATIENCE = 6.0
"""Seconds for one question to a server: an SSH connection comes before it."""
RESOLVER = "127.0.0.1"
"""Whom the other machine asks for names: its own resolver."""
CLOCK_TOLERANCE = 2.0
"""Seconds by which the two clocks may differ: packets carry that machine's time."""
_POLL = 1.0

_ARP = re.compile(r"(?P<ip>\d+(?:\.\d+){3})\s+0x\w+\s+0x(?P<flags>\w+)\s+(?P<mac>[0-9a-f:]{17})\s")


def capture_command(interface: str, capture_filter: str) -> list[str]:
    """The command that takes packets there and writes them to its output."""
    dumpcap = ["dumpcap", "-q", "-i", interface, "-f", capture_filter, "-w", "-"]
    return ssh.until_input_ends(dumpcap)


def parse_arp(table: str, interface: str) -> dict[str, str]:
    """IP address of each device that Linux's ``/proc/net/arp`` knows on an interface, by MAC."""
    found = {}
    for line in table.splitlines():
        match = _ARP.match(line.lower())
        if match and int(match["flags"], 16) & 2 and line.split()[-1] == interface:
            found[match["mac"]] = match["ip"]
    return found


class RemoteGateway:
    """Records at another machine's interface while it is entered; used like a ``Gateway``."""

    def __init__(
        self,
        settings: RemoteSettings,
        devices: Mapping[str, str],
        state: Path,
        *,
        probe: bool = False,
    ) -> None:
        """Plan; nothing is started.

        Args:
            settings: which machine, and where on it.
            devices: MAC address of each account's device.
            state: private folder for the programs' messages.
            probe: whether servers that stay nameless are asked who they are.
        """
        self._settings = settings
        self._devices = {account: mac.lower() for account, mac in devices.items()}
        self._state = state
        self._addresses: dict[str, str] = {}
        self._accounts: dict[str, str] = {}
        """Account by IP address: the other way round, for the resolver's log."""
        self._log = NameLog(state / "names", self._accounts, Parser(), others=False)
        self._names: RemoteNames | None = None
        dial = partial(ssh.through, settings)
        self._prober = Prober(RESOLVER, None, dial, PROBE_PATIENCE) if probe else None

    def __enter__(self) -> RemoteGateway:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        here = neighbours(self._settings)  # Refused now rather than after hours.
        for account, mac in self._devices.items():
            if mac in here:
                self._found(account, here[mac])
        if self._settings.names is not None:
            ahead = clock_ahead(self._settings)
            self._names = RemoteNames(self._settings, self._settings.names, self._log, ahead)
        return self

    def _found(self, account: str, ip: str) -> None:
        self._accounts.pop(self._addresses.get(account, ""), None)
        self._addresses[account] = ip
        self._accounts[ip] = account

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Between captures nothing runs there but what follows the resolver's log."""
        if self._names is not None:
            self._names.stop()
            self._names = None

    def device(self, account: str) -> dict[str, str]:
        """MAC and IP address and policy of an account's device."""
        return {
            "mac": self._mac(account),
            "ip": self._addresses.get(account, ""),
            "policy": "pinned",
        }

    def _mac(self, account: str) -> str:
        if account not in self._devices:
            known = ", ".join(sorted(self._devices)) or "none"
            raise BadInput(f"account {account!r} has no device; devices: {known}")
        return self._devices[account]

    def wait_for(self, account: str, timeout: float) -> str:
        """Wait until that machine knows an account's device; its IP address.

        Raises:
            Unavailable: it did not within ``timeout`` seconds, or cannot be asked.
        """
        mac = self._mac(account)
        end = time.monotonic() + timeout
        while (ip := neighbours(self._settings).get(mac)) is None:
            if time.monotonic() > end:
                raise Unavailable(
                    f"the device of {account} ({mac}) is not on {_place(self._settings)}",
                    fix="switch it on, join it to that network, check its MAC address",
                )
            time.sleep(_POLL)
        self._found(account, ip)
        return ip

    @contextmanager
    def capture(self, account: str, folder: Path) -> Iterator[Capture]:
        """Record one device's packets; they are being taken when the body begins.

        Args:
            account: whose device.
            folder: an existing folder; gets traffic.pcapng and capture.json; names.jsonl where
                the resolver's log is followed; probes.jsonl where servers are asked.

        Raises:
            Unavailable: dumpcap there or a connection ended; what came until then is kept.
        """
        names = self._names
        if names is not None:
            names.require_alive()
        packets = RemotePackets(
            self._settings, self._mac(account), folder / "traffic.pcapng", self._state
        )
        started = time.time()
        try:
            yield Capture(account, folder, started)
            if not packets.child.alive:
                raise packets.broken()
            if names is not None:
                names.require_alive()
        finally:
            time.sleep(SETTLE)
            ended = time.time()
            losses = packets.stop()
            told = self._log.take(account, folder / "names.jsonl") if names is not None else None
            write_json(
                folder / "capture.json",
                {
                    "program": "dumpcap",
                    "remote": True,
                    "interface": self._settings.interface,
                    "filter": packets.filter,
                    "started": started,
                    "ended": ended,
                    "packets": asdict(losses),
                    **({} if told is None else {"names": told}),
                    "policy": "pinned",
                },
            )
        if losses.captured is None:
            # What it lost is not known, so the step does not count.
            raise packets.broken()
        if self._prober is not None:
            ip = self._addresses.get(account) or self.wait_for(account, 0)
            self._prober.write(Client(account, self._mac(account), ip, "pinned"), folder)


class RemotePackets(PacketCapture):
    """dumpcap on the other machine, its output written to a file here."""

    def __init__(self, settings: RemoteSettings, mac: str, file: Path, state: Path) -> None:
        """Start it and wait until it takes packets.

        Raises:
            Unavailable: no connection, no dumpcap there, or no right to the interface.
        """
        self._place = _place(settings)
        self._begin(mac)
        arguments = ssh.arguments(settings, capture_command(settings.interface, self.filter))
        with file.open("wb") as output:
            self.child = Child(
                "ssh",
                arguments,
                state / "ssh.log",
                on_line=self._line,
                stdin=subprocess.PIPE,
                stdout=output,
            )
        try:
            self._wait()
        except Unavailable as error:
            raise self.broken() from error

    def broken(self) -> Unavailable:
        """Why nothing comes any more."""
        words = self.child.last_words()
        if self.child.status in (None, 255):
            return Unavailable(
                f"the connection to {self._place} broke: {words}",
                fix="see `echoaudit doctor gateway`, then run the same command",
            )
        return Unavailable(
            f"dumpcap on {self._place} ended by itself: {words}",
            fix="see `echoaudit doctor gateway`",
        )

    def _end(self) -> None:
        self.child.end_input(READY_PATIENCE)


def neighbours(settings: RemoteSettings) -> dict[str, str]:
    """IP address of each device that the other machine knows on the interface, by MAC.

    Raises:
        Unavailable: it cannot be asked.
    """
    return parse_arp(ssh.ask(settings, "cat", "/proc/net/arp"), settings.interface)


def _place(settings: RemoteSettings) -> str:
    return f"{settings.interface} of {settings.ssh.rpartition('@')[2]}"


# --- doctor -----------------------------------------------------------------------------------


def check(settings: RemoteSettings) -> Iterator[Found]:
    """Whether that machine is reached, its clock is right, and it lets us take packets."""
    if find_program("ssh") is None:
        yield Found("gateway-ssh", "fail", "ssh is missing", fix_for("ssh"))
        return
    asked = time.time()
    done = ssh.run(settings, ["date", "+%s"])
    if done.returncode != 0:
        yield Found("gateway-ssh", "fail", ssh.reason(settings, done), ssh.fix(settings, done))
        return
    yield Found("gateway-ssh", "ok", f"{settings.ssh} is reached without a question")
    yield _clock(done.stdout, asked, time.time())
    yield _dumpcap(settings)
    if settings.names is not None:
        yield _log(settings, settings.names)


def _clock(said: str, earliest: float, latest: float) -> Found:
    there = float(said) if said.strip().isdigit() else 0.0
    off = max(earliest - 1 - there, there - latest, 0.0)
    if off > CLOCK_TOLERANCE:
        fix = "set both clocks by NTP (timedatectl set-ntp true)"
        return Found("gateway-clock", "warn", f"that machine's clock is {off:.0f} s off", fix)
    return Found("gateway-clock", "ok", "that machine's clock agrees with this one's")


def _dumpcap(settings: RemoteSettings) -> Found:
    name, host = "gateway-dumpcap", ssh.host_of(settings)
    # Opens the interface, as a capture does, and takes nothing.
    done = ssh.run(settings, ["dumpcap", "-i", settings.interface, "-L"])
    if done.returncode == 0:
        return Found(name, "ok", f"may take packets on {_place(settings)}")
    if done.returncode == 127:
        fix = "there: apt-get install wireshark-common"
        return Found(name, "fail", f"dumpcap is missing on {host}", fix)
    fix = "check gateway.remote.interface; there: usermod -aG wireshark USER, or set sudo: true"
    return Found(name, "fail", f"{_place(settings)}: {_first(done.stderr)}", fix)


def _log(settings: RemoteSettings, file: str) -> Found:
    name, place = "gateway-names", f"{file} of {ssh.host_of(settings)}"
    done = ssh.run(settings, ["tail", "-n", "200", file])
    if done.returncode != 0:
        fix = "correct gateway.remote.names; there: let the user read it, or set sudo: true"
        return Found(name, "fail", f"{place}: {_first(done.stderr)}", fix)
    if not any(map(Parser().numbered, done.stdout.splitlines())):
        fix = "there: log-queries=extra in dnsmasq's configuration; then let a device ask something"
        return Found(name, "warn", f"{place} has no question with a number lately", fix)
    return Found(name, "ok", f"{place} can be followed")


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")


def check_devices(settings: RemoteSettings, devices: Mapping[str, str]) -> Iterator[Found]:
    """Whether that machine knows each account's device."""
    try:
        here = neighbours(settings)
    except Unavailable as error:
        yield Found("device", "not here", f"not looked for: {error}")
        return
    for account, mac in sorted(devices.items()):
        name = f"device-{account}"
        if mac.lower() in here:
            yield Found(name, "ok", f"{mac} is at {here[mac.lower()]}")
        else:
            others = ", ".join(sorted(set(here) - set(devices.values()))[:5]) or "no other device"
            message = f"{mac} is not on {_place(settings)}; there: {others}"
            fix = f"switch it on, or correct devices.{account}.mac"
            yield Found(name, "warn", message, fix)
