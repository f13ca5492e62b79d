"""``echoaudit gateway``: the speakers' way to the internet between runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.instruments.gateway.keeper import Seen, Status
    from echoaudit.study.models import Config

START_PATIENCE = 60.0
"""Seconds a detached gateway may take to be up."""
DONE = {
    "stopped": "the gateway has ended; its rules, addresses and programs are gone",
    "cleared": "removed what a killed gateway had left behind",
    "nothing": "no gateway was up, and nothing was left behind",
}


@click.group("gateway", short_help="Keep the speakers' network up between runs.")
def command() -> None:
    """Serve the speakers' network between runs, with the gateway that `run` uses.

    A speaker keeps its internet and can be set up. Nothing is recorded or decrypted. Before a run:
    `echoaudit gateway down`.
    """


@command.command("up", short_help="Start the gateway and keep it up.")
@options.config
@click.option("--detach", is_flag=True, help="Return once it is up, and leave it running.")
@options.as_json
def up(config_path: Path, settings: tuple[str, ...], detach: bool, as_json: bool) -> int:
    """Start the gateway and keep it up until Ctrl-C or `echoaudit gateway down`.

    A program that ends, an adapter that is unplugged or a firewall that is flushed by another
    program is noticed, said, and set up again.
    """
    config = _real(config_path, settings)
    if detach:
        return _detached(config_path, settings, config, as_json)
    from echoaudit.instruments.gateway import Gateway, keeper

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())
    macs = {account: device.mac for account, device in config.devices.items()}
    with Gateway(config.gateway, macs, keeper.default_state(), purpose="up") as gateway:
        _show_up(config, as_json)
        keeper.keep(gateway, stop, lambda text: click.echo(options.plain(text), err=True))
    return ExitCode.OK


@command.command("down", short_help="End it, or remove what a killed one left.")
@options.config
@options.as_json
def down(config_path: Path, settings: tuple[str, ...], as_json: bool) -> int:
    """End the gateway, or remove what a killed one left: rules, address, forwarding.

    No configuration is read: what is put back is what the firewall table itself notes.
    """
    from echoaudit.instruments.gateway import keeper

    done = keeper.take_down()
    options.show(as_json, {"done": done}, [DONE[done]])
    return ExitCode.OK


@command.command("status", short_help="Show what runs, who is there, what was counted.")
@options.config
@options.as_json
def status(config_path: Path, settings: tuple[str, ...], as_json: bool) -> int:
    """Show the gateway's state, the devices that answer now, and what was counted of each.

    Exit code 1 when it does not serve although it should, or something was left behind.
    """
    from echoaudit.instruments.gateway import keeper

    config = _real(config_path, settings)
    macs = {account: device.mac for account, device in config.devices.items()}
    found = keeper.look(config.gateway, macs)
    options.show(as_json, found.to_json(), _lines(found))
    return ExitCode.DIFFERENT if found.state in ("trouble", "left behind") else ExitCode.OK


def _real(config_path: Path, settings: tuple[str, ...]) -> Config:
    """The configuration; the lab's is refused, because its gateway lives in a run's namespaces."""
    from echoaudit.study import load_config

    config = load_config(config_path, options.parse_settings(settings))
    if config.lab is not None:
        raise BadInput(
            "is a configuration of the lab, which has its gateway inside; allowed: one of real "
            "devices; example: --config configs/raspberry-pi.yaml",
            file=config_path,
        )
    if config.gateway.remote is not None:
        raise BadInput(
            "names another machine as the gateway, which echoaudit does not start or end; allowed: "
            "no gateway.remote; example: gateway: {lan: wlan0, wan: eth0}",
            file=config_path,
        )
    return config


def _show_up(config: Config, as_json: bool) -> None:
    from echoaudit.instruments.gateway import seat

    holder = seat.holder()
    assert holder is not None
    gateway = config.gateway
    text = f"up: {gateway.address} on {gateway.lan}, internet by {gateway.wan}"
    options.show(
        as_json,
        {"state": "up", "process": holder.pid},
        [f"{text} (process {holder.pid}); end it with: echoaudit gateway down"],
    )
    sys.stdout.flush()


def _detached(config_path: Path, settings: tuple[str, ...], config: Config, as_json: bool) -> int:
    """Run the same command in a session of its own, until it serves or says why not."""
    from echoaudit.instruments.gateway import keeper

    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "echoaudit", "gateway", "up", "--config", str(config_path)]
    state = keeper.default_state()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    messages = state / "up.log"
    with messages.open("wb") as log:
        process = subprocess.Popen(
            [*command, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if not _is_up(process):
        click.echo(messages.read_text(encoding="utf-8", errors="replace").strip(), err=True)
        return process.returncode
    _show_up(config, as_json)
    return ExitCode.OK


def _is_up(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a gateway serves; False when it ended before."""
    from echoaudit.instruments.gateway import seat

    end = time.monotonic() + START_PATIENCE
    while process.poll() is None:
        found = seat.holder()
        if found is not None and found.pid == process.pid and found.about.get("serving"):
            return True
        if time.monotonic() > end:
            process.terminate()
            process.wait()
        time.sleep(0.05)
    return False


def _lines(found: Status) -> Iterator[str]:
    yield f"gateway: {found.state}" + (f", {found.trouble}" if found.trouble else "")
    if found.process is not None and found.since is not None:
        since = datetime.fromtimestamp(found.since, UTC)
        yield f"  process   {found.process}, since {since:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  network   {found.address} on {found.lan}, internet by {found.wan}"
    for name, alive in found.programs.items():
        yield f"  {name:<9} {'runs' if alive else 'has ended'}"
    yield from (_device(one) for one in found.devices)
    if found.state == "left behind":
        yield "  next      echoaudit gateway down"


def _device(one: Seen) -> str:
    name = one.account or "guest"
    where = f"at {one.ip}" if one.ip else "does not answer"
    vendor = f" ({one.vendor})" if one.vendor else ""
    counts = ", ".join(f"{what} {n['packets']}" for what, n in one.counted.items())
    return f"  {name:<9} {one.mac}{vendor} {where}" + (f"; packets: {counts}" if counts else "")
