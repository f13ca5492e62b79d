"""Who was contacted in which session: one row per session, host (or address) and witness.

The rules are stated in ``docs/outcomes.md``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.exports import LOG
from echoaudit.outcomes.naming import Answer, Named
from echoaudit.outcomes.organisations import directory, party
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import Session, sessions, vendors
from echoaudit.outcomes.traffic import Flow, Lookup
from echoaudit.outcomes.traffic.certificates import certificate_hosts

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "endpoints"
_WHO = (
    Column("session", "string", "Step id of the session."),
    Column("account", "string", "Account whose device it was."),
    Column("persona", "string", "Persona of the account."),
    Column(
        "kind",
        "string",
        "`session` (around a skill), `stream` (of a service) or `idle` (nothing said).",
    ),
    Column("skill", "string", "Id of the skill; empty when idle."),
    Column("host", "string", "Host name; empty when no witness names the address."),
)
_WHOSE = (
    Column("addresses", "string", "Server addresses, in order, separated by spaces."),
    Column("domain", "string", "Registrable domain of the host (public-suffix list)."),
    Column("organisation", "string", "Owner of the name; empty when unknown."),
    Column("parent", "string", "Company that controls the owner; empty when unknown."),
    Column("hosted_by", "string", "Who runs the shared hosting that the name is on; else empty."),
    Column("party", "string", "`platform`, `vendor`, `third` or `unknown`."),
    Column("role", "string", "`functional`, `advertising`, `tracking`, `hosting` or `unknown`."),
    Column("role_source", "string", "The list and rule that say so; empty when none does."),
    Column(
        "witness",
        "string",
        "What names the host: `sni`, `quic`, `http`, `proxy`, `dns`, `earlier-sni`, "
        "`earlier-dns`, `probe`, `reverse-dns`, `none`.",
    ),
    Column(
        "other_names",
        "string",
        "Other names that fit, each with the strongest witness for it: `dns:cdn.example`.",
    ),
    Column(
        "certificate",
        "string",
        "Names on certificates that servers sent in the clear (before TLS 1.3), in order.",
    ),
    Column("aliases", "string", "Canonical names that DNS led to (CNAME)."),
)
_WHAT = (
    Column("contacted", "bool", "Whether the server answered a connection."),
    Column(
        "state",
        "string",
        "`contacted`; or why not: `refused`, `unanswered`, `blocked` (DNS gave a null address), "
        "`resolved` (no connection followed), `unresolved` (DNS gave no address), `asked` (all "
        "that an imported DNS log says).",
    ),
    Column("flows", "int", "Connections."),
    Column("packets", "int", "Packets, both ways."),
    Column("bytes_up", "int", "From the device: frames as sent, headers included.", "bytes"),
    Column("bytes_down", "int", "To the device.", "bytes"),
    Column("payload_up", "int", "From the device, without headers and retransmissions.", "bytes"),
    Column("payload_down", "int", "To the device.", "bytes"),
    Column("first", "float", "First packet, or first look-up.", "s since 1970"),
    Column("last", "float", "Last packet, or last look-up.", "s since 1970"),
    Column("ports", "string", "Protocols and server ports, e.g. `tcp/443`."),
    Column("tls", "string", "TLS versions that servers chose."),
    Column("alpn", "string", "Application protocols negotiated or, in TLS 1.3, offered."),
)
TABLE = Schema(
    NAME,
    "Who was contacted in which session: one row per session, host (or address) and witness.",
    _WHO + _WHOSE + _WHAT,
)
_STATES = ("contacted", "refused", "unanswered")


def derive(recording: Recording) -> pd.DataFrame:
    """The endpoints of a recording's sessions and idle captures."""
    makers = vendors(recording)
    return TABLE.conform(row for session in sessions(recording) for row in _rows(session, makers))


def _rows(session: Session, makers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str, str], list[tuple[Flow, Named]]] = defaultdict(list)
    for flow, named in session.flows:
        groups[named.host, named.witness, "" if named.host else flow.server].append((flow, named))
    aliases = _aliases(session.answers)
    for (host, witness, _), members in groups.items():
        who = _who(session, host, witness, makers)
        yield who | _contact(members) | {"aliases": _joined(aliases[host])}
    connected = {host for host, _, _ in groups}
    for host, state, answers, times in _only_looked_up(session, connected):
        who = _who(session, host, "dns", makers)
        yield who | _no_contact(state, answers, times) | {"aliases": _joined(aliases[host])}


def _who(session: Session, host: str, witness: str, makers: Mapping[str, str]) -> dict[str, Any]:
    found = directory().attribute(host)
    step = session.step
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "kind": step.kind,
        "skill": session.skill,
        "host": host,
        **asdict(found),
        "party": party(found, makers.get(session.skill)),
        "witness": witness,
    }


def _contact(members: list[tuple[Flow, Named]]) -> dict[str, Any]:
    flows = [flow for flow, _ in members]
    state = min((_flow_state(flow) for flow in flows), key=_STATES.index)
    return {
        "addresses": _joined({flow.server for flow in flows}),
        "other_names": _joined({name for _, named in members for name in named.others}),
        "certificate": _joined(
            {name for flow in flows for name in certificate_hosts(flow.certificate)}
        ),
        "contacted": state == "contacted",
        "state": state,
        "flows": len(flows),
        "packets": sum(flow.packets_up + flow.packets_down for flow in flows),
        "bytes_up": sum(flow.bytes_up for flow in flows),
        "bytes_down": sum(flow.bytes_down for flow in flows),
        "payload_up": sum(flow.payload_up for flow in flows),
        "payload_down": sum(flow.payload_down for flow in flows),
        "first": min(flow.first for flow in flows),
        "last": max(flow.last for flow in flows),
        "ports": _joined({f"{flow.protocol}/{flow.server_port}" for flow in flows}),
        "tls": ", ".join(sorted({flow.tls for flow in flows} - {""})),
        "alpn": _joined({one for flow in flows for one in flow.alpn.split(",")}),
    }


def _flow_state(flow: Flow) -> str:
    return flow.state if flow.state in ("refused", "unanswered") else "contacted"


def _no_contact(state: str, addresses: set[str], times: list[float]) -> dict[str, Any]:
    zeros = dict.fromkeys(
        ("flows", "packets", "bytes_up", "bytes_down", "payload_up", "payload_down"), 0
    )
    return {
        "addresses": _joined(addresses),
        "other_names": "",
        "certificate": "",
        "contacted": False,
        "state": state,
        **zeros,
        "first": min(times),
        "last": max(times),
        "ports": "",
        "tls": "",
        "alpn": "",
    }


def _only_looked_up(
    session: Session, connected: set[str]
) -> Iterator[tuple[str, str, set[str], list[float]]]:
    """Names that were asked for but not connected to: name, state, addresses, times."""
    answers: dict[str, list[Answer]] = defaultdict(list)
    for answer in session.answers:
        answers[answer.name].append(answer)
    asked: dict[str, list[Lookup]] = defaultdict(list)
    for one in session.lookups:
        if _is_forward(one):
            asked[one.question].append(one)
    for host in (answers.keys() | asked.keys()) - connected:
        given = answers[host]
        times = [answer.time for answer in given] + [one.time for one in asked[host]]
        state = _lookup_state(given, asked[host])
        yield host, state, {answer.address for answer in given}, times


def _is_forward(one: Lookup) -> bool:
    """Whether a question is for a host's address, beyond the device's own network."""
    local = one.question.endswith((".arpa", ".local", ".lan", ".home")) or "." not in one.question
    return one.type in ("A", "AAAA", "HTTPS") and not local


def _lookup_state(given: list[Answer], asked: list[Lookup]) -> str:
    if not given:
        silent = all(one.transport == LOG and not one.answered for one in asked)
        return "asked" if silent else "unresolved"
    return "blocked" if all(answer.blocked for answer in given) else "resolved"


def _aliases(answers: Iterable[Answer]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        if answer.alias:
            found[answer.name].add(answer.alias)
    return found


def _joined(values: Iterable[str]) -> str:
    return " ".join(sorted(value for value in values if value))
