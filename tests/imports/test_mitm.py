"""mitmproxy's flow files: what was exchanged with whom; damage is named and goes no further."""

from __future__ import annotations

import io
import random
import sys

import pytest
from import_kit import START, TV, brought, endpoints, refused, sources

from echoaudit import findings

pytest.importorskip("mitmproxy")
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

PHONE = "192.168.1.30"


def exchange(host: str, *, client=TV, server="198.51.100.7", at=0.0, answered=True, tls=True):
    """A flow as mitmproxy holds it: a POST and its answer."""
    found = tflow.tflow(resp=answered)
    found.client_conn.peername = (client, 50001)
    found.server_conn.peername = (server, 443)
    found.client_conn.sni = host if tls else None
    found.client_conn.tls = tls
    found.client_conn.tls_version = "TLSv1.3" if tls else None
    found.request.host, found.request.port = host, 443 if tls else 80
    found.request.headers["host"] = host
    found.request.content = b"x" * 1000
    found.timestamp_created = found.request.timestamp_start = START + at
    found.request.timestamp_end = START + at + 0.1
    if found.response:
        found.response.content = b"y" * 5000
        found.response.timestamp_start = found.response.timestamp_end = START + at + 0.5
    return found


def write(path, *flows, after=b""):
    out = io.BytesIO()
    for flow in flows:
        FlowWriter(out).add(flow)
    path.write_bytes(out.getvalue() + after)
    return path


def test_exchanges_become_endpoints_with_what_names_them(tmp_path) -> None:
    file = write(
        tmp_path / "tv.mitm",
        exchange("play.podtrac.com"),
        exchange("plain.example.com", tls=False, at=1),
        exchange("dead.example.com", answered=False, at=2),
    )
    recording = brought("mitm", file, "--persona", "smart-tv", into=tmp_path / "tv")
    found = endpoints(recording)
    assert found[["witness", "state", "flows"]].to_dict("index") == {
        "play.podtrac.com": {"witness": "sni", "state": "contacted", "flows": 1},
        "plain.example.com": {"witness": "http", "state": "contacted", "flows": 1},
        "dead.example.com": {"witness": "sni", "state": "unanswered", "flows": 1},
    }
    podtrac = found.loc["play.podtrac.com"]
    assert (podtrac["tls"], podtrac["party"], podtrac["role"]) == ("TLS 1.3", "third", "tracking")
    assert 1000 < podtrac["bytes_up"] < 1300
    assert 5000 < podtrac["bytes_down"] < 5300
    assert (podtrac["first"], podtrac["last"]) == (START, START + 0.5)


def test_what_the_device_sent_is_read_as_that_of_a_device_of_ones_own(tmp_path) -> None:
    flow = exchange("play.podtrac.com")
    flow.request.headers["content-type"] = "application/json"
    flow.request.content = b'{"timezone": "America/Los_Angeles"}'
    recording = brought("mitm", write(tmp_path / "tv.mitm", flow), into=tmp_path / "tv")
    tables = findings.compute(recording).tables
    assert list(tables["decrypted"]["exchanges"]) == [1]
    assert "time zone" in set(tables["data_types"]["data_type"])
    assert set(tables["data_types"]["host"]) == {"play.podtrac.com"}
    assert set(tables["endpoints"]["witness"]) == {"sni"}


def test_exchanges_of_one_connection_are_one_flow(tmp_path) -> None:
    first = exchange("api.example.com")
    second = exchange("api.example.com", at=5)
    second.client_conn, second.server_conn = first.client_conn, first.server_conn
    other = exchange("api.example.com", at=6)
    recording = brought("mitm", write(tmp_path / "a", first, second, other), into=tmp_path / "r")
    found = endpoints(recording).loc["api.example.com"]
    assert (found["flows"], found["last"]) == (2, START + 6.5)


def test_each_device_gets_its_own_flows_only(tmp_path) -> None:
    tv, phone = exchange("a.example.com"), exchange("b.example.com", client=PHONE, at=1)
    file = write(tmp_path / "home.mitm", tv, phone)
    recording = brought("mitm", file, into=tmp_path / "both")
    parts = [step.path("proxy.mitm").read_bytes() for step in recording.steps()]
    assert b"".join(parts) == file.read_bytes()
    assert [step.account for step in recording.steps()] == ["imported-1", "imported-2"]
    one = brought("mitm", file, "--client", PHONE, into=tmp_path / "one")
    assert list(endpoints(one).index) == ["b.example.com"]


def test_a_damaged_record_is_named_and_the_others_are_read(tmp_path) -> None:
    good = [write(tmp_path / f"{n}", exchange(f"h{n}.example.com", at=n)) for n in range(3)]
    raw = [path.read_bytes() for path in good]
    raw[1] = raw[1].replace(b"4:type;4:http", b"4:type;4:htXp")
    (tmp_path / "x.mitm").write_bytes(b"".join(raw))
    recording = brought("mitm", tmp_path / "x.mitm", into=tmp_path / "r")
    assert sources(recording)[0]["problems"][0].startswith("record 2 damaged")
    assert set(endpoints(recording).index) == {"h0.example.com", "h2.example.com"}


@pytest.mark.parametrize(
    ("after", "says"), [(b"rubbish", "no flow begins here"), (b"99:cut", "it is cut")]
)
def test_a_file_that_breaks_off_is_read_up_to_there(tmp_path, after, says) -> None:
    file = write(tmp_path / "x.mitm", exchange("a.example.com"), after=after)
    recording = brought("mitm", file, into=tmp_path / "r")
    assert sources(recording)[0]["problems"] == [f"record 2 and what follows unread: {says}"]
    captures = findings.compute(recording).tables["captures"]
    assert says in captures["problem"][0]


@pytest.mark.parametrize(
    "content", [b"", b"not mitmproxy", b'{"log": {}}', b"3:abc}", b"9999999999:x"]
)
def test_what_is_no_flow_file_is_refused(tmp_path, content) -> None:
    (tmp_path / "x.mitm").write_bytes(content)
    assert "no flow could be used" in refused("mitm", tmp_path / "x.mitm", into=tmp_path / "r")


def test_flows_without_addresses_are_counted(tmp_path) -> None:
    nowhere, nobody = exchange("a.example.com"), exchange("b.example.com")
    nowhere.server_conn.peername = nowhere.server_conn.address = None
    nobody.client_conn.peername = ("", 0)
    file = write(tmp_path / "x", nowhere, nobody, tflow.tdnsflow(), exchange("c.example.com"))
    recording = brought("mitm", file, into=tmp_path / "r")
    assert sources(recording)[0]["problems"] == [
        "flows of DNS, not used: 1",
        "flows that reached no server: 1",
        "flows without a client's address: 1",
    ]


def test_other_kinds_of_flows_are_read(tmp_path) -> None:
    stream, datagrams = tflow.ttcpflow(), tflow.tudpflow()
    for flow in (stream, datagrams):
        flow.client_conn.peername = (TV, 50002)
        flow.server_conn.peername = ("198.51.100.9", 4070)
        flow.client_conn.sni = flow.server_conn.sni = None
    file = write(tmp_path / "x.mitm", stream, datagrams)
    found = endpoints(brought("mitm", file, into=tmp_path / "r")).reset_index()
    assert list(found["ports"]) == ["tcp/4070 udp/4070"]
    assert list(found["witness"]) == ["none"]


def test_mutated_files_never_end_in_a_traceback(tmp_path) -> None:
    whole = write(tmp_path / "w", *(exchange(f"h{n}.example.com", at=n) for n in range(3)))
    raw, chance = whole.read_bytes(), random.Random(3)
    for number in range(4):
        bad = bytearray(raw)
        for _ in range(6):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        (tmp_path / "x.mitm").write_bytes(bad)
        into = tmp_path / f"r{number}"
        try:
            recording = brought("mitm", tmp_path / "x.mitm", into=into)
        except AssertionError:
            refused("mitm", tmp_path / "x.mitm", into=into)
        else:
            endpoints(recording)


def test_without_mitmproxy_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mitmproxy", None)
    file = tmp_path / "x.mitm"
    file.write_bytes(b"0:}")
    assert "echoaudit[gateway]" in refused("mitm", file, into=tmp_path / "r")
