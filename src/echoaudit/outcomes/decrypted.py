"""How far each session's traffic could be looked into: what ``data_types`` rests on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.data_types_read import Reader
from echoaudit.outcomes.exchanges import FILE, PASSED, REFUSED, exchanges
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import KINDS

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "decrypted"
TABLE = Schema(
    NAME,
    "How far each session's traffic could be looked into: one row per session.",
    (
        Column("session", "string", "Step id of the session."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("kind", "string", "`session` or `idle`."),
        Column("policy", "string", "`trusting`, `pinned`, or empty when unknown."),
        Column(
            "status",
            "string",
            "`sealed`: nothing was decrypted; `partial`: a connection was refused or a body could "
            "not be read; `open`: everything that the proxy saw was read.",
        ),
        Column("exchanges", "int", "Exchanges that were decrypted."),
        Column("hosts", "int", "Hosts of these exchanges."),
        Column("refused", "int", "Connections that the device did not let the proxy decrypt."),
        Column("refused_hosts", "string", "Their hosts."),
        Column("body_bytes", "int", "Bytes of what was sent, besides URLs and headers.", "bytes"),
        Column("unread", "int", "Bodies and messages that could not be read whole."),
        Column("problem", "string", "Why, with counts."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """What was decrypted of all sessions and idle captures."""
    return TABLE.conform(_row(step) for step in recording.steps() if step.kind in KINDS)


def _row(step: StepEvidence) -> dict[str, Any]:
    reader, refused, passed = Reader(), Counter[str](), Counter[str]()
    hosts, count, size = set(), 0, 0
    for exchange in exchanges(step):
        if exchange.kind == REFUSED:
            refused[exchange.host or exchange.server] += 1
            continue
        if exchange.kind == PASSED:
            passed[exchange.host or exchange.server] += 1
            continue
        reader.leaves(exchange)
        count += 1
        hosts.add(exchange.host or exchange.server)
        size += len(exchange.body) + sum(len(part.body) for part in exchange.messages)
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "kind": step.kind,
        "policy": _policy(step),
        "status": _status(step, partial=bool(refused or passed or reader.unread)),
        "exchanges": count,
        "hosts": len(hosts),
        "refused": refused.total(),
        "refused_hosts": " ".join(sorted(refused)),
        "body_bytes": size,
        "unread": reader.unread.total(),
        "problem": "; ".join(f"{why}: {n}" for why, n in _problems(reader.unread, passed)),
    }


def _problems(unread: Counter[str], passed: Counter[str]) -> list[tuple[str, int]]:
    """What could not be read, and what was let by undecrypted, with counts."""
    let_by = {f"let by after refusals, {host}": n for host, n in passed.items()}
    return sorted({**unread, **let_by}.items())


def _status(step: StepEvidence, *, partial: bool) -> str:
    if not step.has(FILE):
        return "sealed"
    return "partial" if partial else "open"


def _policy(step: StepEvidence) -> str:
    about = step.json("session.json") if step.has("session.json") else {}
    device = about.get("device") if isinstance(about, dict) else None
    policy = device.get("policy") if isinstance(device, dict) else None
    return policy if policy in ("pinned", "trusting") else ""
