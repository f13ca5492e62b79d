"""Run on a machine of its own by test_gateway_remote.py: another machine ("box") is the gateway.

```
 echo eth0 ──veth── wlan0 [box: dropbear, dnsmasq, dumpcap] eth0 ──veth── box0 [here: TLS servers]
```
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
import standins
from machine_probe import await_end

from echoaudit.errors import EchoauditError
from echoaudit.instruments.gateway import asking, check, check_devices, gateway_for
from echoaudit.instruments.gateway import ssh as ssh_to
from echoaudit.lab.machine import enter, inside
from echoaudit.study.models import GatewaySettings

MAC = "fc:a1:83:00:00:01"
SSH_CONFIG = """\
Host box
  HostName 10.99.0.2
  Port 2222
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/{known}
"""
TALK = """
import socket, ssl, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(60)
ask = bytes.fromhex("0007010000010000000000000361706905766f6963650474657374") + b"\\0\\0\\1\\0\\1"
udp.sendto(ask, ("192.168.88.1", 53)); udp.recv(500)
named = bytes.fromhex("000801000001000000000000056e616d6564047465737400") + b"\\0\\1\\0\\1"
udp.sendto(named, ("192.168.88.1", 53)); udp.recv(500)
context = ssl.create_default_context(); context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
for server in ("10.99.0.1", "10.99.0.6"):
    context.wrap_socket(socket.create_connection((server, 443), 60)).close()
for number in range(int(sys.argv[1])):
    udp.sendto(bytes(200), ("192.168.88.1", 4000 + number % 100))
"""


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def on(space: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", space, *command]


def prepare(folder: Path) -> list[subprocess.Popen[bytes]]:
    for space in ("box", "echo"):
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "box0", "type", "veth", "peer", "name", "eth0", "netns", "box")
    run("ip", "-n", "box", "link", "add", "wlan0", "type", "veth",
        "peer", "name", "eth0", "address", MAC, "netns", "echo")  # fmt: skip
    run("ip", "addr", "add", "10.99.0.1/30", "dev", "box0")
    run("ip", "link", "set", "box0", "up")
    addresses = {
        "box": ("10.99.0.2/30 eth0", "192.168.88.1/24 wlan0"),
        "echo": ("192.168.88.10/24 eth0",),
    }
    for space, given in addresses.items():
        for address, link in (one.split() for one in given):
            run("ip", "-n", space, "addr", "add", address, "dev", link)
            run("ip", "-n", space, "link", "set", link, "up")
    for space, link in (("box", "lo"), ("echo", "lo")):
        run("ip", "-n", space, "link", "set", link, "up")
    run("ip", "addr", "add", "10.99.0.6/32", "dev", "box0")
    run("ip", "route", "add", "192.168.88.0/24", "via", "10.99.0.2")
    run("ip", "-n", "box", "route", "add", "10.99.0.6", "via", "10.99.0.1")
    run("ip", "-n", "echo", "route", "add", "default", "via", "192.168.88.1")
    run(*on("box", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"))
    keys(folder)
    server = ["dropbear", "-F", "-E", "-s", "-r", f"{folder}/host", "-p", "10.99.0.2:2222"]
    server += ["-P", f"{folder}/dropbear.pid"]
    names = [
        "dnsmasq",
        "-k",
        "-C",
        "/dev/null",
        "--user=",
        "--group=",
        "--pid-file=",
        "--no-resolv",
    ]
    names += ["--interface=wlan0", "--bind-interfaces", "--address=/voice.test/192.168.88.1"]
    names += ["--address=/named.test/10.99.0.6", "--log-queries=extra"]
    names += ["--ptr-record=1.0.99.10.in-addr.arpa,edge-1.hosting.net"]
    names += [f"--log-facility={folder}/dns.log"]
    with (folder / "programs.log").open("wb") as log:
        return [
            subprocess.Popen(on("box", *command), stdout=log, stderr=log)
            for command in (server, names)
        ]


class Servers:
    """Serves the stand-ins' certificate on all addresses here; who came, by address and name."""

    def __init__(self, folder: Path) -> None:
        standins.make_authority(folder)
        self.came: list[tuple[str, str | None]] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._context.sni_callback = lambda _tls, name, _context: self._names.append(name)
        self._names: list[str | None] = []
        self._socket = socket.create_server(("0.0.0.0", 443))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            link, (peer, _) = self._socket.accept()
            with suppress(ssl.SSLError, ConnectionError):
                self._context.wrap_socket(link, server_side=True).close()
            self.came.append((peer, self._names.pop() if self._names else None))


def keys(folder: Path) -> None:
    """Keys of this test only, and a root whose home is the test's folder."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key")
    said = run("dropbearkey", "-t", "ed25519", "-f", f"{folder}/host")
    host = next(line for line in said.splitlines() if line.startswith("ssh-ed25519"))
    (folder / "known").write_text(f"[10.99.0.2]:2222 {' '.join(host.split()[:2])}\n")
    (folder / "none").touch()
    for known in ("known", "none"):
        config = SSH_CONFIG.format(folder=folder, known=known)
        (folder / f"config-{known}").write_text(config)
    (folder / "config-stranger").write_text(
        SSH_CONFIG.format(folder=folder, known="known").replace("/key", "/other")
    )
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/other")
    home = folder / "home" / ".ssh"
    home.mkdir(parents=True, mode=0o700)
    (folder / "home").chmod(0o700)
    (home / "authorized_keys").write_bytes((folder / "key.pub").read_bytes())
    (home / "authorized_keys").chmod(0o600)
    (folder / "passwd").write_text(f"root:x:0:0:root:{folder}/home:/bin/sh\n")
    run("mount", "--bind", f"{folder}/passwd", "/etc/passwd")


def settings(folder: Path, config: str = "config-known", **more: Any) -> GatewaySettings:
    remote = {"ssh": "box", "interface": "wlan0", "config": folder / config}
    remote |= {"names": f"{folder}/dns.log", **more}
    return GatewaySettings.model_validate({"remote": remote, "probe": True})


def until(true: Callable[[], object], timeout: float = 90) -> bool:
    end = time.monotonic() + timeout
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def running(part: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if part in process.read_text():
                found.append(int(process.parent.name))
        except OSError:
            continue  # It has just ended.
    return found


def dumpcaps() -> list[int]:
    return running("dumpcap\0-q\0")


def talk(count: int) -> None:
    run(*on("echo", sys.executable, "-c", TALK, str(count)))


def refusal(act: Callable[[], object]) -> str:
    try:
        act()
    except EchoauditError as error:
        return str(error)
    return "no error"


def enters(found: GatewaySettings, folder: Path) -> None:
    with gateway_for(found, {"a-1": MAC}, folder / "state"):
        pass


CAPTURE = """
import json, sys, time
from pathlib import Path
from echoaudit.instruments.gateway import gateway_for
from echoaudit.study.models import GatewaySettings
found = GatewaySettings.model_validate_json(sys.argv[1])
with gateway_for(found, {"a-1": sys.argv[2]}, Path(sys.argv[3])) as gateway:
    with gateway.capture("a-1", Path(sys.argv[4])):
        print("up", flush=True); time.sleep(500)
"""


def tails() -> list[int]:
    return running("tail\0-n\0" + "0\0-F\0")


def everything(folder: Path) -> dict[str, Any]:
    programs = prepare(folder)
    servers = Servers(folder)
    said: dict[str, Any] = {}
    found = settings(folder)
    assert until(lambda: refusal(lambda: enters(found, folder)) == "no error")
    talk(1)
    said["checks"] = [list(one) for one in check(found)]
    wrong = settings(folder, interface="wlan7", names=None)
    said["wrong interface"] = [list(one) for one in check(wrong)]
    said["wrong log"] = [list(one) for one in check(settings(folder, names="/no/such.log"))]
    for config in ("config-none", "config-stranger"):
        said[config] = refusal(lambda config=config: enters(settings(folder, config), folder))
    folders = {name: folder / name for name in ("whole", "bare", "cut", "deaf", "killed")}
    for each in folders.values():
        each.mkdir()
    with gateway_for(found, {"a-1": MAC}, folder / "state") as gateway:
        talk(1)
        said["ip"] = gateway.wait_for("a-1", 90)
        said["devices"] = [
            list(one) for one in check_devices(found, {"a-1": MAC, "b-1": "fc:a1:83:00:00:02"})
        ]
        servers.came.clear()
        with gateway.capture("a-1", folders["whole"]):
            talk(2000)
        until(lambda: len(servers.came) >= 3)
        said["came"] = list(servers.came)
        until(lambda: not dumpcaps())
        said["left after whole"] = dumpcaps()

        def cut() -> None:
            with gateway.capture("a-1", folders["cut"]):
                talk(100)
                kept = folders["cut"] / "traffic.pcapng"
                assert until(lambda: kept.stat().st_size > 101 * 242)
                connections = running("dumpcap -q ")
                for server in serving(folder):
                    os.kill(server, signal.SIGKILL)
                await_end(connections)

        said["cut"] = refusal(cut)
        said["left after cut"] = not until(lambda: not dumpcaps() and not tails())
    said["refused"] = closed(found)
    bare = settings(folder, names=None)
    with gateway_for(bare, {"a-1": MAC}, folder / "bare-state") as gateway:
        gateway.wait_for("a-1", 90)
        with gateway.capture("a-1", folders["bare"]):
            talk(1)
    said["deaf"] = refusal(lambda: deaf(found, folder, folders["deaf"]))
    arguments = [found.model_dump_json(), MAC, str(folder / "state"), str(folders["killed"])]
    runner = subprocess.Popen([sys.executable, "-c", CAPTURE, *arguments], stdout=subprocess.PIPE)
    assert runner.stdout is not None
    runner.stdout.readline()
    said["during"] = [len(dumpcaps()), len(tails())]
    runner.kill()
    runner.wait()
    said["left after kill"] = not until(lambda: not dumpcaps() and not tails())
    for program in programs:
        program.kill()
    return said


def closed(found: GatewaySettings) -> str:
    """What a question to a closed port comes back with."""
    assert found.remote is not None
    dial = partial(ssh_to.through, found.remote)
    try:
        asking.certificate("10.99.0.1", 4444, None, time.monotonic() + 20, dial)
    except asking.Unanswered as reason:
        return reason.failure
    return "no failure"


def deaf(found: GatewaySettings, folder: Path, target: Path) -> None:
    """The connection by which the log is followed breaks; the one for packets does not."""
    with gateway_for(found, {"a-1": MAC}, folder / "state") as gateway:
        assert until(lambda: len(serving(folder)) == 1)
        (following,) = serving(folder)
        with gateway.capture("a-1", target):
            talk(1)
            connections = running("exec tail -n 0 ")
            os.kill(following, signal.SIGKILL)
            await_end(connections)


def serving(folder: Path) -> list[int]:
    """dropbear's processes for connections: children of the one that listens."""
    parent = (folder / "dropbear.pid").read_text().strip()
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[1] == parent:
                children.append(int(stat.parent.name))
        except OSError:
            continue  # It has just ended.
    return children


if __name__ == "__main__":
    if not inside():
        enter([sys.executable, *sys.argv])
    print(json.dumps(everything(Path(sys.argv[1]))), flush=True)
