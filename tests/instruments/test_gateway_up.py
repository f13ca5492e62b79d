"""``echoaudit gateway`` on machines of their own: a speaker, an internet, mishaps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
import standins

from echoaudit.lab.machine import available, lan_mac

PROBE = Path(__file__).with_name("gateway_up_probe.py")
REFUSED = available()
pytestmark = pytest.mark.skipif(
    REFUSED is not None, reason=f"no network namespaces are to be had here: {REFUSED}"
)
CLEAN = "0\n"
"""No firewall table, no address on the speakers' side, no forwarding."""

NOT_UP = """\
gateway: down
  network   192.168.77.1/24 on lan0, internet by wan0
  a-1       {mac} does not answer
  b-1       fc:a1:83:ff:ff:ff does not answer"""


def played(scenario: str, folder: Path) -> dict[str, Any]:
    standins.make_authority(folder)
    done = subprocess.run(
        [sys.executable, str(PROBE), scenario, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_speaker_has_internet_while_it_is_up_and_nothing_stays_behind(tmp_path: Path) -> None:
    said = played("life", tmp_path)
    assert said["before"].startswith(CLEAN)
    assert said["down at first"] == [0, "no gateway was up, and nothing was left behind"]
    assert said["status at first"] == [0, NOT_UP.format(mac=lan_mac("a-1"))]
    assert said["up"][0] == 0
    assert json.loads(said["up"][1]) == {"state": "up", "process": said["process"]}
    assert said["online"]
    assert said["still online"]
    _check_status(said["status"], said["process"])
    for attempt in ("again", "run"):
        code, text = said[attempt]
        assert code == 3
        assert f"`echoaudit gateway up` (process {said['process']})" in text
        assert text.endswith("fix: echoaudit gateway down")
        assert "\n" not in text
    (fault,) = [one for one in said["checks"] if one[1] == "fail"]
    assert (fault[0], fault[3]) == ("gateway-alone", "echoaudit gateway down")
    assert not (tmp_path / "recording").exists()
    assert said["down"] == [0, '{\n  "done": "stopped"\n}']
    assert said["after"] == said["before"]
    assert said["programs"] == []
    assert not [name for name in said["kept"] if "names" in name or "flows" in name]
    log = (tmp_path / "state" / "echoaudit" / "gateway" / "dnsmasq.log").read_text()
    assert "voice.test" not in log, "between runs nobody's questions are kept"


def _check_status(said: list[Any], process: int) -> None:
    code, status = said
    assert (code, status["state"], status["process"]) == (0, "up", process)
    assert status["programs"] == {"dnsmasq": True}, "nothing is decrypted between runs"
    here, absent = status["devices"]
    assert (here["account"], here["ip"]) == ("a-1", "192.168.77.10")
    assert here["vendor"] == "Amazon Technologies Inc."
    assert here["counted"]["quic"]["packets"] == 3
    assert here["counted"]["dns"]["packets"] == 1
    assert here["counted"]["dot"]["packets"] >= 1
    assert (absent["account"], absent["ip"]) == ("b-1", None)


def test_whatever_happens_to_it_the_speaker_regains_its_internet(tmp_path: Path) -> None:
    said = played("mishaps", tmp_path)
    mishaps = ("dnsmasq killed", "rules flushed", "internet unplugged", "plugged in")
    assert [said[mishap] for mishap in ("online", *mishaps)] == [True] * 5
    code, status = said["unplugged"]
    assert (code, status["state"]) == (1, "trouble")
    assert "no network interface 'lan0'" in status["trouble"]
    first, *messages = said["messages"].splitlines()
    assert first.startswith("up: 192.168.77.1/24 on lan0")
    assert [m for m in messages if m.endswith("starting again")] == [
        messages[0],
        "the gateway's firewall rules were removed by another program; starting again",
        "lan0 was unplugged; starting again",
    ]
    assert messages[0].startswith("dnsmasq stopped by itself (status -9)")
    assert messages.count("the gateway is up again") == 3
    assert said["ended"] == 0
    assert said["after"].startswith(CLEAN)


def test_after_a_kill_nothing_is_left_and_else_down_or_the_next_up_removes_it(
    tmp_path: Path,
) -> None:
    said = played("killed", tmp_path)
    assert said["before"].startswith(CLEAN)
    assert said["guarded"] == said["before"], said["guardian"]
    assert said["status guarded"][1]["state"] == "down"
    for then in ("down", "up"):
        assert "table inet echoaudit" in said[f"killed {then}"]
        assert "192.168.77.1/24" in said[f"killed {then}"]
    assert said["status"][0] == 1
    assert said["status"][1]["state"] == "left behind"
    assert said["down"] == [0, "removed what a killed gateway had left behind"]
    assert said["after down"] == said["before"]
    assert "192.168.78.1/24" in said["up"]
    assert "192.168.77.1" not in said["up"], "noted in the rules, whatever is configured now"
    assert said["after up"] == said["before"]
