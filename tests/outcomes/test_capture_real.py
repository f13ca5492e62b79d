"""Captures of real Echos: totals, look-ups and names equal tshark's.

The captures are not part of the repository: the tests look for them beside it, or where the
environment variable ECHOAUDIT_SHARED_DATA says.
"""

import math
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from echoaudit.outcomes.naming import Book, Memory, answers_of, name_flow
from echoaudit.outcomes.probes import Probes
from echoaudit.outcomes.traffic import quick, read_capture

DATA = Path(os.environ.get("ECHOAUDIT_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
CAPTURES = sorted((DATA / "echo-pcaps").glob("*.pcap*"))

pytestmark = pytest.mark.skipif(
    not CAPTURES or not shutil.which("tshark"), reason="needs the real captures and tshark"
)


def tshark(path, *fields, only=None):
    command = ["tshark", "-nr", path, "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"]
    command += ["-o", "tcp.desegment_tcp_streams:TRUE"]
    command += [part for field in fields for part in ("-e", field)]
    command += ["-Y", only] if only else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.fixture(params=CAPTURES, ids=lambda path: path.name)
def capture(request):
    return request.param


def test_totals(capture):
    lengths = [int(length) for (length,) in tshark(capture, "frame.len")]
    traffic = read_capture(capture)
    assert (traffic.packets, traffic.octets) == (len(lengths), sum(lengths))
    counted = sum(flow.packets_up + flow.packets_down for flow in traffic.flows)
    assert counted + sum(traffic.notes.other.values()) == traffic.packets
    assert not traffic.notes.partial


def test_connections(capture):
    keys = ("ip.src", "tcp.srcport", "ip.dst", "tcp.dstport")
    sizes = Counter()
    for *ends, length in tshark(capture, *keys, "frame.len", only="tcp && !icmp"):
        sizes[tuple(ends)] += int(length)
    found = Counter()
    for flow in read_capture(capture).flows:
        if flow.protocol == "tcp":
            client, server = (flow.client, flow.client_port), (flow.server, flow.server_port)
            found[tuple(map(str, (*client, *server)))] += flow.bytes_up
            found[tuple(map(str, (*server, *client)))] += flow.bytes_down
    assert +found == sizes


def test_names(capture):
    traffic = read_capture(capture)
    sni = tshark(capture, "tls.handshake.extensions_server_name", only="tls.handshake.type==1")
    assert Counter(flow.sni for flow in traffic.flows if flow.sni) == Counter(
        n for (n,) in sni if n
    )
    hosts = {name for (name,) in tshark(capture, "http.host", only="http.request && tcp")}
    assert {flow.http_host for flow in traffic.flows} - {""} == hosts
    rows = tshark(capture, "dns.qry.name", "dns.a", only="dns.flags.response==1 && udp.port==53")
    expected = {(name, *sorted(addresses.split(";"))) for name, addresses in rows if addresses}
    found = {(one.question, *sorted(one.addresses)) for one in traffic.lookups if one.addresses}
    assert found == expected


def test_what_no_witness_names_stays_unnamed(capture):
    # The connection to the voice service is older than each capture: nothing in it tells a name.
    traffic = read_capture(capture)
    here = Book()
    here.add(answers_of(traffic.lookups))
    older = [flow for flow in traffic.flows if flow.state == "midstream"]
    untold = [flow for flow in older if not here.names(flow.server, math.inf)]
    assert untold
    assert {name_flow(flow, here, Memory(), {}, Probes()).witness for flow in untold} == {"none"}


@pytest.mark.skipif(not quick.available(), reason="the scanner in C was not built")
def test_both_scanners_read_the_same(capture):
    assert read_capture(capture, scanner="c") == read_capture(capture, scanner="python")
