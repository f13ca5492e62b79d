"""Pi-hole's databases and logs: what was asked, blocked, allowed, and what is not known."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import time
from datetime import UTC, datetime

import pytest
from import_kit import PHONE, START, TV, brought, database, endpoints, refused, sources

from echoaudit import findings
from local_ports import free_port


@pytest.mark.parametrize("version", [9, 12, 21])
def test_what_became_of_each_name_of_the_database(tmp_path, version) -> None:
    file = database(tmp_path / "pihole-FTL.db", version)
    recording = brought("pihole", file, "--client", TV, into=tmp_path / "tv")
    states = endpoints(recording)["state"].to_dict()
    # Before database version 10 the kind of answer was not kept.
    resolved, nothing = ("asked", "asked") if version == 9 else ("resolved", "unresolved")
    assert states == {
        "api.roku.com": resolved,
        "ads.example.com": "blocked",
        "hidden.example.net": "blocked",
        "unsaid.example.com": "asked",
        "nothing.example.com": nothing,
    } | ({} if version == 9 else {"cached.example.org": "resolved"})
    assert not endpoints(recording)["contacted"].any()


def test_the_name_behind_which_a_tracker_hid_is_kept(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    found = endpoints(brought("pihole", file, "--client", TV, into=tmp_path / "tv"))
    assert found.loc["hidden.example.net", "aliases"] == "tracker.example.io"


def test_each_device_becomes_an_account_and_others_stay_out(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    both = brought("pihole", file, "--persona", "home", into=tmp_path / "both")
    assert [(step.account, step.json("session.json")["device"]["ip"]) for step in both.steps()] == [
        ("home-1", TV),
        ("home-2", PHONE),
    ]
    one = brought("pihole", file, "--client", TV, into=tmp_path / "one")
    assert "phone.example.com" not in next(one.steps()).path("names.jsonl").read_text()
    assert "questions whose client is hidden or no address: 1" in sources(one)[0]["problems"]


def test_an_account_can_be_named_for_one_device_only(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    options = ["--persona", "tv", "--account", "tv-3"]
    assert "2 clients" in refused("pihole", file, *options, into=tmp_path / "tv")
    recording = brought("pihole", file, *options, "--client", TV, into=tmp_path / "tv")
    assert next(recording.steps()).account == "tv-3"


def test_times_can_be_limited(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    since = datetime.fromtimestamp(START + 1, UTC).isoformat()
    until = datetime.fromtimestamp(START + 4, UTC).isoformat()
    recording = brought(
        "pihole", file, "--client", TV, "--since", since, "--until", until, into=tmp_path / "tv"
    )
    assert sources(recording)[0]["records"] == 3


def test_what_a_running_pihole_has_not_written_out_is_read_too(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    running = sqlite3.connect(file)
    running.execute("PRAGMA journal_mode = WAL")
    running.execute("PRAGMA wal_autocheckpoint = 0")
    running.execute("INSERT INTO domain_by_id VALUES (99, 'late.example.com')")
    running.execute("UPDATE query_storage SET domain = 99 WHERE id = 1")
    running.commit()
    recording = brought("pihole", file, "--client", TV, into=tmp_path / "tv")
    assert "late.example.com" in endpoints(recording).index
    running.close()


def test_replay_says_that_there_were_no_packets(tmp_path) -> None:
    file = database(tmp_path / "pihole-FTL.db", 21)
    recording = brought("pihole", file, "--client", TV, into=tmp_path / "tv")
    found = findings.replay(recording, tmp_path / "report.html")
    assert list(found.tables["captures"]["status"]) == ["partial"]
    assert "no packets, only questions of a DNS log: 6" in found.tables["captures"]["problem"][0]
    assert findings.check(recording) == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("CREATE TABLE t (x)", "not a Pi-hole database: it has no queries"),
        ("CREATE TABLE queries (id, timestamp)", "its queries have no type, status"),
        ("CREATE VIEW queries AS SELECT * FROM gone", "cannot be read as a database"),
        (
            "CREATE TABLE queries (timestamp, type, status, domain, client);"
            "INSERT INTO queries VALUES ('x', 1, 2, 'a.b', '1.2.3.4'), (1e9, 1, 2, x'00', '::1'),"
            "(1e9, 1, 2, 'a' || char(10) || 'b', '::1'), (-1, 1, 2, 'a.b', '::1')",
            "no question in the time asked for",
        ),
    ],
)
def test_other_databases_are_refused(tmp_path, script, says) -> None:
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.executescript(script)
    assert says in refused("pihole", tmp_path / "x.db", into=tmp_path / "tv")


def test_a_view_that_never_ends_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("echoaudit.imports.pihole_database.PATIENCE", 0.3)
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.executescript(
            "CREATE VIEW queries AS WITH RECURSIVE n(timestamp) AS (SELECT 1 UNION ALL "
            "SELECT timestamp + 1 FROM n) SELECT timestamp, 1 AS type, 2 AS status, 'a.b' AS "
            "domain, '::1' AS client FROM n WHERE timestamp < 0"
        )
    says = refused("pihole", tmp_path / "x.db", into=tmp_path / "tv")
    assert "does not come to an end" in says


def test_damaged_databases_are_refused_or_read_in_part(tmp_path) -> None:
    whole = database(tmp_path / "pihole-FTL.db", 21).read_bytes()
    chance = random.Random(7)
    for number in range(60):
        raw = bytearray(whole[: chance.randrange(20, len(whole))] if number % 2 else whole)
        for _ in range(chance.randrange(1, 40)):
            raw[chance.randrange(16, len(raw))] = chance.randrange(256)
        (tmp_path / "x.db").write_bytes(raw)
        into = tmp_path / f"r{number}"
        try:
            brought("pihole", tmp_path / "x.db", into=into)
        except AssertionError:
            refused("pihole", tmp_path / "x.db", into=into)


# --- logs --------------------------------------------------------------------------------------

PLAIN = """\
Dec 31 23:59:58 dnsmasq[12]: query[A] api.roku.com from 192.168.1.20
Dec 31 23:59:58 dnsmasq[12]: forwarded api.roku.com to 9.9.9.9
Dec 31 23:59:58 dnsmasq[12]: reply api.roku.com is <CNAME>
Dec 31 23:59:58 dnsmasq[12]: reply edge.cdn.example is 198.18.0.7
Dec 31 23:59:59 dnsmasq[12]: query[A] ads.example.com from 192.168.1.20
Dec 31 23:59:59 dnsmasq[12]: gravity blocked ads.example.com is 0.0.0.0
Jan  1 00:00:01 dnsmasq[12]: query[AAAA] cut.example.com from 192.168.1.20
Jan  1 00:00:02 dnsmasq[12]: query[A] regex.example.com from 192.168.1.20
Jan  1 00:00:02 dnsmasq[12]: regex denied regex.example.com is NODATA
Jan  1 00:00:03 dnsmasq[12]: query[A] old.example.com from 192.168.1.30
Jan  1 00:00:03 dnsmasq[12]: cached-stale old.example.com is 198.18.0.9
"""
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def log(path, text, packed=False):
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    os.utime(path, (NEW_YEAR + 3600, NEW_YEAR + 3600))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_without_serial_numbers(tmp_path, packed) -> None:
    file = log(tmp_path / "pihole.log", PLAIN, packed)
    found = endpoints(brought("pihole", file, "--client", TV, into=tmp_path / "tv"))
    assert found["state"].to_dict() == {
        "api.roku.com": "resolved",
        "ads.example.com": "blocked",
        "cut.example.com": "asked",
        "regex.example.com": "blocked",
    }
    assert found.loc["api.roku.com", ["addresses", "aliases"]].to_list() == [
        "198.18.0.7",
        "edge.cdn.example",
    ]


def test_a_log_over_new_year_has_the_right_times(tmp_path) -> None:
    recording = brought("pihole", log(tmp_path / "pihole.log", PLAIN), into=tmp_path / "tv")
    about = next(recording.steps()).json("session.json")
    assert (about["started"], about["ended"]) == (NEW_YEAR - 2, NEW_YEAR + 2)
    berlin = brought(
        "pihole", tmp_path / "pihole.log", "--timezone", "Europe/Berlin", into=tmp_path / "berlin"
    )
    assert next(berlin.steps()).json("session.json")["started"] == NEW_YEAR - 2 - 3600


def test_what_is_no_log_is_refused(tmp_path) -> None:
    for content in (b"", b"hello\nworld\n", bytes(range(256)) * 20, b"\x1f\x8b\x08broken"):
        (tmp_path / "x.log").write_bytes(content)
        assert "not a log of dnsmasq" in refused("pihole", tmp_path / "x.log", into=tmp_path / "r")


def test_lines_out_of_order_and_impossible_days_are_counted(tmp_path) -> None:
    text = (
        "Feb 30 10:00:00 dnsmasq[1]: query[A] a.example.com from 192.168.1.20\n"
        "Xyz 30 10:00:00 dnsmasq[1]: query[A] a.example.com from 192.168.1.20\n"
        "Feb  3 10:00:00 dnsmasq[1]: query[A] a.example.com from nobody\n"
        "Feb  3 10:00:00 dnsmasq[1]: reply unasked.example.com is 1.2.3.4\n"
        "Feb  3 10:00:00 dnsmasq[1]: query[A] b.example.com from 192.168.1.20\n"
    )
    recording = brought("pihole", log(tmp_path / "x.log", text), into=tmp_path / "r")
    assert sources(recording)[0]["problems"] == [
        "answers to questions before the log: 1",
        "questions whose time, client or name is unusable: 3",
    ]


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq")
@pytest.mark.parametrize("extra", [False, True])
def test_the_log_of_a_real_dnsmasq(tmp_path, extra) -> None:
    port = free_port()
    file = tmp_path / "dnsmasq.log"
    command = [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
        "--user=", "--group=", f"--pid-file={tmp_path}/pid", f"--port={port}",
        "--listen-address=127.0.0.1", "--bind-interfaces", f"--log-facility={file}",
        "--log-queries=extra" if extra else "--log-queries",
        "--address=/blocked.example.com/#", "--host-record=good.example.com,198.18.0.5",
        "--cname=alias.example.com,good.example.com", "--local=/example.com/",
    ]  # fmt: skip
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for name in ("good", "alias", "blocked", "missing"):
            ask(port, f"{name}.example.com")
    finally:
        server.terminate()
        server.wait(60)
    found = endpoints(brought("pihole", file, into=tmp_path / "r"))
    assert found["state"].to_dict() == {
        "good.example.com": "resolved",
        "alias.example.com": "resolved",
        "blocked.example.com": "blocked",
        "missing.example.com": "unresolved",
    }
    assert found.loc["alias.example.com", "addresses"] == "198.18.0.5"


def ask(port: int, name: str) -> None:
    from scapy.layers.dns import DNS, DNSQR

    question = bytes(DNS(id=7, rd=1, qd=DNSQR(qname=name)))
    deadline = time.monotonic() + 60
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        while time.monotonic() < deadline:
            client.sendto(question, ("127.0.0.1", port))
            try:
                client.recv(512)
                return
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.05)
    raise AssertionError("dnsmasq did not answer")
