"""What the gateway keeps of a session: names, losses, keys, programs that end."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser.processes import wait_until
from echoaudit.instruments.gateway import keys
from echoaudit.instruments.gateway.child import Child
from echoaudit.instruments.gateway.names import NameEvent, NameLog, Parser
from echoaudit.instruments.gateway.packets import parse_losses

MESSAGES = """\
dnsmasq[17]: started, version 2.90 cachesize 150
dnsmasq-dhcp[17]: DHCPACK(lan0) 192.168.77.10 fc:a1:83:00:00:01
dnsmasq[17]: 4 192.168.77.10/50665 query[A] alias.x.test from 192.168.77.10
dnsmasq[17]: 4 192.168.77.10/50665 forwarded alias.x.test to 100.64.0.1
dnsmasq[17]: 4 192.168.77.10/50665 reply alias.x.test is <CNAME>
dnsmasq[17]: 4 192.168.77.10/50665 reply api.x.test is 198.18.0.5
dnsmasq[17]: 8 192.168.77.11/56935 query[AAAA] ads.test from 192.168.77.11
dnsmasq[17]: 8 192.168.77.11/56935 config ads.test is ::
dnsmasq[17]: 9 192.168.77.11/57829 query[HTTPS] ads.test from 192.168.77.11
dnsmasq[17]: 9 192.168.77.11/57829 config ads.test is NODATA
dnsmasq[17]: 10 192.168.77.10/39413 query[A] api.x.test from 192.168.77.10
dnsmasq[17]: 10 192.168.77.10/39413 cached api.x.test is 198.18.0.5
dnsmasq[17]: 11 192.168.77.10/39413 query[A] gone.test from 192.168.77.10
dnsmasq[17]: 11 192.168.77.10/39413 reply error is SERVFAIL
""".splitlines()


def events(lines: list[str]) -> list[NameEvent]:
    parser = Parser(frozenset({"ads.test"}))
    found = (parser.event(float(number), line) for number, line in enumerate(lines))
    return [event for event in found if event is not None]


# --- names ------------------------------------------------------------------------------------


def test_each_message_about_a_question_is_an_event() -> None:
    found = events(MESSAGES)
    assert [(e.id, e.event) for e in found] == [
        (4, "query"), (4, "forwarded"), (4, "reply"), (4, "reply"),
        (8, "query"), (8, "blocked"), (9, "query"), (9, "blocked"),
        (10, "query"), (10, "cached"), (11, "query"), (11, "reply"),
    ]  # fmt: skip
    assert found[3] == NameEvent(5.0, "192.168.77.10", 4, "reply", "api.x.test", "A", "198.18.0.5")
    assert {e.type for e in found if e.id == 9} == {"HTTPS"}
    assert found[-1].answer == "SERVFAIL"


def test_messages_of_another_machine_s_resolver_are_read_from_its_log() -> None:
    found = events(
        [
            "Mar  1 09:05:01 dnsmasq[7]: 4 10.0.0.2/5 query[A] ads.test from 10.0.0.2",
            "Mar  1 09:05:01 dnsmasq[7]: 4 10.0.0.2/5 gravity blocked ads.test is 0.0.0.0",
            "Mar 11 09:05:01 pi dnsmasq[7]: 5 10.0.0.2/5 exactly denied b.test is NODATA",
            "Mar 11 09:05:01 pi dnsmasq[7]: 6 10.0.0.2/5 reply blocked.test is 10.0.0.9",
            "Mar 11 09:05:01 dnsmasq[7]: query[A] unnumbered.test from 10.0.0.2",
            "tail: 'pihole.log' has become inaccessible",
        ]
    )
    assert [(e.id, e.event, e.name, e.answer) for e in found] == [
        (4, "query", "ads.test", None),
        (4, "blocked", "ads.test", "0.0.0.0"),
        (5, "blocked", "b.test", "NODATA"),
        (6, "reply", "blocked.test", "10.0.0.9"),
    ]


def test_our_own_answer_for_another_name_is_not_a_block() -> None:
    (event,) = events(["dnsmasq[1]: 1 10.0.0.2/5 config local.test is 10.0.0.1"])
    assert (event.event, event.type) == ("config", None)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "dnsmasq[1]: 1 x/5 query[A] a from b",
        "dnsmasq[1]: query[A] a",
        "\x00" * 40,
        "query " * 99,
    ],
)
def test_other_messages_are_not_events(line: str) -> None:
    assert events([line]) == []


def test_memory_for_open_questions_is_bounded() -> None:
    parser = Parser()
    for number in range(10_000):
        parser.event(0, f"dnsmasq[1]: {number} 10.0.0.2/5 query[A] a.test from 10.0.0.2")
    late = parser.event(0, "dnsmasq[1]: 3 10.0.0.2/5 reply a.test is 10.0.0.1")
    assert late is not None
    assert late.type is None


def test_slices_of_an_account_are_contiguous_also_over_a_crash(tmp_path: Path) -> None:
    accounts = {"192.168.77.10": "a-1", "192.168.77.11": "b-1"}

    def log() -> NameLog:
        return NameLog(tmp_path / "names", accounts, Parser(frozenset({"ads.test"})))

    first = log()
    for line in MESSAGES[:6]:
        first.line(1.5, line)
    assert first.take("a-1", tmp_path / "one") == 4
    for line in MESSAGES[6:10]:
        first.line(2.5, line)
    second = log()  # the process was killed here
    for line in MESSAGES[10:]:
        second.line(3.5, line)
    assert second.take("a-1", tmp_path / "two") == 4
    assert second.take("b-1", tmp_path / "three") == 4
    assert second.take("b-1", tmp_path / "four") == 0
    texts = [json.loads(line) for line in (tmp_path / "two").read_text().splitlines()]
    assert {t["client"] for t in texts} == {"192.168.77.10"}
    assert set(texts[0]) == {"time", "client", "id", "event", "name", "type", "answer"}


# --- packets and keys -------------------------------------------------------------------------


def test_losses_are_read_from_dumpcaps_last_words() -> None:
    losses = parse_losses(
        "Packets captured: 30\n"
        "Packets received/dropped on interface 'lan0': 30/12 "
        "(pcap:5/dumpcap:4/flushed:3/ps_ifdrop:2) (71.4%)"
    )
    assert (losses.captured, losses.received) == (30, 30)
    assert (losses.dropped_kernel, losses.dropped_program) == (5, 4)
    assert (losses.dropped_at_end, losses.dropped_interface) == (3, 2)
    assert parse_losses("killed").captured is None


def test_only_secrets_of_the_captures_own_connections_are_kept(tmp_path: Path) -> None:
    mine, other = b"\x0a" * 32, b"\xb0" * 32
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + mine + b"rest"
    capture = tmp_path / "capture"
    capture.write_bytes(b"\x00" * 100 + hello + b"\x17\x03\x03" + other)
    log = [f"CLIENT_RANDOM {r.hex()} 00ff" for r in (mine, other)] + ["", "nonsense", "A b c"]
    kept = keys.of_capture(log, keys.client_randoms(capture))
    assert kept == [f"CLIENT_RANDOM {mine.hex()} 00ff"]
    capture.write_bytes(b"")
    assert keys.client_randoms(capture) == frozenset()


# --- programs ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echoaudit.instruments.gateway.child.PACKAGES", {"sh": "dash"})


def test_a_program_that_ends_is_named_with_its_last_words(tmp_path: Path) -> None:
    child = Child("sh", ["-c", "echo first >&2; echo port is taken >&2; exit 2"], tmp_path / "log")
    with pytest.raises(Unavailable, match=r"sh stopped by itself \(status 2\): port is taken"):
        child.wait_until(lambda: False, 60)
    stamped = (tmp_path / "log").read_text().splitlines()[0].split(" ", 1)
    assert abs(float(stamped[0]) - time.time()) < 60
    assert stamped[1] == "first"


def test_a_program_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    ready = threading.Event()
    child = Child(
        "sh", ["-c", "trap '' TERM; echo up >&2; while :; do sleep 0.1; done"], tmp_path / "log",
        on_line=lambda _time, _line: ready.set(),
    )  # fmt: skip
    child.wait_until(ready.is_set, 60)
    child.stop(patience=0.2)
    assert not child.alive


def test_a_program_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path;"
        "from echoaudit.instruments.gateway.child import Child;"
        "Child('sh', ['-c', 'echo $$ >&2; sleep 60'], Path(sys.argv[1])); time.sleep(60)"
    )
    log = tmp_path / "log"
    parent = os.posix_spawn(
        sys.executable, [sys.executable, "-c", code, str(log)], dict(os.environ)
    )
    assert wait_until(lambda: log.exists() and log.read_text().endswith("\n"), 60)
    pid = int(log.read_text().split()[1])
    assert is_running(pid)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert wait_until(lambda: not is_running(pid), 60)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has not yet asked for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
