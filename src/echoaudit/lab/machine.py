"""The lab's machine, from inside: its network, the cloud, and one speaker per account."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from echoaudit.errors import Unavailable
from echoaudit.lab import machine_device, topology
from echoaudit.lab.namespaces import available, enter, inside
from echoaudit.lab.topology import HostAddress, lan_mac, overlay

__all__ = ["HostAddress", "Machine", "available", "enter", "inside", "lan_mac", "overlay"]

START_PATIENCE = 120.0
_POLL = 0.02

# Run by udhcpc; it may not change the address while it is renewed, or connections would break.
_DHCP_SCRIPT = """\
#!/bin/sh
case "$1" in
deconfig)
  ip addr flush dev "$interface" ;;
bound | renew)
  ip addr replace "$ip/$mask" dev "$interface"
  ip route replace default via "${router%% *}"
  for server in $dns; do echo "nameserver $server"; done >"$RESOLV" ;;
esac
"""


class Machine:
    """The simulated world's network, running while it is entered.

    Speakers ask for an address until a gateway answers them, then their programs start.
    """

    def __init__(
        self,
        *,
        hosts: Sequence[HostAddress],
        accounts: Sequence[str],
        state: Path,
        cloud_command: Sequence[str],
        echo_command: Callable[[str], Sequence[str]],
        environment: Mapping[str, str] | None = None,
        ports: Iterable[int] = (443,),
    ) -> None:
        """Plan; nothing is started.

        Args:
            hosts: names of the internet, each with its address.
            accounts: one speaker each.
            state: folder for logs.
            cloud_command: serves all hosts; run in the cloud's network.
            echo_command: an account's speaker program; run in that speaker's network.
            environment: variables for the speakers, besides this process's.
            ports: TCP ports on which every server must answer before the cloud counts as started.
        """
        self._hosts, self._accounts = hosts, accounts
        self._state = state
        self._cloud_command, self._echo_command = cloud_command, echo_command
        self._environment = {**os.environ, **(environment or {})}
        self._ports = tuple(ports)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Machine:
        if not inside():
            raise Unavailable("the lab's network is only made on its own machine", fix="enter()")
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def require_alive(self) -> None:
        """Raise ``Unavailable`` when the cloud or a speaker has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self.log(name)
                raise Unavailable(
                    f"{name} of the lab ended by itself (status {process.returncode}):"
                    f" {_last_line(log)}",
                    fix=f"see {log}",
                )

    def log(self, name: str) -> Path:
        """Where the messages of ``cloud``, ``names`` or an account's speaker are."""
        return self._state / f"{name}.log"

    # --- start and stop -----------------------------------------------------------------------

    def _start(self) -> None:
        Path("/etc/resolv.conf").write_text(f"nameserver {topology.INTERNET}\n", encoding="ascii")
        _ip([], topology.links(self._accounts))
        _ip(["-n", topology.CLOUD], topology.cloud_links(self._hosts))
        self._start_cloud()
        self._start_speakers()
        self._wait_for_cloud()

    def _start_cloud(self) -> None:
        config = self._state / "names.conf"
        config.write_text(topology.cloud_names(self._hosts), encoding="ascii")
        names = ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}", "--user=", "--group="]
        self._run("names", topology.CLOUD, [*names, "--pid-file="])
        self._run("cloud", topology.CLOUD, self._cloud_command)

    def _start_speakers(self) -> None:
        script = Path("/run/echoaudit-dhcp.sh")
        script.write_text(_DHCP_SCRIPT, encoding="ascii")
        script.chmod(0o755)
        system = [sys.executable, "-I", "-S", str(Path(machine_device.__file__).resolve())]
        for index, account in enumerate(self._accounts):
            space = topology.echo_namespace(index)
            resolv = Path(f"/run/{space}-resolv.conf")
            resolv.write_bytes(b"")
            dhcp_log = self._state / f"{account}-dhcp.log"
            device = [*system, str(resolv), str(script), str(dhcp_log)]
            command = ["unshare", "--mount", *device, *self._echo_command(account)]
            self._run(account, space, command)

    def _run(self, name: str, space: str, command: Sequence[str]) -> None:
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{space}", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                process_group=0,
            )

    def _wait_for_cloud(self) -> None:
        waiting = {(host.address, port) for host in self._hosts for port in self._ports}
        end = time.monotonic() + START_PATIENCE
        while waiting := {server for server in waiting if not _answers(server)}:
            self.require_alive()
            if time.monotonic() > end:
                raise Unavailable(
                    f"the lab's cloud does not answer on {len(waiting)} of its addresses:"
                    f" {_last_line(self.log('cloud'))}",
                    fix=f"see {self.log('cloud')}",
                )
            time.sleep(_POLL)

    def _stop(self) -> None:
        for process in self._running.values():
            _signal_group(process, signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()
        self._running.clear()
        links = {name for _, name in socket.if_nameindex()}
        for link in links & {topology.LAN, topology.WAN}:
            _ip(["link", "delete", link])
        for line in _ip(["netns", "list"]).splitlines():
            _ip(["netns", "delete", line.split()[0]])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process and what it started; its group outlives it while any of them runs."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _answers(server: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(server) == 0


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no message"


def _ip(options: Sequence[str], batch: str | None = None) -> str:
    arguments = [*options, "-batch", "-"] if batch is not None else list(options)
    done = subprocess.run(
        ["ip", *arguments], input=batch, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = next(iter(done.stderr.strip().splitlines()), "no message")
        raise Unavailable(f"the lab's network could not be made: ip: {reason}")
    return done.stdout
