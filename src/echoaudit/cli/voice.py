"""``echoaudit voice``: sound devices, a sentence said aloud, and how loud to speak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.instruments.calibrate import Trial
    from echoaudit.study.models import Config

DEFAULT_ACCOUNT = "account"
"""Stands for the account where none is named and the devices' names have no ``{account}``."""


@click.group("voice", short_help="List sound devices, speak, calibrate.")
def command() -> None:
    """Loudspeakers and microphones."""


@command.command("devices", short_help="List the sound devices there are.")
@options.as_json
def devices(as_json: bool) -> int:
    """List the devices that speaker.device and microphone.device may name."""
    from echoaudit.instruments import audio

    found = audio.devices()
    lines = [f"{device.name}  ({_directions(device.inputs, device.outputs)})" for device in found]
    value = [
        {"name": device.name, "inputs": device.inputs, "outputs": device.outputs}
        for device in found
    ]
    options.show(as_json, value, lines or ["no sound device; fix: plug one in"])
    return ExitCode.OK


def _directions(inputs: int, outputs: int) -> str:
    words = ["microphone"] * bool(inputs) + ["loudspeaker"] * bool(outputs)
    return " and ".join(words) or "neither microphone nor loudspeaker"


@command.command("say", short_help="Say a sentence aloud.")
@click.argument("text")
@click.option("--account", default=DEFAULT_ACCOUNT, help="Whose loudspeaker.")
@options.config
def say(text: str, account: str, config_path: Path, settings: Sequence[str]) -> int:
    """Say TEXT through the configured loudspeaker, in the configured voice."""
    import tempfile

    from echoaudit.instruments.speaker import Speaker

    config = _config(config_path, settings)
    with tempfile.TemporaryDirectory(prefix="echoaudit-") as folder:
        said = Speaker(config.speaker, account).say(text, Path(folder))
    late = f"; {said.dropped} blocks came too late" if said.dropped else ""
    click.echo(f"said {options.plain(said.text)!r} by {said.engine} {said.voice}{late}")
    return ExitCode.OK


@command.command("calibrate", short_help="Find out how loud to speak.")
@click.option("--account", required=True, help="Whose speaker is to wake.")
@options.config
@options.as_json
def calibrate(account: str, config_path: Path, settings: Sequence[str], as_json: bool) -> int:
    """Speak louder and louder until the account's speaker answers; write the gain down.

    speaker.gain is written into the configuration; nothing else in the file changes. One gain
    serves all accounts: loudspeakers and speakers should stand alike.
    """
    import tempfile

    from echoaudit.instruments import microphone, speaker
    from echoaudit.instruments.calibrate import Room
    from echoaudit.instruments.calibrate import calibrate as find

    config = _config(config_path, settings)
    _edited(config_path, 1.0)
    speaker.check(config.speaker, account)
    microphone.check(config.microphone, account)
    with tempfile.TemporaryDirectory(prefix="echoaudit-") as folder:
        room = Room(config.speaker, config.microphone, account, Path(folder))
        found = find(room, lambda trial: click.echo(_told(trial), err=True))
    _write(config_path, found.gain)
    itself = "hears" if found.loudspeaker_heard else "does not hear"
    lines = [
        f"speaker.gain: {found.gain:g} (woke from {found.least:g} on), written to {config_path}",
        f"the microphone {itself} the loudspeaker at this gain",
    ]
    options.show(as_json, asdict(found), lines)
    return ExitCode.OK


def _config(path: Path, settings: Sequence[str]) -> Config:
    from echoaudit.study import load_config

    config = load_config(path, options.parse_settings(settings))
    if config.lab is not None:
        raise BadInput(
            "the lab's rooms exist only while it runs; allowed: a configuration without lab:; "
            "example: --set lab=null --set speaker.device=default",
            file=path,
        )
    return config


def _told(trial: Trial) -> str:
    answer = f"answered: {options.plain(trial.reply)!r}" if trial.answered else "no answer"
    return f"  gain {trial.gain:g}: {options.plain(trial.text)!r}, {answer}"


def _edited(path: Path, gain: float) -> str:
    from echoaudit.study.edit import with_setting

    try:
        return with_setting(path.read_text(encoding="utf-8"), "speaker", "gain", f"{gain:g}")
    except BadInput as fault:
        raise BadInput(fault.message, file=path) from fault


def _write(path: Path, gain: float) -> None:
    """Replace the configuration, whole or not at all; it keeps its permissions."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(_edited(path, gain), encoding="utf-8")
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)
