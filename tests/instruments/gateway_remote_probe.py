"""Run on a machine of its own by test_gateway_remote.py: another machine ("box") is the gateway.

```
 echo eth0 ──veth── wlan0 [box: dropbear, dnsmasq, dumpcap] eth0 ──veth── box0 [here]
```
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echoaudit.errors import EchoauditError
from echoaudit.instruments.gateway import check, check_devices, gateway_for
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
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(5)
ask = bytes.fromhex("0007010000010000000000000361706905766f6963650474657374") + b"\\0\\0\\1\\0\\1"
udp.sendto(ask, ("192.168.88.1", 53)); udp.recv(500)
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
    with (folder / "programs.log").open("wb") as log:
        return [
            subprocess.Popen(on("box", *command), stdout=log, stderr=log)
            for command in (server, names)
        ]


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
    remote = {"ssh": "box", "interface": "wlan0", "config": folder / config, **more}
    return GatewaySettings.model_validate({"remote": remote})


def until(true: Callable[[], object], timeout: float = 20) -> bool:
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
        print("up", flush=True); time.sleep(60)
"""


def everything(folder: Path) -> dict[str, Any]:
    programs = prepare(folder)
    said: dict[str, Any] = {}
    found = settings(folder)
    assert until(lambda: refusal(lambda: enters(found, folder)) == "no error")
    said["checks"] = [list(one) for one in check(found)]
    said["wrong interface"] = [list(one) for one in check(settings(folder, interface="wlan7"))]
    for config in ("config-none", "config-stranger"):
        said[config] = refusal(lambda config=config: enters(settings(folder, config), folder))
    folders = {name: folder / name for name in ("whole", "cut", "killed")}
    for each in folders.values():
        each.mkdir()
    with gateway_for(found, {"a-1": MAC}, folder / "state") as gateway:
        talk(1)
        said["ip"] = gateway.wait_for("a-1", 10)
        said["devices"] = [
            list(one) for one in check_devices(found, {"a-1": MAC, "b-1": "fc:a1:83:00:00:02"})
        ]
        with gateway.capture("a-1", folders["whole"]):
            talk(2000)
        said["left after whole"] = dumpcaps()

        def cut() -> None:
            with gateway.capture("a-1", folders["cut"]):
                talk(100)
                time.sleep(1)
                (server,) = serving(folder)
                os.kill(server, signal.SIGKILL)
                time.sleep(0.5)

        said["cut"] = refusal(cut)
        said["left after cut"] = not until(lambda: not dumpcaps())
    arguments = [found.model_dump_json(), MAC, str(folder / "state"), str(folders["killed"])]
    runner = subprocess.Popen([sys.executable, "-c", CAPTURE, *arguments], stdout=subprocess.PIPE)
    assert runner.stdout is not None
    runner.stdout.readline()
    said["during"] = len(dumpcaps())
    runner.kill()
    runner.wait()
    said["left after kill"] = not until(lambda: not dumpcaps())
    for program in programs:
        program.kill()
    return said


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
