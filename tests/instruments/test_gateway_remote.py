"""Capture from another machine over SSH: a real server, real keys, real dumpcap, on namespaces."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from echoaudit.errors import BadInput
from echoaudit.instruments.gateway import remote
from echoaudit.lab.machine import available
from echoaudit.outcomes.traffic import read_capture
from echoaudit.study import load_config
from echoaudit.study.models import RemoteSettings

PROBE = Path(__file__).with_name("gateway_remote_probe.py")
MAC = "fc:a1:83:00:00:01"
REFUSED = available()


# --- on paper ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        "ssh: -oProxyCommand=id, interface: wlan0",
        "ssh: 'pi@box; id', interface: wlan0",
        "ssh: pi@-oProxyCommand=id, interface: wlan0",
        "ssh: pi@box, interface: 'wlan0; id'",
        "ssh: pi@box, interface: -w",
        "ssh: pi@box",
        "ssh: pi@box, interface: wlan0, password: secret",
        'ssh: "pi@box\\n", interface: wlan0',
    ],
)
def test_settings_that_could_be_more_than_a_host_and_an_interface(
    values: str, tmp_path: Path
) -> None:
    file = tmp_path / "room.yaml"
    file.write_text(f"config: room\ngateway:\n  remote: {{{values}}}\n")
    with pytest.raises(BadInput) as refusal:
        load_config(file)
    assert refusal.value.line == 3
    assert "allowed:" in str(refusal.value)


@pytest.mark.parametrize("more", ["policy: trusting", "block: [list.txt]", "trusting: [a-1]"])
def test_what_only_a_gateway_of_ones_own_can_do_is_refused(more: str, tmp_path: Path) -> None:
    file = tmp_path / "room.yaml"
    remote_words = "remote: {ssh: pi@box, interface: wlan0}"
    file.write_text(
        f"config: room\ndevices: {{a-1: {{mac: '{MAC}'}}}}\ngateway:\n  {more}\n  {remote_words}\n"
    )
    with pytest.raises(BadInput, match="remote gateway"):
        load_config(file)


def test_every_word_arrives_on_the_other_machine_as_it_is_here(tmp_path: Path) -> None:
    settings = RemoteSettings(ssh="pi@box", interface="wlan0", config=tmp_path / "c", sudo=True)
    command = remote.capture_command("wlan0", f"ether host {MAC}")
    arguments = remote.ssh_arguments(settings, command)
    assert arguments[-3:-1] == ["--", "pi@box"]
    assert shlex.split(arguments[-1]) == ["sudo", "-n", *command]
    given = dict(word.split("=") for word in arguments if "=" in word and word in arguments[:-1])
    assert {"BatchMode": "yes", "StrictHostKeyChecking": "yes"}.items() <= given.items()


def test_only_devices_that_answered_on_the_interface_are_known() -> None:
    table = f"""\
IP address       HW type     Flags       HW address            Mask     Device
192.168.88.10    0x1         0x2         {MAC.upper()}     *        wlan0
192.168.88.11    0x1         0x0         00:00:00:00:00:00     *        wlan0
10.99.0.1        0x1         0x2         fc:a1:83:00:00:02     *        eth0
nonsense
"""
    assert remote.parse_arp(table, "wlan0") == {MAC: "192.168.88.10"}


# --- for real ---------------------------------------------------------------------------------


@pytest.mark.skipif(REFUSED is not None, reason=f"no network namespaces are to be had: {REFUSED}")
@pytest.mark.skipif(os.geteuid() != 0, reason="an SSH server must be root to log anyone in")
def test_packets_are_taken_there_and_kept_here_whatever_breaks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROBE), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    _check_refusals(said)
    assert said["ip"] == "192.168.88.10"
    assert [(name, state) for name, state, *_ in said["devices"]] == [
        ("device-a-1", "ok"),
        ("device-b-1", "warn"),
    ]
    _check_whole(tmp_path / "whole")
    assert said["cut"].startswith("the connection to wlan0 of box broke: ")
    assert "\n" not in said["cut"]
    kept = read_capture(tmp_path / "cut" / "traffic.pcapng", MAC)
    assert sum(flow.packets_up for flow in kept.flows) >= 101, "what came until then is kept"
    lost = json.loads((tmp_path / "cut" / "capture.json").read_text())["packets"]
    assert lost["captured"] is None, "unknown, not zero"
    assert said["during"] > 0
    assert [said[f"left after {end}"] for end in ("whole", "cut", "kill")] == [[], False, False]
    secret = (tmp_path / "key").read_text().splitlines()[1]
    state = [path.read_text() for path in (tmp_path / "state").iterdir()]
    assert state
    assert not any(secret in text for text in [*state, done.stdout, done.stderr])


def _check_refusals(said: dict[str, Any]) -> None:
    assert [state for _, state, *_ in said["checks"]] == ["ok"] * 3
    name, state, message, fix = said["wrong interface"][-1]
    assert (name, state) == ("gateway-dumpcap", "fail")
    assert "No such device" in message
    assert "gateway.remote.interface" in fix
    assert "Host key verification failed" in said["config-none"]
    assert "compare its key" in said["config-none"]
    assert "Permission denied" in said["config-stranger"]
    assert not any("\n" in said[key] for key in ("config-none", "config-stranger"))


def _check_whole(folder: Path) -> None:
    about = json.loads((folder / "capture.json").read_text())
    assert (about["remote"], about["interface"]) == (True, "wlan0")
    losses = about["packets"]
    assert [count for name, count in losses.items() if name.startswith("dropped")] == [0] * 4
    traffic = read_capture(folder / "traffic.pcapng", MAC)
    assert sum(flow.packets_up for flow in traffic.flows if flow.server_port >= 4000) == 2000
    assert losses["captured"] >= 2002
    asked = {lookup.question for lookup in traffic.lookups}
    assert asked == {"api.voice.test"}, "names come from the capture itself"
