"""Every connection of every session's capture: one row each, as the reader saw it.

The rules are stated in ``docs/outcomes.md``. ``endpoints`` is the summary that findings keep; this
table is computed when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.sessions import Session, sessions
from echoaudit.outcomes.traffic import Flow
from echoaudit.outcomes.traffic.certificates import certificate_hosts

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

NAME = "flows"
_NAMED = (
    Column("host", "string", "Host name; empty when no witness names the address."),
    Column("witness", "string", "What names the host, as in `endpoints`."),
    Column("other_names", "string", "Other names that fit, as in `endpoints`."),
)
_SEEN = (
    Column("packets_up", "int", "Packets from the device."),
    Column("packets_down", "int", "Packets to the device."),
    Column("bytes_up", "int", "From the device: frames as sent, headers included.", "bytes"),
    Column("bytes_down", "int", "To the device.", "bytes"),
    Column("payload_up", "int", "From the device, without headers and retransmissions.", "bytes"),
    Column("payload_down", "int", "To the device.", "bytes"),
    Column("tls", "string", "TLS version that the server chose."),
    Column("sni", "string", "Server name in the ClientHello, of TLS or QUIC."),
    Column("alpn", "string", "Application protocol negotiated or, in TLS 1.3, those offered."),
    Column("ja4", "string", "JA4 fingerprint of the ClientHello."),
    Column("ech", "bool", "Whether the ClientHello had the extension of Encrypted Client Hello."),
    Column("quic", "string", "QUIC version; empty for anything else."),
    Column("http_host", "string", "Host of the first unencrypted HTTP request."),
    Column("opened", "bool", "Whether its beginning was seen: TCP's handshake, QUIC's Initial."),
    Column(
        "state",
        "string",
        "`established` (a handshake or an answer was seen), `closed` or `reset` (and its end), "
        "`refused` (a reset answered the first packet), `unanswered` (only the client spoke), "
        "`midstream` (TCP that began before the capture), `one-way` (only the server was seen).",
    ),
)
TABLE = Schema(
    NAME,
    "Every connection of a session's device: one row per transport connection.",
    (
        Column("session", "string", "Step id of the session."),
        Column("first", "float", "Its first packet.", "s since 1970"),
        Column("last", "float", "Its last packet.", "s since 1970"),
        Column("account", "string", "Account whose device it was."),
        Column("persona", "string", "Persona of the account."),
        Column("kind", "string", "`session`, `stream` or `idle`."),
        Column("skill", "string", "Id of the skill; empty when idle."),
        Column("protocol", "string", "`tcp` or `udp`."),
        Column("client", "string", "The device's address."),
        Column("client_port", "int", "Its port."),
        Column("server", "string", "The server's address."),
        Column("server_port", "int", "Its port."),
        Column("local", "bool", "Whether it stayed in the device's own network."),
        *_NAMED,
        *_SEEN,
        Column("certificate", "string", "Names on the server's certificate (before TLS 1.3)."),
    ),
)  # fmt: skip
_OF_THE_FLOW = tuple(name for name in TABLE.names if name in Flow._fields and name != "certificate")


def derive(recording: Recording) -> pd.DataFrame:
    """The connections of a recording's sessions and idle captures."""
    import pandas as pd

    # Session by session: what was read of one capture is let go before the next.
    parts = [TABLE.conform(_columns(session)) for session in sessions(recording)]
    return TABLE.conform(pd.concat(parts, ignore_index=True)) if parts else TABLE.empty()


def _columns(session: Session) -> pd.DataFrame:
    """Column by column: a record of its own for each connection would take ten times as much."""
    import pandas as pd

    beyond = [flow for flow, _ in session.flows]
    flows = [*beyond, *session.local]
    near = len(session.local)
    named = [name for _, name in session.flows]
    values: dict[str, list[Any]] = {
        name: [getattr(flow, name) for flow in flows] for name in _OF_THE_FLOW
    }
    values |= {
        "local": [False] * len(beyond) + [True] * near,
        "host": [name.host for name in named] + [""] * near,
        "witness": [name.witness for name in named] + ["none"] * near,
        "other_names": [" ".join(sorted(name.others)) for name in named] + [""] * near,
        "certificate": [" ".join(sorted(certificate_hosts(flow.certificate))) for flow in flows],
    }
    return pd.DataFrame(values).assign(**about(session))


def about(session: Session) -> dict[str, str]:
    """What all rows of a session share."""
    step = session.step
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "kind": step.kind,
        "skill": session.skill,
    }
