"""How well findings recover whom the Echos contacted, and why.

Endpoints, roles, blocked names, data types, and which contacts are a skill's.

What of it could be known at all is stated in ``docs/lab.md``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from echoaudit.lab.score import Row, Rows, Score, compare

BOUNDARY = 0.5
"""Seconds around a session's ends in which a connection may or may not leave a packet inside."""
QUIC = "3"
"""The HTTP version that goes over QUIC."""
NULL_ADDRESSES = ("0.0.0.0", "::")
UNKNOWN = "unknown"
BY_ITSELF = ("background", "provision")
"""Causes of contacts that no command set off."""
ASKED_LATER = ("probe", "reverse-dns")
"""Witnesses that are asked about an address after the fact: what they say need not be known."""
Windows = Mapping[str, tuple[str, float, float]]


def score_endpoints(
    found: Iterable[Row],
    contacts: Iterable[Row],
    windows: Windows,
    decrypted: Collection[str] = (),
    asked: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Score:
    """Compare (session, host) pairs; a host that nothing could name counts by its address.

    Args:
        found: rows of the endpoints outcome that were truly contacted (``session``, ``host``,
            ``addresses``, ``witness``).
        contacts: the Echos' own logs (``account``, ``host``, ``started``, ``ended``, ``address``,
            ``looked_up``, ``sni``, ``http``).
        windows: session -> (account, first and last second of its capture).
        decrypted: sessions whose requests could be read.
        asked: sessions in which nameless servers were asked who they are, each with what the
            world's addresses truly answer.

    A connection that only touches a window's end is left out on both sides: whether one of its
    packets fell inside cannot be told from the Echo's log. What can name a connection is stated in
    ``docs/lab.md``. An unnamed server whose host could be named claims nothing, so it is not wrong;
    the host it hides is missed.
    """
    planted, unsure = Rows(), Rows()
    reached = [contact for contact in contacts if not _is_blocked(contact)]
    looked_up = _look_ups(reached)
    hosts: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for session, contact, inside in _placed(reached, windows):
        by_name, by_address = (session, contact["host"]), (session, str(contact.get("address")))
        hosts[by_address].add(contact["host"])
        named = _is_named(contact, looked_up)
        if not named and session in decrypted and contact.get("http") != QUIC:
            # Its request names it, if it was written down before the session was over.
            whole = not contact["open"] and contact["ended"] < windows[session][2] - BOUNDARY
            named = True if whole else None
        said = asked.get(session, {}).get(by_address[1], "")
        by_answer = (session, said) if said and contact.get("http") != QUIC else by_address
        if named is None or not inside:
            unsure |= {by_name, by_address, by_answer}
        else:
            planted.add(by_name if named else by_answer)
    pairs = _named_or_addressed(found, planted, hosts)
    return compare("endpoints", pairs - (unsure - planted), planted)


def _placed(contacts: Iterable[Row], windows: Windows) -> Iterator[tuple[str, Row, bool]]:
    """Each contact in each session that it touches, and whether it was surely inside."""
    for contact in contacts:
        for session, (account, first, last) in windows.items():
            if contact["account"] != account:
                continue
            started, ended = contact["started"], contact["ended"]
            if started < last + BOUNDARY and ended > first - BOUNDARY:
                inside = started < last - BOUNDARY and ended > first + BOUNDARY
                yield session, contact, inside


def _is_blocked(contact: Row) -> bool:
    return contact.get("address") in NULL_ADDRESSES


def _look_ups(contacts: Iterable[Row]) -> dict[tuple[str, str, str], float]:
    """When each account first learned that a host is at an address, by asking."""
    first: dict[tuple[str, str, str], float] = {}
    for contact in contacts:
        if contact.get("looked_up") and contact.get("address"):
            key = (contact["account"], contact["host"], contact["address"])
            first[key] = min(first.get(key, math.inf), contact["started"])
    return first


def _is_named(contact: Row, looked_up: Mapping[tuple[str, str, str], float]) -> bool | None:
    """Whether hello or DNS name the host; None when a killed Echo left that open."""
    if contact.get("sni", True):
        return True
    if contact["open"]:
        return None
    key = (contact["account"], contact["host"], str(contact.get("address")))
    return bool(looked_up.get(key, math.inf) <= contact["started"])


def _named_or_addressed(
    found: Iterable[Row], planted: Rows, hosts: Mapping[tuple[str, ...], set[str]]
) -> Rows:
    """What endpoints claim: hosts; and unnamed servers, where that is right or nobody was.

    ``hosts``: whom the Echo contacted, by session and address.
    """
    pairs: Rows = set()
    for row in found:
        session, host = str(row["session"]), str(row["host"] or "")
        servers = {(session, address) for address in str(row["addresses"]).split()}
        by_address = servers & planted
        if not host:
            pairs |= by_address | (servers - hosts.keys())
        elif row["witness"] in ASKED_LATER and any(host in hosts[pair] for pair in by_address):
            pairs |= by_address
        else:
            pairs.add((session, host))
    return pairs


def score_blocked(found: Iterable[Row], contacts: Iterable[Row], windows: Windows) -> Score:
    """Compare (session, host) pairs that DNS refused.

    Args:
        found: rows of the endpoints outcome whose state is ``blocked`` (``session``, ``host``).
        contacts: the Echos' own logs; a host that was refused has a null address.
        windows: session -> (account, first and last second of its capture).
    """
    planted, unsure = Rows(), Rows()
    asked = [row for row in contacts if _is_blocked(row) and row["looked_up"]]
    for session, contact, inside in _placed(asked, windows):
        (planted if inside else unsure).add((session, contact["host"]))
    pairs: Rows = {(str(row["session"]), str(row["host"])) for row in found}
    return compare("blocked", pairs - (unsure - planted), planted)


def score_roles(found: Iterable[Row], roles: Mapping[str, Row]) -> Score:
    """Compare (host, role) pairs of the hosts that were found.

    Args:
        found: rows of the endpoints outcome (``host``, ``role``).
        roles: of each host of the world what it is for (``role``), and whether public lists are
            known to say so (``listed``).

    ``unknown`` is right for a host that lists need not know; whatever else is said must be true.
    """
    said = {(str(row["host"]), str(row["role"])) for row in found if row["host"] in roles}
    pairs: Rows = {(host, role) for host, role in said if role != UNKNOWN}
    told = {host for host, _ in pairs}
    planted: Rows = {
        (host, roles[host]["role"]) for host, _ in said if roles[host]["listed"] or host in told
    }
    return compare("roles", pairs, planted)


def score_attribution(found: Iterable[Row], contacts: Iterable[Row], windows: Windows) -> Score:
    """Compare the (session, host) pairs that are called a skill's.

    Args:
        found: rows of the table attribution (``session``, ``host``, ``verdict``).
        contacts: the Echos' own logs (``cause`` is ``background``, ``provision`` or a command).
        windows: session -> (account, first and last second of its capture).

    Wrong is ``skill`` where nothing but the Echo itself caused contacts in the session; missed is
    ``background`` where a command did and no Echo ever contacts the host by itself. ``uncertain``
    is neither, and is counted. A host that only the findings or only the log has in the session is
    a matter of endpoints.
    """
    reached = [contact for contact in contacts if not _is_blocked(contact)]
    own = {contact["host"] for contact in reached if contact["cause"] in BY_ITSELF}
    touched, skills, surely = Rows(), Rows(), Rows()
    for session, contact, inside in _placed(reached, windows):
        pair = (session, contact["host"])
        touched.add(pair)
        if contact["cause"] not in BY_ITSELF:
            skills.add(pair)
            surely |= {pair} if inside else Rows()
    said = {(str(row["session"]), str(row["host"])): str(row["verdict"]) for row in found}
    said = {pair: verdict for pair, verdict in said.items() if pair in touched}
    claimed: Rows = {pair for pair, verdict in said.items() if verdict == "skill"}
    denied = {pair for pair, verdict in said.items() if verdict == "background"}
    missed = {pair for pair in denied & surely if pair[1] not in own}
    uncertain = sum(verdict == "uncertain" for verdict in said.values())
    planted: Rows = (claimed & skills) | missed
    score = compare("attribution", claimed, planted)
    return replace(score, uncertain=uncertain)


def score_data_types(found: Iterable[Row], contacts: Iterable[Row], windows: Windows) -> Score:
    """Compare (session, host, kind of data) triples.

    Args:
        found: rows of the data types outcome (``session``, ``host``, ``data_type``).
        contacts: the Echos' own logs (``account``, ``host``, ``ended``, ``open``, ``error``,
            ``data``).
        windows: session -> (account, first and last second), decrypted sessions only.

    A request belongs to the session in which it ended. One that failed or ended at a session's
    end is left out on both sides: what of it came through cannot be told from the Echo's log. What
    went over QUIC passes the gateway unread.
    """
    planted, unsure = Rows(), Rows()
    told = [row for row in contacts if row.get("data") and row.get("http") != QUIC]
    for session, (account, first, last) in windows.items():
        for contact in told:
            ended = contact["ended"]
            if contact["account"] != account or not first - BOUNDARY < ended < last + BOUNDARY:
                continue
            inside = first + BOUNDARY < ended < last - BOUNDARY
            whole = not contact["open"] and contact["error"] is None
            rows = {(session, contact["host"], kind) for kind in contact["data"]}
            if inside and whole:
                planted |= rows
            else:
                unsure |= rows
    triples: Rows = {(str(r["session"]), str(r["host"]), str(r["data_type"])) for r in found}
    return compare("data types", triples - (unsure - planted), planted)
