"""Who was contacted in which session, and what says so."""

import json

import pandas as pd
import pytest
from captures_kit import (
    ECHO_MAC,
    GATEWAY,
    SERVER,
    START,
    Talk,
    handshake,
    lookup,
    question,
    secure,
    udp,
)
from recordings_kit import SKILL, Staged, event, record

from echoaudit.errors import BadInput
from echoaudit.outcomes import captures, endpoints

OTHER = "198.18.1.6"


def rows(folder, *steps):
    return endpoints.derive(record(folder / "r", *steps))


def only(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_one_contact_with_all_its_facts(tmp_path):
    packets = lookup("api.acmeshoes.example", through=["x.cdn.example"], time=START)
    talk = secure("api.acmeshoes.example", start=START + 1)
    table = rows(tmp_path, Staged("fashion-1/sessions/01-shoes", packets=packets + talk.packets))
    row = only(table)
    assert (row.session, row.account, row.persona) == (
        "fashion-1/sessions/01-shoes",
        "fashion-1",
        "fashion",
    )
    assert (row.kind, row.skill) == ("session", SKILL)
    assert (row.host, row.addresses, row.domain) == (
        "api.acmeshoes.example",
        SERVER,
        "acmeshoes.example",
    )
    assert (row.witness, row.other_names, row.aliases) == ("sni", "", "x.cdn.example")
    assert (row.party, row.role, row.role_source) == ("vendor", "unknown", "")
    assert (row.contacted, row.state, row.flows, row.packets) == (
        True,
        "contacted",
        1,
        len(talk.packets),
    )
    assert row.bytes_up + row.bytes_down == sum(len(data) for _, data in talk.packets)
    assert (row.ports, row.tls) == ("tcp/443", "TLS 1.3")


def test_hosts_on_one_address_are_told_apart_by_sni(tmp_path):
    packets = lookup("a.example") + lookup("b.example", number=8)
    packets += secure("a.example", start=START + 1).packets
    packets += secure("b.example", start=START + 2, port=40001).packets
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=packets))
    assert table[["host", "witness"]].values.tolist() == [
        ["a.example", "sni"],
        ["b.example", "sni"],
    ]
    assert only(table, host="a.example").other_names == "dns:b.example"


def test_without_sni_dns_names_the_flow_and_without_dns_nothing_does(tmp_path):
    up, down = handshake(None, "1.3")
    nameless = Talk(start=START + 1).open().send(True, up).send(False, down)
    stranger = Talk(start=START + 1, server="203.0.113.9", port=40002).open().send(True, up)
    later = lookup("late.example", "203.0.113.9", time=START + 9, number=9)
    packets = lookup("a.example") + nameless.packets + stranger.packets + later
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=packets))
    assert only(table, addresses=SERVER, contacted=True)[["host", "witness"]].tolist() == [
        "a.example",
        "dns",
    ]
    unnamed = only(table, host="")
    assert (unnamed.addresses, unnamed.witness, unnamed.party) == ("203.0.113.9", "none", "unknown")
    assert only(table, host="late.example").state == "resolved"


def test_an_address_used_again_belongs_to_its_latest_name(tmp_path):
    up, down = handshake(None, "1.3")

    def nameless(start, port):
        return Talk(start=start, port=port).open().send(True, up).send(False, down).packets

    packets = lookup("old.example") + nameless(START + 1, 40000)
    packets += lookup("new.example", time=START + 5, number=8) + nameless(START + 6, 40001)
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=packets))
    assert only(table, host="old.example").flows == 1
    assert only(table, host="new.example").other_names == "dns:old.example"


def test_a_look_up_after_its_beginning_does_not_name_a_connection(tmp_path):
    up, _ = handshake(None, "1.3")
    begun = Talk(start=START + 4).open().send(True, up).packets
    packets = begun + lookup("later.example", time=START + 4.5)
    log = [
        event(START + 2, "query", "first.example"),
        event(START + 2, "reply", "first.example", SERVER),
        event(START + 4.5, "query", "later.example", number=2),
        event(START + 4.5, "reply", "later.example", SERVER, number=2),
    ]
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=packets, names=log))
    assert only(table, contacted=True)[["host", "other_names"]].tolist() == ["first.example", ""]


def test_another_device_s_look_up_names_nothing(tmp_path):
    up, _ = handshake(None, "1.3")
    neighbour = bytes.fromhex("020000000099")
    echo = bytes.fromhex(ECHO_MAC.replace(":", ""))
    foreign = [(t, d.replace(echo, neighbour)) for t, d in lookup("foreign.example")]
    other = [
        (t, d.replace(echo, neighbour)) for t, d in secure("theirs.example", port=41000).packets
    ]
    talk = Talk(start=START + 1).open().send(True, up)
    table = rows(
        tmp_path, Staged("fashion-1/sessions/01-x", packets=foreign + other + talk.packets)
    )
    assert only(table)[["host", "witness"]].tolist() == ["", "none"]


def test_earlier_sessions_of_the_account_name_what_goes_on(tmp_path):
    long = secure("voice.example", start=START)
    begun, later = long.packets[:6], long.packets[6:7]
    later = [(START + 100, later[0][1])]
    up, down = handshake(None, "1.3")
    cached = (
        Talk(start=START + 101, server=OTHER, port=40005).open().send(True, up).send(False, down)
    )
    first = Staged("fashion-1/sessions/01-x", packets=lookup("b.example", OTHER, number=9) + begun)
    second = Staged("fashion-1/sessions/02-y", start=START + 99, packets=later + cached.packets)
    stranger = Staged("vanilla-1/sessions/01-x", start=START + 99, packets=later + cached.packets)
    table = rows(tmp_path, first, second, stranger)
    now = table[table.session == "fashion-1/sessions/02-y"]
    assert now[["host", "witness"]].values.tolist() == [
        ["b.example", "earlier-dns"],
        ["voice.example", "earlier-sni"],
    ]
    assert set(table[table.account == "vanilla-1"].witness) == {"none"}


def test_the_resolver_s_log_stands_in_for_a_missed_answer(tmp_path):
    up, down = handshake(None, "1.3")
    talk = Talk(start=START + 5).open().send(True, up).send(False, down)
    names = [
        event(START + 4, "query", "Asked.Example"),
        event(START + 4, "reply", "asked.example", "<CNAME>"),
        event(START + 4, "reply", "edge.example", SERVER),
        event(START + 4, "query", "ads.example", number=2),
        event(START + 4, "blocked", "ads.example", "0.0.0.0", number=2),
        event(START + 4, "query", "metrics.example", number=3),
        event(START + 4, "blocked", "metrics.example", "NODATA", number=3),
    ]
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=talk.packets, names=names))
    row = only(table, contacted=True)
    assert (row.host, row.witness, row.aliases) == ("asked.example", "dns", "edge.example")
    for blocked in ("ads.example", "metrics.example"):
        row = only(table, host=blocked)
        assert (row.state, row.flows, row.bytes_up, row.bytes_down) == ("blocked", 0, 0, 0)


def test_attempts_that_nobody_answered_are_no_contact(tmp_path):
    packets = Talk().send(True, flags="S").packets
    packets += Talk(port=40001, server=OTHER).send(True, flags="S").send(False, flags="RA").packets
    packets += [udp(True, question("gone.example"))]
    table = rows(tmp_path, Staged("fashion-1/sessions/01-x", packets=packets))
    assert not table.contacted.any()
    assert sorted(table.state) == ["refused", "unanswered", "unresolved"]


def test_local_talk_is_apart(tmp_path):
    packets = [
        udp(True, b"x" * 300, port=68, server="255.255.255.255", server_port=67),
        udp(True, question("printer.local"), port=5353, server="224.0.0.251", server_port=5353),
        udp(True, b"M-SEARCH", port=50001, server="239.255.255.250", server_port=1900),
        udp(True, question("a.local"), server=GATEWAY),
        *Talk(server="192.168.77.20", server_port=8009).open().packets,
        *secure("a.example", port=40009).packets,
    ]
    recording = record(
        tmp_path / "r", Staged("fashion-1/sessions/00-idle", "idle", packets=packets, skill=None)
    )
    table = endpoints.derive(recording)
    assert only(table)[["host", "kind", "skill"]].tolist() == ["a.example", "idle", ""]
    row = only(captures.derive(recording))
    assert (row.flows, row.local_flows, row.status) == (1, 5, "complete")
    assert row.packets == len(packets)
    assert row.named_bytes == row.flow_bytes > 0


def test_missing_and_partial_evidence_is_visible(tmp_path):
    good = secure("a.example").packets
    cut = Staged("fashion-1/sessions/02-y", packets=good)
    cut.files["traffic.pcapng"] = cut.files["traffic.pcapng"][:-7]
    junk = Staged("fashion-1/sessions/03-z", packets=good)
    junk.files["traffic.pcapng"] = b"not a capture"
    lossy = Staged(
        "fashion-1/sessions/04-w",
        packets=good,
        capture_json={"packets": {"captured": 10, "dropped_kernel": 3, "dropped_program": None}},
    )
    recording = record(tmp_path / "r", Staged("fashion-1/sessions/01-x"), cut, junk, lossy)
    table = captures.derive(recording)
    assert table.status.tolist() == ["missing", "partial", "missing", "partial"]
    assert "no capture was recorded" in table.problem[0]
    assert "after the last whole record" in table.problem[1]
    assert "not a pcap" in table.problem[2]
    assert table.dropped.tolist() == [0, 0, 0, 3]
    assert set(endpoints.derive(recording).session) == {cut.step, lossy.step}


def test_what_the_gateway_dropped_or_let_by_is_told_as_far_as_it_is_known(tmp_path):
    said = {
        "quic": {"policy": "drop", "packets": 4, "bytes": 5000},
        "dot": {"policy": "forward", "packets": 0, "bytes": 0},
        "redirected_dns": {"packets": 2, "bytes": 120},
    }
    junk = {
        "quic": {"policy": "maybe", "packets": 4},
        "dot": {"policy": ["drop"], "packets": 4},
        "doh": {"policy": "drop", "packets": 2**70},
        "redirected_dns": "two",
    }
    steps = [
        Staged(f"fashion-1/sessions/0{number}-x", packets=secure("a.example").packets, **files)
        for number, files in enumerate(
            [{"capture_json": said}, {"capture_json": junk}, {"capture_json": []}, {}]
        )
    ]
    columns = [f"{way}_{what}" for way in captures.WAYS for what in ("policy", "packets")]
    table = captures.derive(record(tmp_path / "r", *steps))[[*columns, "redirected_dns"]]
    rows = [[None if pd.isna(v) else v for v in row] for row in table.to_numpy()]
    assert rows[0] == ["drop", 4, "forward", 0, None, None, 2]
    assert rows[1] == [None, None, None, None, "drop", None, None]
    assert rows[2] == rows[3] == [None] * 7


def test_the_same_evidence_gives_the_same_table(tmp_path):
    packets = (
        lookup("a.example") + secure("a.example").packets + secure("b.example", port=40003).packets
    )
    step = Staged("fashion-1/sessions/01-x", packets=packets)
    recording = record(tmp_path / "r", step)
    assert endpoints.derive(recording).equals(endpoints.derive(recording))


def test_a_recording_without_sessions(tmp_path):
    recording = record(tmp_path / "r")
    assert endpoints.derive(recording).equals(endpoints.TABLE.empty())
    assert captures.derive(recording).equals(captures.TABLE.empty())


# --- probes -----------------------------------------------------------------------------------


def probe(question, *names, address=SERVER, port=443):
    return {"time": START, "question": question, "address": address, "port": port, "sni": None,
            "names": list(names), "issuer": None, "failure": None}  # fmt: skip


def probed(folder, *lines, packets=None, names=()):
    up, down = handshake(None, "1.3")
    talk = Talk(start=START + 5).open().send(True, up).send(False, down)
    step = Staged("fashion-1/sessions/01-x", packets=packets or talk.packets, names=names)
    step.files["probes.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    row = only(rows(folder, step), contacted=True)
    return row.host, row.witness, row.other_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["api.shop.com"], ("api.shop.com", "probe", "")),
        (["*.shop.com"], ("shop.com", "probe", "")),
        (["www.shop.com", "api.shop.com"], ("shop.com", "probe", "")),
        (["shop.co.uk", "*.shop.co.uk"], ("shop.co.uk", "probe", "")),
        (["a.shop.com", "b.store.net"], ("", "none", "probe:shop.com probe:store.net")),
        (["localhost"], ("", "none", "")),
        (["*.co.uk", "192.0.2.1", "", "-"], ("", "none", "")),
        ([], ("", "none", "")),
    ],
)
def test_a_certificate_names_a_domain_at_most_unless_it_has_one_name(tmp_path, names, expected):
    assert probed(tmp_path, probe("certificate", *names)) == expected


def test_reverse_dns_is_the_weakest_witness(tmp_path):
    pointer = probe("ptr", "server-1.host.net", port=53)
    assert probed(tmp_path / "a", pointer)[:2] == ("server-1.host.net", "reverse-dns")
    both = probed(tmp_path / "b", probe("certificate", "api.shop.com"), pointer)
    assert both == ("api.shop.com", "probe", "reverse-dns:server-1.host.net")
    answer = [
        event(START + 4, "query", "a.shop.com"),
        event(START + 4, "reply", "a.shop.com", SERVER),
    ]
    told = probed(tmp_path / "c", probe("certificate", "*.shop.com"), pointer, names=answer)
    assert told == ("a.shop.com", "dns", "reverse-dns:server-1.host.net")


def test_a_certificate_is_that_of_its_port_and_failures_name_nothing(tmp_path):
    assert probed(tmp_path / "a", probe("certificate", "a.shop.com", port=8443))[1] == "none"
    failed = probe("certificate") | {"failure": "timeout"}
    assert probed(tmp_path / "b", failed)[1] == "none"


def test_what_is_no_probe_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"probes.jsonl: not a probe"):
        probed(tmp_path, {"question": "certificate"})
