"""What a gateway needs of this machine, looked at one by one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Interface
from typing import Literal, NamedTuple

from echoaudit.errors import BadInput
from echoaudit.instruments.gateway import links, seat
from echoaudit.instruments.gateway.blocklist import read_blocklists
from echoaudit.instruments.gateway.child import find_program, fix_for
from echoaudit.study.models import GatewaySettings

State = Literal["ok", "warn", "fail", "not here"]

_IP_FREEBIND = 15  # Linux: bind an address that no interface has yet
_PORTS = (
    (socket.SOCK_DGRAM, 53, "DNS"),
    (socket.SOCK_STREAM, 53, "DNS"),
    (socket.SOCK_DGRAM, 67, "DHCP"),
)


class Found(NamedTuple):
    """One thing looked at."""

    name: str
    state: State
    message: str
    fix: str | None = None


def check(settings: GatewaySettings) -> list[Found]:
    """Everything a gateway with these settings needs; nothing is changed."""
    if settings.remote is not None:
        from echoaudit.instruments.gateway import remote

        return list(remote.check(settings.remote))
    found = check_programs(settings)
    for part in (_rights, _interfaces, _alone, _files):
        found.extend(part(settings))
    return found


def check_programs(settings: GatewaySettings) -> list[Found]:
    """The programs that a gateway with these settings starts."""
    return list(_programs(settings))


def _programs(settings: GatewaySettings) -> Iterator[Found]:
    for name in ("setpriv", "ip", "nft", "dnsmasq", "dumpcap"):
        yield _program(name)
    decrypts = settings.policy == "trusting" or settings.trusting
    for name in ("mitmdump", "editcap"):
        if decrypts:
            yield _program(name)
        else:
            yield Found(f"gateway-{name}", "not here", "no device trusts the gateway's authority")


def _program(name: str) -> Found:
    path = find_program(name)
    if path is None:
        return Found(f"gateway-{name}", "fail", f"{name} is missing", fix_for(name))
    return Found(f"gateway-{name}", "ok", path)


def _rights(_settings: GatewaySettings) -> Iterator[Found]:
    missing = links.missing_rights()
    if missing:
        yield Found("gateway-rights", "fail", f"{' and '.join(missing)} missing", "run with sudo")
    else:
        yield Found("gateway-rights", "ok", "may set up networks and record packets")


def _interfaces(settings: GatewaySettings) -> Iterator[Found]:
    here = links.interfaces()
    for setting, name in (("lan", settings.lan), ("wan", settings.wan)):
        if name in here:
            yield Found(f"gateway-{setting}", "ok", name)
        else:
            message = f"no interface {name!r}; here: {', '.join(here) or 'none'}"
            yield Found(f"gateway-{setting}", "fail", message, f"set gateway.{setting}")


def _alone(settings: GatewaySettings) -> Iterator[Found]:
    taken = seat.holder()
    if taken is None:
        yield Found("gateway-alone", "ok", "no other gateway runs here")
        yield from _ports(settings)
    else:
        # Its own name server has the ports.
        yield Found("gateway-alone", "fail", str(taken), taken.fix)


def _ports(settings: GatewaySettings) -> Iterator[Found]:
    try:
        address = IPv4Interface(settings.address)
    except ValueError:
        message = f"{settings.address!r} is no IPv4 address with its network"
        yield Found("gateway-address", "fail", message, "set gateway.address: 192.168.77.1/24")
        return
    for kind, port, service in _PORTS:
        name = f"gateway-port-{port}-{'udp' if kind == socket.SOCK_DGRAM else 'tcp'}"
        problem = _bind_problem(kind, "0.0.0.0" if port == 67 else str(address.ip), port)
        if problem is None:
            yield Found(name, "ok", f"free for {service}")
        elif problem == errno.EADDRINUSE:
            fix = f"stop the other {service} server (ss -lnptu 'sport = :{port}')"
            yield Found(name, "fail", f"another program serves {service}", fix)
        else:
            yield Found(name, "fail", "this user may not use the port", "run with sudo")


def _bind_problem(kind: socket.SocketKind, address: str, port: int) -> int | None:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno
    return None


def _files(settings: GatewaySettings) -> Iterator[Found]:
    if settings.upstream_authority is not None and not settings.upstream_authority.is_file():
        message = f"{settings.upstream_authority} is missing"
        yield Found("gateway-authority", "fail", message, "set gateway.upstream_authority")
    if settings.block:
        yield _attempt("gateway-block", lambda: f"{len(read_blocklists(settings.block))} domains")


def _attempt(name: str, look: Callable[[], str]) -> Found:
    try:
        return Found(name, "ok", look())
    except BadInput as error:
        return Found(name, "fail", str(error), "mend or remove the list in gateway.block")
