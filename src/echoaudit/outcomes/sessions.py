"""The traffic of each session, read and named once for all outcomes that need it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput
from echoaudit.outcomes.exchanges import exchanges
from echoaudit.outcomes.exports import exported
from echoaudit.outcomes.naming import (
    LOG_DELAY,
    Answer,
    Book,
    Connection,
    Memory,
    Named,
    answers_of,
    answers_of_log,
    name_flow,
    without_seen,
)
from echoaudit.outcomes.probes import probes
from echoaudit.outcomes.traffic import Flow, Lookup, Traffic, read_capture

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

CAPTURE, NAMES, SESSION = "traffic.pcapng", "names.jsonl", "session.json"
OTHER_CAPTURE = "traffic.capture"
"""An imported capture in another format, or compressed."""
KINDS = ("session", "idle", "stream")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_LOCAL_PORTS = frozenset({67, 68, 137, 138, 546, 547, 1900, 5353, 5355})
"""DHCP, NetBIOS, SSDP, mDNS and LLMNR: talk among neighbours."""


@dataclass(frozen=True)
class Session:
    """One session's evidence about traffic, ready for outcomes."""

    step: StepEvidence
    skill: str
    traffic: Traffic | None
    """``None`` when the capture is missing or no capture; ``problem`` then says so."""
    problem: str
    flows: tuple[tuple[Flow, Named], ...]
    """The device's connections beyond its own network."""
    local: tuple[Flow, ...]
    """The device's talk with its gateway and neighbours."""
    lookups: tuple[Lookup, ...]
    answers: tuple[Answer, ...]
    """DNS answers to the device from this session's beginning on."""


def sessions(recording: Recording) -> Iterator[Session]:
    """All sessions and idle captures in the recording's order.

    An account's earlier sessions help to name connections of its later ones.
    """
    memories: dict[str, Memory] = defaultdict(Memory)
    for step in recording.steps():
        if step.kind in KINDS:
            yield _session(step, memories[step.account])


def _session(step: StepEvidence, memory: Memory) -> Session:
    about = _about(step)
    device, address = _device(about)
    logged = list(answers_of_log(step.jsonl(NAMES))) if step.has(NAMES) else []
    traffic, problem = _capture(step, device)
    flows = traffic.flows if traffic else []
    device = device or _most_active(flows)
    own = [flow for flow in flows if _is_of(flow, device, address)]
    looked = [one for one in (traffic.lookups if traffic else ()) if _asked_by(one, device)]
    begin = float(about.get("started") or 0.0) - LOG_DELAY
    memory.book.add(answer for answer in logged if answer.time < begin)
    seen = list(answers_of(looked))
    now = (answer for answer in logged if answer.time >= begin)
    answers = [*seen, *without_seen(now, seen)]
    here = Book()
    here.add(answers)
    decrypted, probed = _requested(step), probes(step)
    beyond = [flow for flow in own if not is_local(flow)]
    named = [(flow, name_flow(flow, here, memory, decrypted, probed)) for flow in beyond]
    memory.keep(named, answers)
    return Session(
        step,
        str(about.get("skill") or ""),
        traffic,
        problem,
        tuple(named),
        tuple(flow for flow in own if is_local(flow)),
        tuple(looked),
        tuple(sorted(answers)),
    )


def _requested(step: StepEvidence) -> dict[Connection, list[str]]:
    """Hosts that requests named, by the connection that carried them."""
    found: dict[Connection, list[str]] = defaultdict(list)
    for exchange in exchanges(step):
        hosts = found[exchange.connection]
        if exchange.host and exchange.host not in hosts:
            hosts.append(exchange.host)
    return found


def _about(step: StepEvidence) -> dict[str, Any]:
    about = step.json(SESSION)
    if not isinstance(about, dict):
        raise BadInput("not an object with the session's account, skill and times", file=SESSION)
    return about


def _device(about: dict[str, Any]) -> tuple[str, str]:
    """MAC and IP address of the session's device, as far as they are known and well-formed."""
    device = about.get("device")
    known = device if isinstance(device, dict) else {}
    mac, address = str(known.get("mac") or "").lower(), str(known.get("ip") or "")
    return (mac if _MAC.fullmatch(mac) else ""), address


def _capture(step: StepEvidence, device: str) -> tuple[Traffic | None, str]:
    name = next((name for name in (CAPTURE, OTHER_CAPTURE) if step.has(name)), None)
    if name is None:
        traffic = exported(step)
        return traffic, "" if traffic else "no capture was recorded"
    try:
        return read_capture(step.path(name), device), ""
    except BadInput as error:
        return None, error.message


def _most_active(flows: list[Flow]) -> str:
    """The MAC that sent and received most beyond its network; empty when frames have none."""
    packets: Counter[str] = Counter()
    for flow in flows:
        if flow.client_mac and not is_local(flow):
            packets[flow.client_mac] += flow.packets_up + flow.packets_down
    return max(sorted(packets), key=lambda mac: packets[mac], default="")


def _is_of(flow: Flow, mac: str, address: str) -> bool:
    if mac and flow.client_mac:
        return flow.client_mac == mac
    return not address or flow.client == address


def _asked_by(one: Lookup, mac: str) -> bool:
    return not mac or not one.client_mac or one.client_mac == mac


def is_local(flow: Flow) -> bool:
    """Whether a flow stays in the device's own network, or is the talk of such networks."""
    if {flow.client_port, flow.server_port} & _LOCAL_PORTS and flow.protocol == "udp":
        return True
    server = ip_address(flow.server)
    if server.is_multicast or server.is_link_local or server.is_unspecified or server.is_loopback:
        return True
    if str(server) == "255.255.255.255":
        return True
    return server in _neighbourhood(flow.client)


def _neighbourhood(address: str) -> Any:
    """The network that a home router gives to its devices, as large as is usual."""
    prefix = 24 if ip_address(address).version == 4 else 64
    return ip_network(f"{address}/{prefix}", strict=False)


def vendors(recording: Recording) -> dict[str, str]:
    """Vendor by skill id, from the catalogues recorded with the study."""
    return {
        str(skill.get("id")): str(skill["vendor"])
        for skill in skills_in(recording.study)
        if isinstance(skill, dict) and skill.get("vendor")
    }


def skills_in(study: Any) -> Iterator[Any]:
    """Entries of all lists under the key ``skills`` anywhere in the study's values."""
    pending = [study]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            skills = value.get("skills")
            yield from skills if isinstance(skills, list) else ()
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
