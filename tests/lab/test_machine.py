"""The lab's machine and the gateway on it, for real: namespaces, DHCP, DNS, TLS, captures."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import standins

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments.browser.processes import wait_until
from echoaudit.lab import topology
from echoaudit.lab.machine import Machine, available, enter, inside, lan_mac, overlay
from echoaudit.lab.machine_device import catches
from echoaudit.study.models import Device, GatewaySettings

PROBE = Path(__file__).with_name("machine_probe.py")


# --- on paper ---------------------------------------------------------------------------------


def test_a_speaker_has_the_same_registered_address_in_every_run() -> None:
    assert lan_mac("fashion-1") == lan_mac("fashion-1") != lan_mac("fashion-2")
    assert lan_mac("fashion-1").startswith("fc:a1:83:")


def test_the_overlay_is_ordinary_configuration(tmp_path: Path) -> None:
    values = overlay(["a-1", "b-1"], trusting=["b-1"], upstream_authority=tmp_path / "ca.pem")
    settings = GatewaySettings.model_validate(values["gateway"])
    assert settings.trusting == ("b-1",)
    assert settings.upstream_authority == tmp_path / "ca.pem"
    assert Device.model_validate(values["devices"]["a-1"]).mac == lan_mac("a-1")


def test_a_program_that_is_not_ready_for_a_signal_is_told_from_one_that_is() -> None:
    ready = "trap : USR1; echo; read line"
    with subprocess.Popen(
        ["sh", "-c", f"read line; {ready}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert not catches(program.pid, signal.SIGUSR1)
        program.stdin.write(b"\n")
        program.stdin.flush()
        program.stdout.readline()
        assert catches(program.pid, signal.SIGUSR1)
        program.kill()


def test_two_accounts_never_share_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "lan_mac", lambda account: "fc:a1:83:00:00:01")
    with pytest.raises(BadInput, match="'a-1' and 'b-1'"):
        overlay(["a-1", "b-1"])


def test_an_alias_whose_target_no_server_names_still_resolves() -> None:
    hosts = [standins.Host("www.shop.test", "198.18.0.9", "edge.cdn.test")]
    text = topology.cloud_names(hosts)
    assert "cname=www.shop.test,edge.cdn.test" in text
    assert "host-record=edge.cdn.test,198.18.0.9" in text


def test_reverse_dns_says_what_it_is_told_to() -> None:
    hosts = [
        standins.Host("www.shop.test", "198.18.0.9", reverse="edge-9.cdn.test"),
        standins.Host("api.shop.test", "198.18.0.8", reverse=""),
        standins.Host("old.shop.test", "198.18.0.7"),
    ]
    lines = topology.cloud_names(hosts).splitlines()
    assert "ptr-record=9.0.18.198.in-addr.arpa,edge-9.cdn.test" in lines
    assert [one for one in lines if "198.18.0.7" in one] == ["host-record=old.shop.test,198.18.0.7"]
    assert [one for one in lines if "198.18.0.8" in one] == ["address=/api.shop.test/198.18.0.8"]


def test_the_machine_is_never_made_on_the_host(tmp_path: Path) -> None:
    assert not inside()
    machine = Machine(
        hosts=(), accounts=(), state=tmp_path / "s", cloud_command=[], echo_command=lambda _: []
    )
    with pytest.raises(Unavailable, match="own machine"):
        machine.__enter__()
    assert not (tmp_path / "s").exists()


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("echoaudit.lab.namespaces.SYSTEM_FOLDERS", [str(tmp_path)])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"missing programs: unshare.*apt-get install .*dnsmasq"):
        enter(["true"])


def test_refused_namespaces_are_one_clear_line() -> None:
    ask = "from echoaudit.lab.machine import available; print(available())"
    refuse = "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "
    refuse += '--inh-caps=-all "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", refuse, sys.executable, ask],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("\n") == 1, done.stderr
    assert "user namespaces are refused here (unshare: unshare failed:" in done.stdout


# --- for real ---------------------------------------------------------------------------------

needs_machine = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    standins.make_authority(tmp_path)
    return tmp_path


def on_machine(scenario: str, folder: Path) -> dict[str, Any]:
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


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tshark(capture: Path, display: str, *fields: str) -> list[list[str]]:
    arguments = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", str(capture), "-Y", display, "-T", "fields", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_machine
def test_a_pinned_and_a_trusting_speaker_side_by_side(folder: Path) -> None:
    result = on_machine("traffic", folder)
    assert set(result["ip"].values()) == {"192.168.77.10", "192.168.77.11"}
    assert result["pinned"] == [0, "hello from alias.voice.test"]
    assert result["pinned by proxy"][0] == 60, "a pinned device must see the server's certificate"
    assert result["trusting"] == [0, "hello from api.voice.test"]
    assert result["blocked"][1].startswith("0.0.0.0")
    assert result["unknown"][0] != 0
    assert result["spray"] == [0, "11\n11\nc6120001\n"], (
        "853 and DoH dropped; 8.8.8.8 answered by us"
    )
    assert result["dns.google"][1].startswith("0.0.0.0")
    assert result["use-application-dns.net"] == [2, ""], "no such name"
    assert result["proxied"] == [0, "11\n"], "dropped before the proxy takes it"
    assert result["devices"]["plain-1"]["policy"] == "pinned"
    _check_pinned(folder / "sessions" / "plain-1", lan_mac("plain-1"))
    _check_trusting(folder / "sessions" / "open-1")


def _check_pinned(session: Path, mac: str) -> None:
    capture = json.loads((session / "capture.json").read_text())
    assert capture["filter"] == f"ether host {mac}"
    assert capture["quic"] == {"policy": "drop", "packets": 3, "bytes": 3 * 29}
    assert capture["dot"]["packets"] >= 1
    assert capture["doh"]["policy"] == "drop"
    assert capture["doh"]["packets"] >= 2, "UDP to one known resolver, TCP to another"
    assert capture["doh"]["questions"] == 2
    assert capture["redirected_dns"]["packets"] == 1
    packets = capture["packets"]
    assert [count for name, count in packets.items() if name.startswith("dropped")] == [0] * 4
    found = tshark(session / "traffic.pcapng", "frame", "eth.addr", "frame.number")
    assert len(found) == packets["captured"] > 20
    assert all(mac in addresses for addresses, _ in found)
    hello = tshark(
        session / "traffic.pcapng", "tls.handshake.type == 1",
        "ip.dst", "tls.handshake.extensions_server_name",
    )  # fmt: skip
    assert hello == [["198.18.0.1", "alias.voice.test"], ["198.18.0.1", "api.voice.test"]]
    asked = tshark(session / "traffic.pcapng", "dns.flags.response == 0", "dns.qry.name")
    events = lines(session / "names.jsonl")
    assert [e["name"] for e in events if e["event"] == "query"] == [name for (name,) in asked]
    assert {
        "name": "tracker.ads.test",
        "event": "blocked",
        "type": "A",
        "answer": "0.0.0.0",
    }.items() <= (next(e for e in events if e["event"] == "blocked").items())
    assert all(capture["started"] < e["time"] < capture["ended"] for e in events)
    assert any(e["time"] % 1 for e in events)
    assert not (session / "proxy.mitm").exists()
    assert not (session / "keys.log").exists()


READ_FLOWS = """
import sys
from mitmproxy.io import FlowReader
for flow in FlowReader(open(sys.argv[1], "rb")).stream():
    print(flow.request.method, flow.request.pretty_url, flow.response.text)
"""


def _check_trusting(session: Path) -> None:
    exchange = tshark(
        session / "traffic.pcapng", "http2.headers.method || http.request", "ip.dst",
        "http2.headers.authority", "http2.headers.path",
    )  # fmt: skip
    assert exchange == [["198.18.0.1", "api.voice.test", "/x"]], "keys are in the capture"
    flows = subprocess.run(
        [sys.executable, "-c", READ_FLOWS, str(session / "proxy.mitm")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert flows == "GET https://api.voice.test/x hello from api.voice.test\n"
    capture = json.loads((session / "capture.json").read_text())
    assert capture["doh"]["packets"] >= 1
    assert capture["doh"]["questions"] == 0
    randoms = {line.split()[1] for line in (session / "keys.log").read_text().splitlines()}
    assert len(randoms) == 1, "only this device's connection, not the proxy's own"
    assert (session / "keys.log").stat().st_mode & 0o077 == 0
    assert capture["policy"] == "trusting"


@needs_machine
def test_a_name_that_a_trusting_speaker_refuses_passes_for_a_while(folder: Path) -> None:
    distrust, fine = 60, 0
    result = on_machine("learns", folder)
    assert result["first"] == [distrust, distrust, fine, fine]
    first = lines(folder / "sessions" / "first" / "proxy.jsonl")
    assert [(one["kind"], one["sni"]) for one in first] == [
        ("refused", "api.voice.test"),
        ("refused", "api.voice.test"),
        ("passed", "api.voice.test"),
        ("http", "alias.voice.test"),
    ], "other names are still decrypted"
    assert "learned" not in first[0]
    why = first[1]["learned"]
    assert why == first[2]["learned"]
    assert (why["name"], why["refusals"], why["client"]) == ("api.voice.test", 2, "192.168.77.10")
    assert "does not trust the proxy's certificate" in why["error"]
    assert why["until"] == pytest.approx(why["time"] + 3600)
    assert result["restarted"] == [fine]
    (kept,) = lines(folder / "sessions" / "restarted" / "proxy.jsonl")
    assert (kept["kind"], kept["learned"]) == ("passed", why)
    assert result["expired"] == [distrust]
    (again,) = lines(folder / "sessions" / "expired" / "proxy.jsonl")
    assert again["kind"] == "refused"
    assert "learned" not in again, "counted afresh"


@pytest.mark.lab
@needs_machine
def test_nine_speakers_are_up_in_seconds_and_recorded_at_once(folder: Path) -> None:
    result = on_machine("nine", folder)
    assert result["answers"] == [[0, "hello from api.voice.test"]] * 9
    assert result["up"] < 15
    for session in (folder / "sessions").iterdir():
        names = tshark(
            session / "traffic.pcapng", "tls.handshake.type == 1", "eth.src",
            "tls.handshake.extensions_server_name",
        )  # fmt: skip
        assert names == [[lan_mac(session.name), "api.voice.test"]]
        ends = tshark(
            session / "traffic.pcapng", "tcp.flags.fin == 1 || tcp.flags.reset == 1", "frame.number"
        )
        assert ends, "the capture goes on until the connection has ended"


@needs_machine
def test_whatever_is_missing_busy_or_dead_is_one_clear_line(folder: Path) -> None:
    said = on_machine("broken", folder)
    assert "no network interface 'lan0'" in said["no interface"]
    assert "'ppp7'" in said["wrong wan"]
    assert "Address already in use" in said["busy port"]
    assert "another run" in said["second gateway"]
    assert "devices: a-1" in said["unknown account"]
    assert said["dead dnsmasq"].startswith("dnsmasq stopped by itself")
    assert said["dead mitmdump"].startswith("mitmdump stopped by itself (status -9)")
    assert not any(
        "\n" in line for line in said.values() if isinstance(line, str) and "fix" in line
    )
    assert {check[1] for check in said["checks"]} == {"ok", "not here"}
    failed = {check[0] for check in said["checks busy"] if check[1] == "fail"}
    assert failed == {"gateway-port-53-udp"}
    assert "echoaudit" not in said["after busy"]
    assert "192.168.77.1" not in said["after busy"]


@pytest.mark.lab
@needs_machine
def test_devices_on_the_network_are_found_and_absent_ones_named(folder: Path) -> None:
    result = on_machine("look", folder)
    vendor = "Amazon Technologies Inc."
    a, b = [[lan_mac(account), result["ip"][account], vendor] for account in ("a-1", "b-1")]
    here, checks = result["served"]
    assert here == [a, b]
    assert [state for _, state, _, _ in checks] == ["ok", "ok", "warn"]
    assert "fc:a1:83:ff:ff:ff does not answer; found on the LAN: no other device" in checks[2][2]
    assert result["forger"] == [0, ""]
    assert result["forged"][0] == [a, b], "whatever else is on the network"
    assert "192.168.77.1" not in result["addresses"]
    here, checks = result["alone"]
    assert here == [a, b], "found without a gateway, by a machine that has no address there"
    assert f"{b[0]} answers at {b[1]}, its address is {a[1]}" in checks[0][2]
    for missing, reason in (("no rights", "CAP_NET_RAW"), ("no link", "Network is down")):
        error, ((_, state, message, _),) = result[missing]
        assert reason in error
        assert state == "not here"
        assert reason in message
    assert result["errors"] == "", "scapy has nothing to say"
    assert result["home"] == [], "and nothing to keep"


@needs_machine
def test_a_killed_gateway_leaves_nothing_and_the_next_finds_the_speaker(folder: Path) -> None:
    result = on_machine("crash", folder)
    assert result["alive"] == ["dnsmasq", "dumpcap", "mitmdump"]
    assert result["killed"]["programs"] == []
    assert result["killed"]["network"] == result["before"]
    assert result["ip"] == "192.168.77.10", "the speaker keeps its address and is found again"
    assert result["after"] == result["before"]


@pytest.fixture
def staying(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    runner = subprocess.Popen(
        [sys.executable, str(PROBE), "stay", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    with runner:
        try:
            yield runner, json.loads(runner.stdout.readline())["network"]
        finally:
            runner.kill()


def in_network(network: str) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if str((process / "ns" / "net").readlink()) == network:
                    found.append((process / "cmdline").read_text())
            except OSError:
                continue  # It has just ended.
    return found


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # It has just ended.
            if process.name.isdigit():
                found.append((process / "cmdline").read_text())
    return found


@needs_machine
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_runner_once_and_it_may_finish(
    staying: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    runner, network = staying
    assert in_network(network)
    runner.send_signal(number)
    output, _ = runner.communicate(timeout=120)
    assert json.loads(output) == {"seen": [number]}
    assert runner.returncode == 0
    assert wait_until(lambda: in_network(network) == [], 60)


@needs_machine
def test_killing_the_outer_process_ends_everything(
    staying: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    runner, network = staying
    mounts = Path("/proc/mounts").read_text()
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    assert wait_until(lambda: in_network(network) == [], 60)
    assert wait_until(lambda: not [c for c in commands() if str(folder) in c], 60)
    assert Path("/proc/mounts").read_text() == mounts
    assert "lan0" not in Path("/proc/net/dev").read_text()


@needs_machine
def test_the_exit_status_is_the_runners(tmp_path: Path) -> None:
    program = "import sys; from echoaudit.lab.machine import enter; enter(sys.argv[1:])"
    for command, status in (("exit 3", 3), ("kill -9 $$", 137)):
        done = subprocess.run([sys.executable, "-c", program, "sh", "-c", command], check=False)
        assert done.returncode == status
