"""Every name that a session's device asked for: one row per question.

The rules are stated in ``docs/outcomes.md``. Like ``flows``, computed when it is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.exports import LOG
from echoaudit.outcomes.flows import about
from echoaudit.outcomes.naming import Answer, answers_of
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import Session, sessions

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "names"
TABLE = Schema(
    NAME,
    "Every name that a session's device asked for: one row per DNS question.",
    (
        Column("session", "string", "Step id of the session."),
        Column(
            "time",
            "float",
            "When it was asked; when it was answered if only that was seen.",
            "s since 1970",
        ),
        Column("question", "string", "The name that was asked for."),
        Column("type", "string", "Type of the question: `A`, `AAAA`, `HTTPS`, …; empty in a log."),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("kind", "string", "`session`, `stream` or `idle`."),
        Column("skill", "string", "Id of the skill; empty when idle."),
        Column("client", "string", "The device's address; empty when only a log tells."),
        Column("server", "string", "The resolver's address; empty when only a log tells."),
        Column(
            "transport",
            "string",
            "`udp` or `tcp` in a capture; `log` when only a resolver's log tells.",
        ),
        Column("answered", "bool", "Whether an answer was seen."),
        Column("rcode", "int", "Response code (0 no error, 3 no such name); missing if unknown."),
        Column("addresses", "string", "Addresses in the answer, separated by spaces."),
        Column("chain", "string", "Canonical names that led there (CNAME), in order."),
        Column("blocked", "bool", "Whether the resolver blocked it (null addresses)."),
    ),
)


def derive(recording: Recording) -> pd.DataFrame:
    """The questions of a recording's sessions, from captures and from resolvers' logs."""
    return TABLE.conform(row for session in sessions(recording) for row in _rows(session))


def _rows(session: Session) -> Iterator[dict[str, Any]]:
    shared = about(session)
    for one in session.lookups:
        yield shared | {
            "time": one.time,
            "question": one.question,
            "type": one.type,
            "client": one.client,
            "server": one.server,
            "transport": one.transport,
            "answered": one.answered,
            "rcode": one.rcode if one.answered else None,
            "addresses": " ".join(one.addresses),
            "chain": " ".join(one.chain),
            "blocked": one.blocked,
        }
    for (time, question), answers in _only_logged(session).items():
        yield shared | {
            "time": time,
            "question": question,
            "type": "",
            "client": "",
            "server": "",
            "transport": LOG,
            "answered": True,
            "rcode": None,
            "addresses": " ".join(sorted({one.address for one in answers} - {""})),
            "chain": " ".join(sorted({one.alias for one in answers} - {""})),
            "blocked": all(one.blocked for one in answers),
        }


def _only_logged(session: Session) -> dict[tuple[float, str], list[Answer]]:
    """Answers that no capture has, by time and name."""
    seen = set(answers_of(session.lookups))
    found: dict[tuple[float, str], list[Answer]] = defaultdict(list)
    for one in session.answers:
        if one not in seen:
            found[one.time, one.name].append(one)
    return found
