"""Switching the lab on: accounts, sound, network, cloud and speakers of one study."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from echoaudit.errors import EchoauditError, Unavailable
from echoaudit.lab import namespaces, topology
from echoaudit.lab.accounts import make_accounts, read_accounts, write_accounts, write_sign_in
from echoaudit.lab.acoustics import acoustics
from echoaudit.lab.air import INSTALL as INSTALL_SOUND
from echoaudit.lab.air import Air, server_of, socket_of
from echoaudit.lab.authority import load_or_make
from echoaudit.lab.machine import Machine
from echoaudit.lab.prebid import bundle
from echoaudit.lab.truth import write_world
from echoaudit.lab.world import World, load_world
from echoaudit.lab.world_settings import BLOCKED
from echoaudit.lab.world_settings import overlay as world_overlay
from echoaudit.study import LoadedStudy
from echoaudit.study.models import Config, LabSettings
from echoaudit.study.plan import accounts as accounts_of
from echoaudit.study.plan import speakers

Found = tuple[str, str, str, str | None]
AIR = Path("/run/echoaudit-air")
"""On the machine's private /run: a socket's path must be short and without blanks, and a process
number left by a killed run would belong to somebody else in the next."""
SOUND_PROGRAMS = ("pulseaudio", "pactl", "pacat")
PROXY_CERTIFICATE = "mitmproxy-ca-cert.pem"


def overlay(study: LoadedStudy, config: Config, state: Path) -> dict[str, Any]:
    """Settings that lead the instruments to the lab: plain configuration values.

    Reads the world's file only; ``state`` is the folder that `boot` will use.

    Raises:
        BadInput: the world's file is faulty.
    """
    state = state.absolute()
    ours = world_overlay(_world(config), state)
    network = topology.overlay(
        _speakers(study, config),
        trusting=config.gateway.trusting,
        upstream_authority=state / "ca" / "ca.pem",
        proxy_authority=state / "proxy",
    )
    gateway = {**ours["gateway"], **network["gateway"]}
    if "block" in gateway:
        gateway["block"] = [*config.gateway.block, *gateway["block"]]
    return {**ours, **network, **_sound_devices(_settings(config)), "gateway": gateway}


def _sound_devices(settings: LabSettings) -> dict[str, Any]:
    if settings.air == "real":
        return {}
    device = {"device": f"unix:{socket_of('{account}', AIR)}"}
    return {"speaker": device, "microphone": device}


@contextmanager
def boot(study: LoadedStudy, config: Config, state: Path) -> Iterator[Callable[[], None]]:
    """Run the lab for a study while the context is open; call it on the lab's own machine.

    What the world must remember over a kill (profiles, cookies, accounts, the truth) is kept in
    ``state``. Yields a function that raises ``Unavailable`` when a part of the world has died.

    Raises:
        Unavailable: a program is missing, or a part of the lab does not start.
    """
    settings = _settings(config)
    state = state.absolute()
    world = _world(config)
    speaking = _speakers(study, config)
    load_or_make(state / "ca")
    (state / BLOCKED).write_text("\n".join([*world.file.blocked, ""]), encoding="ascii")
    write_world(state, world.truth())
    credentials = _write_accounts(state, _accounts(study, config))
    with _air(settings, speaking):
        machine = Machine(
            hosts=world.hosts(),
            accounts=speaking,
            state=state / "machine",
            cloud_command=_cloud_command(study, settings, credentials, state),
            echo_command=lambda account: _echo_command(account, world, config, state),
        )
        with machine:
            yield machine.require_alive


@contextmanager
def _server(settings: LabSettings, accounts: Sequence[str]) -> Iterator[None]:
    with Air(accounts, AIR, acoustics(settings.room).noise) as air:
        os.environ.update(air.environment())
        yield


def _air(settings: LabSettings, accounts: Sequence[str]) -> AbstractContextManager[None]:
    if settings.air == "real":
        return _server(settings, accounts)
    AIR.mkdir(mode=0o700, exist_ok=True)
    return nullcontext()


def check(config: Config) -> list[Found]:
    """What ``echoaudit doctor`` tells about the lab."""
    reason = namespaces.available()
    machine: Found = (
        ("lab-namespaces", "fail", reason, namespaces.fix())
        if reason
        else ("lab-namespaces", "ok", "a network of its own can be made", None)
    )
    return [machine, *check_parts(config)]


def check_parts(config: Config) -> list[Found]:
    """What the lab needs besides a machine to run on; looked at without starting anything."""
    return [_check_world(config), _check_sound_server(config), _check_prebid()]


def _check_world(config: Config) -> Found:
    try:
        world = _world(config)
    except EchoauditError as error:
        return ("lab-world", "fail", str(error), None)
    return ("lab-world", "ok", f"{world.name}: {len(world.hosts())} hosts", None)


def _check_sound_server(config: Config) -> Found:
    if _settings(config).air == "fast":
        return ("lab-air", "ok", "sockets instead of a sound server", None)
    missing = [program for program in SOUND_PROGRAMS if shutil.which(program) is None]
    if missing:
        return ("lab-air", "fail", f"missing programs: {', '.join(missing)}", INSTALL_SOUND)
    return ("lab-air", "ok", "PulseAudio is installed", None)


def _check_prebid() -> Found:
    try:
        bundle()
    except Unavailable as error:
        return ("lab-prebid", "fail", error.message, error.fix)
    return ("lab-prebid", "ok", "Prebid.js is built", None)


def _settings(config: Config) -> LabSettings:
    if config.lab is None:
        raise Unavailable(f"{config.config} has no lab", fix="add lab: {world: paper}")
    return config.lab


def _world(config: Config) -> World:
    return load_world(_settings(config).world)


def _accounts(study: LoadedStudy, config: Config) -> list[str]:
    """Everybody who can sign in."""
    personas = [persona for persona in study.personas if persona.persona.account]
    return [account.id for persona in personas for account in accounts_of(persona, config)]


def _speakers(study: LoadedStudy, config: Config) -> list[str]:
    return [account.id for account in speakers(study, config)]


def _write_accounts(state: Path, accounts: Sequence[str]) -> Path:
    path = state / "accounts.json"
    if not path.exists():
        write_accounts(path, make_accounts(accounts))
    write_sign_in(state, read_accounts(path))
    return path


def _cloud_command(
    study: LoadedStudy, settings: LabSettings, accounts: Path, state: Path
) -> list[str]:
    catalogues = [str(p.persona.skills) for p in study.personas if p.persona.skills is not None]
    return [
        *(sys.executable, "-m", "echoaudit.lab.cloud", "--world", settings.world),
        *("--accounts", str(accounts), "--state", str(state)),
        *("--catalogue", *catalogues),
    ]


def _echo_command(account: str, world: World, config: Config, state: Path) -> list[str]:
    secrets = read_accounts(state / "accounts.json")
    token = state / "echo" / f"{account}.token"
    token.parent.mkdir(mode=0o700, exist_ok=True)
    token.touch(mode=0o600)
    token.write_text(secrets[account].token, encoding="ascii")
    trusts = config.gateway.policy == "trusting" or account in config.gateway.trusting
    extra = ["--extra-ca", str(state / "proxy" / PROXY_CERTIFICATE)] if trusts else []
    return [
        *(sys.executable, "-m", "echoaudit.lab.echo", "--account", account),
        *("--serial", secrets[account].serial, "--token-file", str(token)),
        *("--cloud", world.file.platform.voice, "--ca", str(state / "ca" / "ca.pem"), *extra),
        *("--log", str(state / "truth" / f"contacts-{account}.jsonl")),
        *("--room", _settings(config).room.model_dump_json()),
        *_sound(account, _settings(config)),
    ]


def _sound(account: str, settings: LabSettings) -> list[str]:
    if settings.air == "fast":
        return ["--socket", str(socket_of(account, AIR))]
    return ["--server", str(server_of(account, AIR))]
