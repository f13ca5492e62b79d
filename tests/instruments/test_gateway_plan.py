"""The gateway on paper: addresses, rules, DNS and block lists."""

import itertools
import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from echoaudit.errors import BadInput, Unavailable
from echoaudit.instruments.gateway import Gateway, check, doh, resolver, rules
from echoaudit.instruments.gateway.blocklist import is_blocked, parse_blocklist, read_blocklists
from echoaudit.instruments.gateway.lan import lan_of
from echoaudit.resolvers import RESOLVERS
from echoaudit.study.models import GatewaySettings

DEVICES = {"b-1": "fc:a1:83:00:00:02", "a-1": "FC:A1:83:00:00:01"}


def settings(**values: object) -> GatewaySettings:
    return GatewaySettings.model_validate(values)


# --- addresses and policies -------------------------------------------------------------------


def test_devices_have_fixed_addresses_whatever_their_order() -> None:
    one = lan_of(settings(), DEVICES)
    other = lan_of(settings(), dict(reversed(DEVICES.items())))
    assert [(c.account, c.mac, c.ip) for c in one.clients] == [
        ("a-1", "fc:a1:83:00:00:01", "192.168.77.10"),
        ("b-1", "fc:a1:83:00:00:02", "192.168.77.11"),
    ]
    assert one == other


def test_the_gateways_own_address_is_never_given_away() -> None:
    lan = lan_of(settings(address="10.0.0.10/24"), DEVICES)
    assert [c.ip for c in lan.clients] == ["10.0.0.11", "10.0.0.12"]


def test_guests_and_devices_do_not_overlap() -> None:
    devices = {f"p-{n}": f"fc:a1:83:00:01:{n:02x}" for n in range(170)}
    lan = lan_of(settings(), devices)
    last = max(int(c.ip.split(".")[-1]) for c in lan.clients)
    assert last < int(str(lan.guests[0]).split(".")[-1])
    with pytest.raises(BadInput, match="has room for"):
        lan_of(settings(address="192.168.77.1/27"), devices)


def test_an_account_named_trusting_is_so_whatever_the_policy() -> None:
    lan = lan_of(settings(trusting=("b-1",)), DEVICES)
    assert {c.account: c.policy for c in lan.clients} == {"a-1": "pinned", "b-1": "trusting"}
    assert len(lan_of(settings(policy="trusting"), DEVICES).trusting) == 2


def test_an_account_that_does_not_take_part_may_be_named_trusting() -> None:
    lan = lan_of(settings(trusting=("fashion-1",)), DEVICES)
    assert lan.trusting == ()


@pytest.mark.parametrize("address", ["192.168.77.1", "fe80::1/64", "here", "10.0.0.1/30"])
def test_an_unusable_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match=r"gateway\.address"):
        lan_of(settings(address=address), DEVICES)


def test_two_accounts_cannot_share_a_device() -> None:
    with pytest.raises(BadInput, match="'a-1' and 'b-1' have the same address"):
        lan_of(settings(), {"a-1": "fc:a1:83:00:00:01", "b-1": "FC:A1:83:00:00:01"})


# --- rules ------------------------------------------------------------------------------------


def rules_of(**values: object) -> str:
    lan = lan_of(settings(**values), DEVICES)
    before = rules.Before(
        "lan0", "192.168.77.1/24", forwarding=False, addressed=True, bridge_rules=False
    )
    drops = rules.Drops(quic=True, dot=False, doh=True)
    known = doh.addresses()
    return rules.ruleset(lan, proxy_port=8081, drops=drops, resolvers=known, before=before)


def test_only_trusting_devices_are_redirected() -> None:
    text = rules_of(trusting=("b-1",))
    assert "set trusting { type ether_addr; elements = { fc:a1:83:00:00:02 }; }" in text
    assert "set pinned { type ether_addr; elements = { fc:a1:83:00:00:01 }; }" in text
    pinned = text.index("ether saddr @pinned return")
    assert pinned < text.index("ether saddr @trusting tcp dport { 80, 443 } redirect to :8081")


def test_what_may_pass_is_counted_as_well() -> None:
    lines = rules_of().splitlines()
    quic = next(line for line in lines if "udp dport 443" in line)
    dot = next(line for line in lines if "dport 853" in line)
    assert "update @quic" in quic
    assert quic.endswith("drop")
    assert "update @dot" in dot
    assert dot.endswith("accept")


def test_counts_are_of_one_device_and_one_session() -> None:
    def listing(quic: dict[str, int]) -> str:
        elements = [
            {"elem": {"val": mac, "counter": {"packets": count, "bytes": 10 * count}}}
            for mac, count in quic.items()
        ]
        sets = [{"set": {"name": "quic", "elem": elements}}, {"set": {"name": "dot"}}]
        return json.dumps({"nftables": [{"metainfo": {}}, *sets]})

    before = rules.parse_counters(listing({"fc:a1:83:00:00:01": 2}))
    after = rules.parse_counters(listing({"fc:a1:83:00:00:01": 5, "fc:a1:83:00:00:02": 7}))
    one = rules.counted_since(before, after, "fc:a1:83:00:00:01")
    assert one["quic"] == {"packets": 3, "bytes": 30}
    assert one["dot"] == {"packets": 0, "bytes": 0}
    assert rules.counted_since(before, after, "fc:a1:83:00:00:02")["quic"]["packets"] == 7


def test_known_resolvers_are_of_public_addresses_and_each_listed_once(tmp_path: Path) -> None:
    known = doh.addresses()
    assert all(network.is_global for network in known)
    for one, other in itertools.pairwise(known):
        assert not one.overlaps(other), "nft would refuse the set"
    assert {IPv4Network("8.8.8.8"), IPv4Network("1.1.1.1")} <= set(known)
    names = [name for resolver in RESOLVERS for name in resolver.names]
    assert list(parse_blocklist("\n".join(names), tmp_path / "names")) == names


def test_dns_over_https_is_counted_before_the_proxy_takes_it(tmp_path: Path) -> None:
    line = next(x for x in rules_of(trusting=("b-1",)).splitlines() if "@resolvers" in x)
    assert "update @doh { ether saddr }" in line
    names = tmp_path / "names.jsonl"
    asked = ["dns.google", "x.cloudflare-dns.com", "notdns.google.test", doh.CANARY]
    events = [{"event": "query", "name": name} for name in asked]
    events.append({"event": "blocked", "name": "dns.google"})
    names.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert doh.questions(names) == 3


# --- DHCP and DNS -----------------------------------------------------------------------------


def test_dnsmasq_serves_the_lan_only_and_blocks_every_type() -> None:
    lan = lan_of(settings(dns=("9.9.9.9",)), DEVICES)
    text = resolver.configuration(lan, ("9.9.9.9",), {"ads.test"}, Path("/s/leases")).splitlines()
    assert {"interface=lan0", "except-interface=lo", "bind-interfaces"} <= set(text)
    assert {"address=/ads.test/#", "local=/ads.test/", "server=9.9.9.9"} <= set(text)
    assert "dhcp-host=fc:a1:83:00:00:01,192.168.77.10,15m" in text


def test_a_lease_counts_only_at_the_planned_address(tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    assert not resolver.has_lease(leases, "fc:a1:83:00:00:01", "192.168.77.10")
    leases.write_text("1795449050 fc:a1:83:00:00:01 192.168.77.10 * 01:fc:a1:83:00:00:01\n")
    assert resolver.has_lease(leases, "fc:a1:83:00:00:01", "192.168.77.10")
    assert not resolver.has_lease(leases, "fc:a1:83:00:00:01", "192.168.77.11")


# --- block lists ------------------------------------------------------------------------------


def test_hosts_files_and_plain_lists_are_read() -> None:
    text = "# a list\n127.0.0.1 localhost\n0.0.0.0 Ads.test other.test # why\nplain.test.\n\n::1 x"
    assert list(parse_blocklist(text, Path("x"))) == ["ads.test", "other.test", "plain.test"]


@pytest.mark.parametrize("line", ["||ads.test^", "ads.test evil.test", "address=/x.test/#", "a..b"])
def test_a_line_that_is_no_entry_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"good.test\n{line}\n")
    with pytest.raises(BadInput) as caught:
        read_blocklists([tmp_path / "list"])
    assert caught.value.line == 2


def test_a_list_blocks_names_below_its_own_only() -> None:
    domains = frozenset({"ads.test"})
    assert is_blocked("x.ADS.test", domains)
    assert is_blocked("ads.test", domains)
    assert not is_blocked("bads.test", domains)
    assert not is_blocked("test", domains)


# --- what is missing --------------------------------------------------------------------------


def test_a_missing_interface_ends_before_anything_is_touched(tmp_path: Path) -> None:
    absent = settings(lan="no-such-lan")
    with pytest.raises(Unavailable), Gateway(absent, DEVICES, tmp_path / "state"):
        pass
    assert not (tmp_path / "state").exists()


def test_every_fault_of_the_machine_comes_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("not a domain\n")
    found = check(
        settings(
            lan="no-such-lan", block=(tmp_path / "list",), upstream_authority=tmp_path / "ca.pem"
        )
    )
    failed = {one.name: one.fix for one in found if one.state == "fail"}
    assert {"gateway-lan", "gateway-block", "gateway-authority"} <= set(failed)
    assert all(failed.values())
    assert "here:" in next(one.message for one in found if one.name == "gateway-lan")


def test_a_bad_address_is_a_check_not_a_crash() -> None:
    states = {one.name: one.state for one in check(settings(address="here"))}
    assert states["gateway-address"] == "fail"
