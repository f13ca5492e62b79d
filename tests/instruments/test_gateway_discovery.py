"""Who is on the network, from ARP answers that scapy builds; asked for real in tests/lab."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from echoaudit.errors import BadInput
from echoaudit.instruments.gateway import check_devices
from echoaudit.instruments.gateway.discovery import Neighbour, compare, discover, neighbours
from echoaudit.instruments.gateway.lan import lan_of
from echoaudit.study.models import GatewaySettings

NETWORK = IPv4Network("192.168.77.0/24")
ECHO = "fc:a1:83:00:00:01"
PHONE = "02:00:00:00:00:09"
DEVICES = {"a-1": ECHO, "b-1": "fc:a1:83:00:00:02"}


def answer(mac: str, ip: str, **fields: Any) -> Any:
    """An ARP answer as it comes from the wire."""
    from scapy.layers.l2 import ARP, Ether

    return Ether(bytes(Ether(src=mac, dst="02:00:00:00:00:01") / _arp(ARP, mac, ip, fields)))


def _arp(layer: Any, mac: str, ip: str, fields: dict[str, Any]) -> Any:
    return layer(**{"op": "is-at", "hwsrc": mac, "psrc": ip, "pdst": "0.0.0.0", **fields})


def test_devices_are_listed_by_address_with_the_vendor_of_their_hardware() -> None:
    seen = [answer(PHONE, "192.168.77.200"), answer(ECHO, "192.168.77.9"), answer(ECHO, "10.0.0.1")]
    assert neighbours([*seen, *seen], NETWORK) == [
        Neighbour(ECHO, "192.168.77.9", "Amazon Technologies Inc."),
        Neighbour(PHONE, "192.168.77.200", None),
    ]


def test_the_sender_counts_not_whom_it_claims_to_be() -> None:
    (found,) = neighbours([answer(PHONE, "192.168.77.9", hwsrc=ECHO)], NETWORK)
    assert found.mac == PHONE


@pytest.mark.parametrize(
    "forged",
    [
        {"plen": 0, "psrc": b"", "pdst": b""},
        {"plen": 16, "ptype": 0x86DD, "psrc": "fe80::1", "pdst": "::"},
        {"plen": 255, "psrc": b"\xff" * 255, "pdst": b""},
        {"ptype": 0xFFFF, "psrc": b"\xc0\xa8\x4d\x09", "pdst": b"", "plen": 4},
        {"hwlen": 0, "hwsrc": b"", "hwdst": b"", "psrc": "1.2.3.4"},
    ],
)
def test_malformed_answers_are_left_out(forged: dict[str, Any]) -> None:
    good = answer(ECHO, "192.168.77.9")
    found = neighbours([answer(PHONE, "192.168.77.9", **forged), good], NETWORK)
    assert [one.mac for one in found] == [ECHO]


def test_packets_cut_short_are_left_out() -> None:
    from scapy.layers.l2 import Ether

    whole = bytes(answer(ECHO, "192.168.77.9"))
    header, address = 14, 32
    cut = [Ether(whole[:length]) for length in range(header, address)]
    assert neighbours(cut, NETWORK) == []
    assert len(neighbours([Ether(whole)], NETWORK)) == 1


def test_a_device_is_here_elsewhere_or_missing() -> None:
    clients = lan_of(GatewaySettings(), {**DEVICES, "c-1": "fc:a1:83:00:00:03"}).clients
    here = [
        Neighbour(ECHO, "192.168.77.10", "Amazon Technologies Inc."),
        Neighbour("fc:a1:83:00:00:02", "192.168.77.44", "Amazon Technologies Inc."),
        Neighbour(PHONE, "192.168.77.200", None),
    ]
    found = list(compare(clients, here))
    assert [(one.name, one.state) for one in found] == [
        ("device-a-1", "ok"),
        ("device-b-1", "warn"),
        ("device-c-1", "warn"),
    ]
    assert found[0].message.endswith("answers at 192.168.77.10")
    assert "answers at 192.168.77.44, its address is 192.168.77.11" in found[1].message
    assert f"{PHONE} (unknown vendor) at 192.168.77.200" in found[2].message
    assert "192.168.77.10" not in found[2].message, "the study's other devices are no candidates"
    assert "devices.c-1.mac" in str(found[2].fix)


def test_a_crowded_network_is_still_one_line() -> None:
    here = [Neighbour(f"02:00:00:00:00:{n:02x}", f"192.168.77.{n}", None) for n in range(100, 200)]
    (found,) = compare(lan_of(GatewaySettings(), {"a-1": ECHO}).clients, here)
    assert "95 more" in found.message
    assert len(found.message) < 400


@pytest.mark.parametrize(
    ("network", "reason"), [("10.0.0.0/8", "16777216 addresses"), ("here", "no IPv4 network")]
)
def test_a_network_that_cannot_be_asked_is_refused(network: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        discover("lan0", network)


def test_where_nobody_can_be_asked_one_line_says_so() -> None:
    (found,) = check_devices(GatewaySettings(lan="nonesuch0"), DEVICES)
    assert found.state == "not here"
    assert "\n" not in found.message
