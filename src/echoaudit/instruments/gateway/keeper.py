"""A gateway that stays up between runs: kept whole, taken down, looked at."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, Literal

from echoaudit.errors import Unavailable
from echoaudit.instruments.gateway import links, restoring, rules, seat
from echoaudit.instruments.gateway.discovery import Neighbour, discover
from echoaudit.instruments.gateway.gateway import Gateway
from echoaudit.instruments.gateway.lan import lan_of
from echoaudit.study.models import GatewaySettings

LOOK_EVERY = 2.0
"""Seconds between two looks at whether everything is as it was set up."""
END_PATIENCE = 20.0

Say = Callable[[str], None]


def default_state() -> Path:
    """Folder of the gateway's messages: ``echoaudit/gateway`` among the user's state."""
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else Path.home() / ".local" / "state"
    return base / "echoaudit" / "gateway"


def keep(gateway: Gateway, stop: threading.Event, say: Say) -> None:
    """Mend the gateway until told to stop: whatever ends, is unplugged or flushed is set up again.

    Args:
        gateway: entered.
        stop: ends it within ``LOOK_EVERY`` seconds.
        say: told once what is wrong, and once that it is no longer.
    """
    while not stop.wait(LOOK_EVERY):
        try:
            gateway.require_whole()
        except Unavailable as error:
            _mend(gateway, error.message, say)


def _mend(gateway: Gateway, fault: str, say: Say) -> None:
    known = gateway.trouble
    if known is None:
        gateway.trouble = fault
        say(f"{fault}; starting again")
    try:
        gateway.renew()
    except Unavailable as error:
        if error.message != known:
            say(str(error))
        gateway.trouble = error.message
    else:
        gateway.trouble = None
        say("the gateway is up again")


Down = Literal["stopped", "cleared", "nothing"]


def take_down() -> Down:
    """End the gateway that stays up, or remove what a killed one left.

    What is put back is what the rules themselves note, so that no configuration is needed.

    Raises:
        Unavailable: a run is the gateway, it does not end, or rights are missing.
    """
    missing = links.missing_rights()
    if missing:
        raise Unavailable(f"this needs {' and '.join(missing)}", fix="run as root (sudo)")
    found = seat.holder()
    if found is None:
        # What watched over a killed gateway may be at it just now.
        with seat.keep_free():
            return "cleared" if restoring.clear() else "nothing"
    if found.purpose == "run":
        raise Unavailable(str(found), fix=found.fix)
    _end(found)
    return "stopped"


def _end(found: seat.Holder) -> None:
    process = os.pidfd_open(found.pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], END_PATIENCE)
    finally:
        os.close(process)
    if not ended:
        raise Unavailable(
            f"the gateway (process {found.pid}) does not end",
            fix=f"kill -9 {found.pid}, then run the same command",
        )
    # It may have been killed meanwhile by somebody less patient.
    with seat.keep_free():
        restoring.clear()


State = Literal["up", "run", "down", "trouble", "left behind"]


@dataclass(frozen=True)
class Seen:
    """A device of the configuration, or one that was found on the network."""

    account: str | None
    mac: str
    ip: str | None
    """Where it answers; None when it does not."""
    vendor: str | None
    counted: Mapping[str, Mapping[str, int]]
    """What the rules counted of it since the gateway started; empty when there are no rules."""


@dataclass(frozen=True)
class Status:
    """What there is of a gateway on this machine."""

    state: State
    process: int | None
    since: float | None
    trouble: str | None
    lan: str
    wan: str
    address: str
    programs: Mapping[str, bool] = field(default_factory=dict)
    """Whether each of its programs runs."""
    devices: tuple[Seen, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def look(settings: GatewaySettings, devices: Mapping[str, str]) -> Status:
    """What runs, who is on the network and what was counted; nothing is changed.

    Args:
        settings: where to look when no gateway runs; else it says itself.
        devices: MAC address of each account's device.

    Raises:
        Unavailable: rights are missing.
    """
    missing = links.missing_rights()
    if missing:
        raise Unavailable(f"this needs {' and '.join(missing)}", fix="run as root (sudo)")
    found = seat.holder()
    about = found.about if found else {}
    lan, address = about.get("lan", settings.lan), about.get("address", settings.address)
    programs, trouble = about.get("programs", {}), about.get("trouble")
    left = rules.present()
    return Status(
        state=_state(found, left, whole=trouble is None and all(programs.values())),
        process=found.pid if found else None,
        since=about.get("since"),
        trouble=trouble,
        lan=lan,
        wan=about.get("wan", settings.wan),
        address=address,
        programs=programs,
        devices=_devices(settings, devices, _here(lan, address), left),
    )


def _state(found: seat.Holder | None, left: bool, *, whole: bool) -> State:
    if found is None:
        return "left behind" if left else "down"
    return found.purpose if whole else "trouble"


def _here(lan: str, address: str) -> list[Neighbour]:
    """Who answers; nobody on an interface that is not there or has no link."""
    try:
        return discover(lan, str(IPv4Interface(address).network))
    except Unavailable:
        return []


def _devices(
    settings: GatewaySettings, devices: Mapping[str, str], here: list[Neighbour], counts: bool
) -> tuple[Seen, ...]:
    counters = rules.counters() if counts else None
    clients = {client.mac: client.account for client in lan_of(settings, devices).clients}
    answers = {one.mac: one for one in here}

    def seen(mac: str) -> Seen:
        one = answers.get(mac)
        counted = rules.counted(counters, mac) if counters else {}
        return Seen(
            clients.get(mac), mac, one.ip if one else None, one.vendor if one else None, counted
        )

    return tuple(seen(mac) for mac in [*clients, *sorted(answers.keys() - clients)])
