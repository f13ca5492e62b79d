"""How complete the traffic evidence is: one row per session.

Facts about endpoints are only as good as this table: what was not captured, not read or not named
stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from echoaudit.outcomes.exports import problems
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import SESSION, Session, sessions

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "captures"
REPORT = "capture.json"
WAYS = {
    "quic": "QUIC (UDP to port 443)",
    "dot": "DNS over TLS (port 853)",
    "doh": "DNS over HTTPS with known resolvers",
}
"""What a gateway drops or forwards, in words, by its name in ``capture.json``."""
POLICIES = ("drop", "forward")
KILLED = "the run was killed during the capture"
TABLE = Schema(
    NAME,
    "How complete the traffic evidence is: one row per session.",
    (
        Column("session", "string", "Step id of the session."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("kind", "string", "`session`, `stream` or `idle`."),
        Column(
            "status",
            "string",
            "`complete`; `partial` when the capture holds, or should hold, more than could be "
            "read; `missing` when there is none or it is no capture.",
        ),
        Column(
            "problem", "string", "What is missing, could not be read or is hidden, with counts."
        ),
        Column("packets", "int", "Packets in the capture."),
        Column("bytes", "int", "Their bytes as sent.", "bytes"),
        Column("dropped", "int", "Packets that the capturing machine says it lost."),
        Column("first", "float", "First packet.", "s since 1970"),
        Column("last", "float", "Last packet.", "s since 1970"),
        Column("flows", "int", "The device's connections beyond its own network."),
        Column("flows_named", "int", "Those that a witness names."),
        Column("flow_bytes", "int", "Bytes of these connections, both ways.", "bytes"),
        Column("named_bytes", "int", "Bytes of the named ones.", "bytes"),
        Column("local_flows", "int", "The device's talk within its own network."),
        Column("local_bytes", "int", "Bytes of that talk.", "bytes"),
        Column("lookups", "int", "DNS questions of the device in the capture."),
        *(
            column
            for way, what in WAYS.items()
            for column in (
                Column(
                    f"{way}_policy",
                    "string",
                    f"What the gateway did with {what}: `drop` or `forward`; null when none says.",
                ),
                Column(
                    f"{way}_packets",
                    "int",
                    f"The device's packets of {what} that met this policy, by the gateway's count; "
                    "null when none says.",
                ),
            )
        ),
        Column(
            "redirected_dns",
            "int",
            "DNS packets to other resolvers that the gateway answered itself; null when none says.",
        ),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The completeness of each session's traffic evidence."""
    return TABLE.conform(_row(session) for session in sessions(recording))


def _row(session: Session) -> dict[str, Any]:
    step, traffic = session.step, session.traffic
    report = _report(session)
    dropped = _dropped(session, report)
    flows = [(flow.bytes_up + flow.bytes_down, named.host) for flow, named in session.flows]
    notes = traffic.notes if traffic else None
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "kind": step.kind,
        "status": _status(session, dropped),
        "problem": "; ".join((*(notes.lines() if notes else [session.problem]), *_lost(session))),
        "packets": traffic.packets if traffic else 0,
        "bytes": traffic.octets if traffic else 0,
        "dropped": dropped,
        "first": traffic.first if traffic else None,
        "last": traffic.last if traffic else None,
        "flows": len(flows),
        "flows_named": sum(1 for _, host in flows if host),
        "flow_bytes": sum(size for size, _ in flows),
        "named_bytes": sum(size for size, host in flows if host),
        "local_flows": len(session.local),
        "local_bytes": sum(flow.bytes_up + flow.bytes_down for flow in session.local),
        "lookups": len(session.lookups),
        **{name: value for way in WAYS for name, value in _policy(report, way).items()},
        "redirected_dns": _counted(report.get("redirected_dns")),
    }


def _report(session: Session) -> Mapping[str, Any]:
    """What the capturing machine says of the session; empty when it says nothing."""
    found = session.step.json(REPORT) if session.step.has(REPORT) else None
    return found if isinstance(found, dict) else {}


def _policy(report: Mapping[str, Any], way: str) -> dict[str, Any]:
    said = report.get(way)
    policy = said.get("policy") if isinstance(said, dict) else None
    known = isinstance(policy, str) and policy in POLICIES
    return {
        f"{way}_policy": policy if known else None,
        f"{way}_packets": _counted(said) if known else None,
    }


def _counted(said: Any) -> int | None:
    """Packets that the gateway's firewall counted."""
    found = said.get("packets") if isinstance(said, dict) else None
    return found if _is_number(found) and 0 <= found < 2**63 else None


def _status(session: Session, dropped: int) -> str:
    if session.traffic is None:
        return "missing"
    partial = dropped or session.traffic.notes.partial or _was_killed(session)
    return "partial" if partial else "complete"


def _dropped(session: Session, report: Mapping[str, Any]) -> int:
    """Packets lost, as the capture itself or the program that wrote it says."""
    in_file = session.traffic.notes.dropped if session.traffic else 0
    counts = report.get("packets")
    losses = counts.items() if isinstance(counts, dict) else ()
    said = [n for name, n in losses if name.startswith("dropped") and _is_number(n) and n > 0]
    return max(in_file, sum(map(int, said)))


def _lost(session: Session) -> tuple[str, ...]:
    """What a kill or an import left out, beyond what is said of the capture anyway."""
    known = session.traffic.notes.lines() if session.traffic else []
    told = [KILLED] if _was_killed(session) else []
    return tuple(line for line in (*problems(session.step), *told) if line not in known)


def _was_killed(session: Session) -> bool:
    """Whether it is part of a session whose capture was killed, so that its end may be missing."""
    about = session.step.json(SESSION) if session.step.has(SESSION) else None
    is_part = isinstance(about, dict) and bool(about.get("part_of"))
    return is_part and not session.step.has(REPORT)


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
