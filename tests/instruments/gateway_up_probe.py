"""Run on a machine of its own by test_gateway_up.py: ``gateway_up_probe.py SCENARIO FOLDER``."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
import machine_probe as kit
from machine_probe import until

from echoaudit.instruments.gateway import check
from echoaudit.lab.machine import enter, inside

PERSONA = Path(__file__).parents[2] / "personas" / "fashion.yaml"
CONFIG = """\
config: room
devices:
  a-1: {{mac: "{mac}"}}
  b-1: {{mac: "fc:a1:83:ff:ff:ff"}}
sites: [{{site: news, url: "https://api.voice.test/"}}]
gateway:
  lan: lan0
  wan: wan0
  dns: [100.64.0.1]
  trusting: [a-1]
"""


class Room:
    """A speaker, an internet, and the command line between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "room.yaml"
        _, devices = kit.settings(folder, ["a-1"])
        self.config.write_text(CONFIG.format(mac=devices["a-1"]))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "echoaudit", *words, "--config", str(self.config)]

    def say(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def status(self) -> tuple[int, dict[str, Any]]:
        code, text = self.say("gateway", "status", "--json")
        return code, json.loads(text)

    def process(self) -> int:
        # A program that it is just starting still has its command.
        assert until(lambda: len(kit._running("gateway\0up")) == 1)
        (found,) = kit._running("gateway\0up")
        return found

    def online(self) -> bool:
        """Whether the speaker reaches the internet, by name, within some seconds."""
        return until(lambda: kit.curl(self.folder, "a-1", "api.voice.test", self.ca, 8)[0] == 0)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"


def shell(*lines: str) -> None:
    for line in lines:
        subprocess.run(line, shell=True, check=True)


def life(folder: Path) -> dict[str, Any]:
    """Up, in the way of others, down."""
    room, said = Room(folder), {}
    with kit.machine(folder, ["a-1"]):
        said["before"] = kit._state_of_network()
        said["down at first"] = room.say("gateway", "down")
        said["status at first"] = room.say("gateway", "status")
        said["up"] = room.say("gateway", "up", "--detach", "--json")
        said["process"] = room.process()
        said["online"] = room.online()
        kit.told(folder, "a-1", sys.executable, "-c", kit.SPRAY)
        said["status"] = room.status()
        said["again"] = room.say("gateway", "up", "--detach")
        said["run"] = room.say("run", str(PERSONA), "--into", str(folder / "recording"))
        said["checks"] = [list(one) for one in check(kit.settings(folder, ["a-1"])[0])]
        said["still online"] = room.online()
        said["down"] = room.say("gateway", "down", "--json")
        said["after"] = kit._state_of_network()
        said["programs"] = [
            process
            for part in ("dnsmasq.conf", "gateway\0up", "guardian.py")
            for process in kit._running(part)
        ]
        said["kept"] = [str(p.relative_to(folder)) for p in (folder / "state").rglob("*")]
    return said


def mishaps(folder: Path) -> dict[str, Any]:
    """Whatever happens to it, the speaker regains its internet."""
    room, said = Room(folder), {}
    with kit.machine(folder, ["a-1"]):
        with subprocess.Popen(
            room.command("gateway", "up"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as gateway:
            said["online"] = room.online()
            kit._kill("gateway/dnsmasq.conf")
            until(lambda: bool(kit._running("gateway/dnsmasq.conf")))
            said["dnsmasq killed"] = room.online()
            shell("nft flush ruleset")
            said["rules flushed"] = room.online()
            shell("ip link set wan0 down", "sleep 0.2", "ip link set wan0 up")
            shell("ip route replace default via 100.64.0.1")
            said["internet unplugged"] = room.online()
            shell("ip link delete lan0")
            until(lambda: room.status()[1]["trouble"] is not None)
            said["unplugged"] = room.status()
            shell("ip link add lan0 type bridge forward_delay 0", "ip link set echo-0 master lan0")
            said["plugged in"] = room.online()
            gateway.send_signal(signal.SIGHUP)
            said["messages"], _ = gateway.communicate(timeout=120)
            said["ended"] = gateway.returncode
        said["after"] = kit._state_of_network()
    return said


def killed(folder: Path) -> dict[str, Any]:
    """Killed three times: put back at once; with its guardian, by `down` and by the next `up`."""
    room, said = Room(folder), {}
    with kit.machine(folder, ["a-1"]):
        said["before"] = kit._state_of_network()
        for then in ("alone", "down", "up"):
            room.say("gateway", "up", "--detach")
            (guardian,) = kit._running("guardian.py")
            if then != "alone":
                os.kill(guardian, signal.SIGKILL)
            # With all that is in its session and group.
            os.killpg(os.getpgid(room.process()), signal.SIGKILL)
            until(lambda: not kit._running("gateway/dnsmasq.conf"))
            if then == "alone":
                until(lambda: not kit._running("guardian.py"))
                said["guarded"] = kit._state_of_network()
                said["guardian"] = (folder / "state/echoaudit/gateway/guardian.log").read_text()
                said["status guarded"] = room.status()
                continue
            said[f"killed {then}"] = kit._state_of_network()
            if then == "down":
                said["status"] = room.status()
                said["down"] = room.say("gateway", "down")
                said["after down"] = kit._state_of_network()
        room.config.write_text(room.config.read_text() + "  address: 192.168.78.1/24\n")
        room.say("gateway", "up", "--detach")
        said["up"] = kit._state_of_network()
        room.say("gateway", "down")
        said["after up"] = kit._state_of_network()
    return said


if __name__ == "__main__":
    if not inside():
        enter([sys.executable, *sys.argv])
    os.environ["XDG_STATE_HOME"] = str(Path(sys.argv[2]) / "state")
    scenarios = {act.__name__: act for act in (life, mishaps, killed)}
    print(json.dumps(scenarios[sys.argv[1]](Path(sys.argv[2]))), flush=True)
