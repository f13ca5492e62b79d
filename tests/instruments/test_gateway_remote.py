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
from echoaudit.instruments.gateway import remote, ssh
from echoaudit.lab.machine import available
from echoaudit.outcomes.traffic import read_capture
from echoaudit.recording import formats
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
    arguments = ssh.arguments(settings, command)
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
        timeout=500,
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
    _check_names(tmp_path / "whole")
    _check_probes(tmp_path / "whole")
    _check_probes(tmp_path / "bare")
    assert not (tmp_path / "bare" / "names.jsonl").exists()
    assert sorted(map(tuple, said["came"])) == [
        ("10.99.0.2", None),
        ("192.168.88.10", None),
        ("192.168.88.10", None),
    ], "the device itself, and one question, from that machine"
    assert said["refused"] == "refused"
    assert " 127.0.0.1/" in (tmp_path / "dns.log").read_text(), "that machine itself asked, too"
    assert not (tmp_path / "state" / "names" / "other.jsonl").exists()
    assert said["cut"].startswith("the connection to wlan0 of box broke: ")
    assert "\n" not in said["cut"]
    kept = read_capture(tmp_path / "cut" / "traffic.pcapng", MAC)
    assert sum(flow.packets_up for flow in kept.flows) >= 101, "what came until then is kept"
    lost = json.loads((tmp_path / "cut" / "capture.json").read_text())["packets"]
    assert lost["captured"] is None, "unknown, not zero"
    assert all(said["during"])
    log = f"{tmp_path}/dns.log of box is no longer followed: "
    assert said["deaf"].startswith(log)
    assert [said[f"left after {end}"] for end in ("whole", "cut", "kill")] == [[], False, False]
    secret = (tmp_path / "key").read_text().splitlines()[1]
    state = [path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert state
    assert not any(secret in text for text in [*state, done.stdout, done.stderr])


def _check_refusals(said: dict[str, Any]) -> None:
    assert [state for _, state, *_ in said["checks"]] == ["ok"] * 4
    name, state, message, fix = said["wrong log"][-1]
    assert (name, state) == ("gateway-names", "fail")
    assert "No such file" in message
    assert "gateway.remote.names" in fix
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
    assert asked == {"api.voice.test", "named.test"}, "names are in the capture, too"


def _check_names(folder: Path) -> None:
    """What the resolver there said of the device, between sessions and in this one."""
    about = json.loads((folder / "capture.json").read_text())
    events = [json.loads(line) for line in (folder / "names.jsonl").read_text().splitlines()]
    formats.check(folder / "names.jsonl")
    assert len(events) == about["names"] == 8
    assert {event["client"] for event in events} == {"192.168.88.10"}
    first, second, third, fourth = (events[at : at + 2] for at in range(0, 8, 2))
    for (query, answer), name, address in (
        (first, "api.voice.test", "192.168.88.1"),
        (second, "named.test", "10.99.0.6"),
        (third, "api.voice.test", "192.168.88.1"),
        (fourth, "named.test", "10.99.0.6"),
    ):
        assert (query["event"], query["name"], query["type"]) == ("query", name, "A")
        assert (answer["event"], answer["name"], answer["answer"]) == ("config", name, address)
    # The other clock is known by what it says over SSH, which takes its time on a busy machine.
    assert second[1]["time"] < about["started"] + 3
    assert about["started"] < third[0]["time"] + 3
    assert fourth[1]["time"] < about["ended"] + 3


def _check_probes(folder: Path) -> None:
    """The server that nothing names was asked, the one that DNS names was not."""
    formats.check(folder / "probes.jsonl")
    lines = [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]
    told, pointed = lines
    assert (told["question"], told["address"], told["port"]) == ("certificate", "10.99.0.1", 443)
    assert told["names"][:2] == ["api.voice.test", "tracker.ads.test"]
    assert (told["sni"], told["failure"]) == (None, None)
    assert (pointed["question"], pointed["names"]) == ("ptr", ["edge-1.hosting.net"])
