"""Connections whose protocol hides names from whoever watches the network."""

from __future__ import annotations

from echoaudit.outcomes.traffic.flows import Flow
from echoaudit.resolvers import is_doh

_DOT_PORT = 853


def hides(flow: Flow) -> str:
    """What hides names in a flow; empty when nothing does.

    DNS over TLS (RFC 7858) and QUIC (RFC 9250) are known by their port, Encrypted ClientHello by
    its extension; clients also send that as a decoy (GREASE), and then the name is the true one.
    DNS over HTTPS (RFC 8484) is known by the resolver's name only, so others stay unseen.
    """
    if flow.server_port == _DOT_PORT:
        return "DNS over TLS" if flow.protocol == "tcp" else "DNS over QUIC"
    if flow.server_port == 443 and is_doh(flow.sni):
        return "DNS over HTTPS"
    return "Encrypted ClientHello" if flow.ech else ""
