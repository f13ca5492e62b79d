"""Run on the lab's machine by its tests: ``machine_probe.py SCENARIO FOLDER``; prints JSON."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import standins

from echoaudit.errors import EchoauditError
from echoaudit.instruments.gateway import Gateway, check
from echoaudit.lab.machine import Machine, enter, inside, overlay
from echoaudit.study.models import GatewaySettings

PATIENCE = 60.0
"""Seconds for what takes one on an idle machine."""
STANDINS = str(Path(standins.__file__).resolve())


def machine(folder: Path, accounts: Sequence[str]) -> Machine:
    return Machine(
        hosts=standins.HOSTS,
        accounts=accounts,
        state=folder / "machine",
        cloud_command=[sys.executable, STANDINS, "cloud", str(folder)],
        echo_command=lambda a: [
            sys.executable,
            "-I",
            "-S",
            STANDINS,
            "speaker",
            f"{folder}/{a}.sock",
        ],
    )


def settings(
    folder: Path, accounts: Sequence[str], **more: Any
) -> tuple[GatewaySettings, dict[str, str]]:
    values = overlay(
        accounts, trusting=more.pop("trusting", ()), upstream_authority=folder / "ca.pem"
    )
    found = GatewaySettings.model_validate({**values["gateway"], **more})
    return found, {account: device["mac"] for account, device in values["devices"].items()}


def told(folder: Path, account: str, *command: str) -> tuple[int, str]:
    path = folder / f"{account}.sock"
    until(path.exists)
    return standins.tell(path, *command)


def until(true: Callable[[], object], timeout: float = PATIENCE) -> bool:
    """Whether something came true in time."""
    end = time.monotonic() + timeout
    while not (now := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(now)


def curl(
    folder: Path, account: str, name: str, authority: Path, seconds: float = 30
) -> tuple[int, str]:
    patience = ["-m", str(seconds), "--cacert", str(authority)]
    return told(folder, account, "curl", "-sS", *patience, f"https://{name}/x")


def session(gateway: Gateway, account: str, folder: Path) -> AbstractContextManager[object]:
    target = folder / "sessions" / account
    target.mkdir(parents=True)
    return gateway.capture(account, target)


SPRAY = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
[udp.sendto(b"x", ("198.18.0.1", 443)) for _ in range(3)]
tcp = socket.socket(); tcp.settimeout(0.5)
print(tcp.connect_ex(("198.18.0.1", 853)))
ask = bytes.fromhex("0007010000010000000000000361706905766f6963650474657374") + b"\\0\\0\\1\\0\\1"
udp.sendto(b"x", ("1.1.1.1", 443)); doh = socket.socket(); doh.settimeout(0.5)
print(doh.connect_ex(("8.8.8.8", 443)))
udp.settimeout(30); udp.sendto(ask, ("8.8.8.8", 53)); print(udp.recv(500)[-4:].hex())
"""

KNOWN_RESOLVER = """
import socket
tcp = socket.socket(); tcp.settimeout(0.5); print(tcp.connect_ex(("8.8.8.8", 443)))
"""


def traffic(folder: Path) -> dict[str, Any]:
    """A pinned and a trusting speaker talk at the same time."""
    accounts = ["plain-1", "open-1"]
    (folder / "block.txt").write_text("# list\n0.0.0.0 ads.test\n")
    found, devices = settings(folder, accounts, trusting=("open-1",), block=(folder / "block.txt",))
    result: dict[str, Any] = {}
    with machine(folder, accounts), Gateway(found, devices, folder / "gateway") as gateway:
        result["ip"] = {account: gateway.wait_for(account, PATIENCE) for account in accounts}
        proxy = folder / "gateway" / "authority" / "mitmproxy-ca-cert.pem"
        with session(gateway, "plain-1", folder), session(gateway, "open-1", folder):
            result["pinned"] = curl(folder, "plain-1", "alias.voice.test", folder / "ca.pem")
            result["pinned by proxy"] = curl(folder, "plain-1", "api.voice.test", proxy)
            result["trusting"] = curl(folder, "open-1", "api.voice.test", proxy)
            result["blocked"] = told(folder, "plain-1", "getent", "ahostsv4", "tracker.ads.test")
            result["unknown"] = told(folder, "plain-1", "getent", "ahostsv4", "nowhere.test")
            for name in ("dns.google", "use-application-dns.net"):
                result[name] = told(folder, "plain-1", "getent", "ahostsv4", name)
            result["proxied"] = told(folder, "open-1", sys.executable, "-c", KNOWN_RESOLVER)
            result["spray"] = told(folder, "plain-1", sys.executable, "-c", SPRAY)
        result["devices"] = {account: gateway.device(account) for account in accounts}
        result["running"] = _state_of_network()
    return result


HIDE = """
import socket, ssl, sys
import httpx
context = ssl.create_default_context(cafile=sys.argv[1])
ask = bytes.fromhex("00000100000100000000000006" + b"hidden".hex() + "05" + b"voice".hex() + "04")
ask += b"test\\0\\0\\1\\0\\1"
head = {"host": "dns.google", "content-type": "application/dns-message"}
seconds = float(sys.argv[2])
with httpx.Client(http2=True, verify=context, trust_env=False, timeout=seconds) as client:
    answer = client.post("https://8.8.8.8/dns-query", content=ask, headers=head,
                         extensions={"sni_hostname": "dns.google"})
address = socket.inet_ntoa(answer.content[-4:])
context.check_hostname = False
with context.wrap_socket(socket.create_connection((address, 443), 30)) as tls:
    tls.sendall(b"GET / HTTP/1.1\\r\\nHost: hidden.voice.test\\r\\n\\r\\n")
    print(answer.http_version, address, tls.recv(4096)[:15].decode())
"""


def hides(folder: Path) -> dict[str, Any]:
    """A speaker resolves names by DNS over HTTPS, while that is let through and while it is not.

    curl names its server in the hello; the other client does not.
    """
    result: dict[str, Any] = {}
    with machine(folder, ["a-1"]):
        for policy in ("forward", "drop"):
            found, devices = settings(folder, ["a-1"], doh=policy)
            with Gateway(found, devices, folder / "gateway") as gateway:
                gateway.wait_for("a-1", PATIENCE)
                target = folder / "sessions" / policy
                target.mkdir(parents=True)
                with gateway.capture("a-1", target):
                    begun = time.time()
                    ca = str(folder / "ca.pem")
                    # What is dropped is waited for as long as it is wanted; few attempts will do.
                    seconds = "30" if policy == "forward" else "4"
                    said = [
                        told(folder, "a-1", "curl", "-sS", "-m", seconds, "--cacert", ca,
                             "--doh-url", "https://dns.google/dns-query",
                             "https://api.voice.test/x"),
                        told(folder, "a-1", sys.executable, "-c", HIDE, ca, seconds),
                    ]  # fmt: skip
                    ended = time.time()
                (folder / "doh.jsonl").touch()
                asked = [json.loads(line) for line in (folder / "doh.jsonl").open()]
                (folder / "doh.jsonl").unlink()
                device = gateway.device("a-1")
            result[policy] = {"said": said, "asked": asked, "device": device}
            result[policy] |= {"started": begun, "ended": ended}
    return result


def learns(folder: Path) -> dict[str, Any]:
    """A trusting speaker that pins one name: refused, learned, kept over a restart, expired."""
    found, devices = settings(
        folder, ["open-1"], trusting=("open-1",), learn={"refusals": 2, "hours": 1}
    )
    pins, trusts = folder / "ca.pem", folder / "gateway" / "authority" / "mitmproxy-ca-cert.pem"
    result: dict[str, Any] = {}

    def recorded(name: str, *talk: tuple[str, Path]) -> None:
        with Gateway(found, devices, folder / "gateway") as gateway:
            gateway.wait_for("open-1", PATIENCE)
            target = folder / "sessions" / name
            target.mkdir(parents=True)
            with gateway.capture("open-1", target):
                result[name] = [curl(folder, "open-1", host, ca)[0] for host, ca in talk]

    pinned = ("api.voice.test", pins)
    with machine(folder, ["open-1"]):
        recorded("first", pinned, pinned, pinned, ("alias.voice.test", trusts))
        recorded("restarted", pinned)
        file = folder / "gateway" / "learned.json"
        (rule,) = json.loads(file.read_text())
        file.write_text(json.dumps([{**rule, "until": time.time() - 1}]))
        recorded("expired", pinned)
    return result


def nine(folder: Path) -> dict[str, Any]:
    """Nine speakers: time until all have joined, and nine captures at once."""
    accounts = [f"p{number}-1" for number in range(9)]
    found, devices = settings(folder, accounts)
    begun = time.monotonic()
    with machine(folder, accounts) as world, Gateway(found, devices, folder / "gateway") as gateway:
        for account in accounts:
            gateway.wait_for(account, PATIENCE)
        up = time.monotonic() - begun

        def talk(account: str) -> tuple[int, str]:
            with session(gateway, account, folder):
                return curl(folder, account, "api.voice.test", folder / "ca.pem")

        begun = time.monotonic()
        with ThreadPoolExecutor(9) as pool:
            answers = list(pool.map(talk, accounts))
        talked = time.monotonic() - begun
        world.require_alive()
    return {"up": up, "talked": talked, "answers": answers}


def broken(folder: Path) -> dict[str, Any]:
    """What is said when something is missing, busy or dies."""
    accounts = ["a-1"]
    found, devices = settings(folder, accounts)
    said: dict[str, Any] = {}

    def attempt(name: str, act: Callable[[], object]) -> None:
        try:
            act()
            said[name] = "no error"
        except EchoauditError as error:
            said[name] = str(error)

    def start(**more: Any) -> None:
        with Gateway(found.model_copy(update=more), devices, folder / "gateway"):
            pass

    attempt("no interface", start)
    with machine(folder, accounts):
        said["checks"] = [list(one) for one in check(found)]
        attempt("wrong wan", lambda: start(wan="ppp7"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
            busy.bind(("0.0.0.0", 53))
            said["checks busy"] = [list(one) for one in check(found)]
            attempt("busy port", start)
        said["after busy"] = _state_of_network()
        with Gateway(found, devices, folder / "gateway") as gateway:
            attempt("second gateway", start)
            gateway.wait_for("a-1", PATIENCE)
            attempt("unknown account", lambda: gateway.device("b-1"))
            _kill("gateway/dnsmasq.conf")
            attempt("dead dnsmasq", lambda: session(gateway, "a-1", folder).__enter__())
        attempt("dead mitmdump", lambda: kill_proxy(folder))
    return said


def kill_proxy(folder: Path) -> None:
    """mitmdump dies in the middle of a session; the other programs live on."""
    found, devices = settings(folder, ["a-1"], trusting=("a-1",))
    with Gateway(found, devices, folder / "gateway") as gateway:
        gateway.wait_for("a-1", PATIENCE)
        target = folder / "sessions" / "cut"
        target.mkdir()
        with gateway.capture("a-1", target):
            _kill("addon.py")


def crash(folder: Path) -> dict[str, Any]:
    """A gateway killed on a machine that lives on, then started again."""
    found, devices = settings(folder, ["a-1"], trusting=("a-1",))
    program = (
        "import sys, time; from echoaudit.instruments.gateway import Gateway;"
        "from echoaudit.study.models import GatewaySettings; from pathlib import Path;"
        f"found = GatewaySettings.model_validate_json({found.model_dump_json()!r});"
        f"gateway = Gateway(found, {devices!r}, Path({str(folder / 'gateway')!r})).__enter__();"
        "gateway.wait_for('a-1', 60);"
        "session = gateway.capture('a-1', Path(sys.argv[1])); session.__enter__();"
        "print('up', flush=True); time.sleep(60)"
    )
    (folder / "session").mkdir()
    with machine(folder, ["a-1"]):
        before = _state_of_network()
        command = [sys.executable, "-c", program, str(folder / "session")]
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert runner.stdout is not None
        runner.stdout.readline()
        alive = _programs()
        runner.kill()
        runner.wait()
        until(lambda: not _programs() and not _running("guardian.py"))
        killed = {"programs": _programs(), "network": _state_of_network()}
        with Gateway(found, devices, folder / "gateway") as gateway:
            ip = gateway.wait_for("a-1", PATIENCE)
        after = _state_of_network()
    return {"before": before, "alive": alive, "killed": killed, "ip": ip, "after": after}


# Answers with addresses of no length and of other kinds, cut short, and from another network.
FORGE = """
import random, socket, struct, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); raw.bind(("eth0", 0))
ours = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
def arp(kind, protocol, hlen, plen, rest):
    head = struct.pack("!HHBBH", kind, protocol, hlen, plen, 2)
    return bytes([255] * 6) + ours + struct.pack("!H", 0x806) + head + rest
end = time.monotonic() + 4
while time.monotonic() < end:
    for length in (0, 4, 6, 16, 255):
        for kind, protocol in ((1, 0x800), (1, 0x86DD), (65535, 65535), (6, 0x800)):
            raw.send(arp(kind, protocol, 6, length, ours + random.randbytes(40)))
            raw.send(arp(kind, protocol, length, 4, random.randbytes(length + 20)[:1000]))
    raw.send(arp(1, 0x800, 6, 4, ours)[:20]); raw.send(arp(1, 0x800, 6, 4, b""))
    raw.send(arp(1, 0x800, 6, 4, ours + bytes([8, 8, 8, 8]) + bytes(10)))
    time.sleep(0.02)
"""

LOOK = """
import json, sys
from ipaddress import IPv4Interface
from echoaudit.errors import EchoauditError
from echoaudit.instruments.gateway import check_devices
from echoaudit.instruments.gateway.discovery import discover
from echoaudit.study.models import GatewaySettings

found = GatewaySettings.model_validate_json(sys.argv[1])
try:
    here = discover(found.lan, str(IPv4Interface(found.address).network), 1.0)
except EchoauditError as error:
    here = str(error)
print(json.dumps([here, list(check_devices(found, json.loads(sys.argv[2])))]))
"""


def look(folder: Path) -> dict[str, Any]:
    """Who is on the network: while a gateway serves it, after, without rights, without a link."""
    found, devices = settings(folder, ["a-1", "b-1"])
    absent = {**devices, "c-1": "fc:a1:83:ff:ff:ff"}
    home = folder / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    environment |= {"HOME": str(home), "SHELL": "/bin/bash"}
    result: dict[str, Any] = {"errors": ""}

    def seen(devices: dict[str, str], *before: str) -> Any:
        command = [
            *before,
            sys.executable,
            "-c",
            LOOK,
            found.model_dump_json(),
            json.dumps(devices),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        result["errors"] += done.stderr
        return json.loads(done.stdout)

    with machine(folder, ["a-1", "b-1"]):
        with Gateway(found, devices, folder / "gateway") as gateway:
            result["ip"] = {account: gateway.wait_for(account, PATIENCE) for account in devices}
            result["served"] = seen(absent)
            with ThreadPoolExecutor(1) as pool:
                forging = pool.submit(told, folder, "b-1", sys.executable, "-c", FORGE)
                result["forged"] = seen(devices)
                result["forger"] = forging.result()
        result["addresses"] = _state_of_network()
        result["alone"] = seen({"a-1": devices["b-1"], "b-1": devices["a-1"], "c-1": absent["c-1"]})
        bare = ("setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw")
        result["no rights"] = seen(absent, *bare)
        subprocess.run(["ip", "link", "set", "lan0", "down"], check=True)
        result["no link"] = seen(absent)
    result["home"] = [str(path) for path in home.rglob("*")]
    return result


def _state_of_network() -> str:
    look = "nft list tables; cat /proc/sys/net/ipv4/ip_forward; ip -br -4 addr show lan0;"
    look += "cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null"
    return subprocess.run(look, shell=True, capture_output=True, text=True, check=False).stdout


def _programs() -> list[str]:
    """The gateway's programs that run; the lab's own name server is another one."""
    names = {"dnsmasq": "gateway/dnsmasq.conf", "mitmdump": "addon.py", "dumpcap": "traffic.pcapng"}
    return sorted(name for name, part in names.items() if _running(part))


def _running(part: str) -> list[int]:
    """Processes of this machine with ``part`` in their command; an ended one's is empty."""
    found = []
    for process in Path("/proc").iterdir():
        # It may end at any moment.
        with suppress(OSError):
            if process.name.isdigit() and part in (process / "cmdline").read_text():
                found.append(int(process.name))
    return found


def _kill(part: str) -> None:
    """Kill the programs with ``part`` in their command, and see them end."""
    for process in (killed := _running(part)):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    assert killed
    await_end(killed)
    assert until(lambda: not set(killed) & set(_running(part))), part


def await_end(processes: list[int]) -> None:
    """Wait until each of them that is a child of ours can be asked how it ended.

    That is a little after it lost its command.
    """
    for process in processes:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)


def stay(folder: Path) -> dict[str, Any]:
    """Run until a signal comes; finish, and say which it was."""
    seen: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: seen.append(n))
    found, devices = settings(folder, ["a-1"])
    with machine(folder, ["a-1"]), Gateway(found, devices, folder / "gateway") as gateway:
        gateway.wait_for("a-1", PATIENCE)
        print(json.dumps({"network": str(Path("/proc/self/ns/net").readlink())}), flush=True)
        end = time.monotonic() + 60
        while not seen and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.3)
    return {"seen": seen}


if __name__ == "__main__":
    if not inside():
        enter([sys.executable, *sys.argv])
    scenarios = {
        act.__name__: act for act in (traffic, hides, learns, nine, broken, crash, look, stay)
    }
    print(json.dumps(scenarios[sys.argv[1]](Path(sys.argv[2]))), flush=True)
