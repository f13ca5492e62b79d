"""``echoaudit doctor``: what this machine has and needs."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, EchoauditError, ExitCode, Unavailable

if TYPE_CHECKING:
    from echoaudit.study.models import Config

EXTRAS = {
    "voice": ("pyaudio", "gtts", "soundfile", "moonshine_voice", "webrtcvad"),
    "gateway": ("mitmproxy",),
    "web": ("selenium", "websocket"),
}
LAB_EXTRA = (
    "hypercorn", "starlette", "python_multipart", "httpx", "pymicro_wakeword", "pocketsphinx",
    "rapidfuzz",
)  # fmt: skip
EXAMPLE = "echoaudit doctor browser"
SPACE_NEEDED = 2 * 1024**3
LEAST_SPACE = 100 * 1024**2
"""Less does not hold the browsers' profiles, so a run is not begun."""
MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "not here": "-"}


@dataclass(frozen=True)
class Check:
    """One thing looked at: its state, what was found, and the command that mends it."""

    name: str
    state: str
    message: str
    fix: str | None = None


Look = Callable[["Config"], Iterable[Check]]
"""Looks at one part of the machine; raises what it cannot tell as a check."""


@click.command("doctor", short_help="Check what this machine has and needs.")
@click.argument("names", nargs=-1, metavar="[CHECK]...")
@options.config
@options.as_json
def command(
    names: tuple[str, ...], config_path: Path, settings: tuple[str, ...], as_json: bool
) -> int:
    """Check what the configuration needs; each fault comes with the command that mends it.

    Name CHECKs to see only those. Exit code 3 when one fails.
    """
    from echoaudit.study import load_config

    config = load_config(config_path, options.parse_settings(settings))
    checks = _named(list(_all(config)), names)
    width = max((len(check.name) for check in checks), default=0)
    lines = [line for check in checks for line in _lines(check, width)]
    failed = sum(check.state == "fail" for check in checks)
    lines.append(f"{config.config}: {failed} failed" if failed else f"{config.config}: ready")
    options.show(as_json, [asdict(check) for check in checks], lines)
    return ExitCode.UNAVAILABLE if failed else ExitCode.OK


def _named(checks: list[Check], names: Sequence[str]) -> list[Check]:
    """The checks whose names begin with one of ``names``; all without names."""
    for name in names:
        if not any(check.name.startswith(name) for check in checks):
            known = ", ".join(sorted({check.name for check in checks}))
            raise BadInput(f"no check is called {name!r}; allowed: {known}; example: {EXAMPLE}")
    return [c for c in checks if not names or any(c.name.startswith(name) for name in names)]


def _lines(check: Check, width: int) -> Iterator[str]:
    yield f"{MARKS[check.state]:<5} {check.name:<{width}}  {check.message}"
    if check.fix and check.state in ("warn", "fail"):
        yield f"{'':<5} {'':<{width}}  fix: {check.fix}"


def _all(config: Config) -> Iterator[Check]:
    groups: list[tuple[str, Look]] = [
        ("extras", _extras),
        ("disk", _disk),
        ("browser", _browser),
        ("voice", _voice),
        ("transcriber", _transcriber),
    ]
    if config.lab is not None:
        groups += [("gateway", _gateway_programs), ("lab", _lab)]
    else:
        groups += [("gateway", _gateway), ("sound", _sound), ("accounts", _accounts)]
    for name, look in groups:
        try:
            yield from look(config)
        except Unavailable as error:
            yield Check(name, "fail", error.message, error.fix)
        except EchoauditError as error:
            yield Check(name, "fail", str(error))
        except Exception as error:  # noqa: BLE001 - a check that crashes is itself a finding
            yield Check(name, "fail", f"the check itself failed: {type(error).__name__}: {error}")


def require(config: Config, recording: Path) -> None:
    """Refuse before a run begins what would stop it later, perhaps after hours.

    Looks at what is quickly looked at: no browser is started and no speaker is called.

    Raises:
        BadInput: a setting cannot work, such as a voice that the engine lacks.
        Unavailable: the first thing that is missing.
    """
    _require_space(recording)
    if config.lab is None and config.gateway.remote is None:
        _require_alone()
    looks: list[Look] = [_extras, _browser_programs, _voice, _transcriber]
    if config.lab is not None:
        looks += [_gateway_programs, _lab_parts]
    else:
        looks += [_gateway, _sound, _secrets]
    for look in looks:
        for check in look(config):
            if check.state == "fail":
                raise Unavailable(check.message, fix=check.fix)


def _require_alone() -> None:
    from echoaudit.instruments.gateway import seat

    seat.require_free()


def _extras(config: Config) -> Iterator[Check]:
    wanted = dict(EXTRAS)
    if config.lab is not None:
        wanted["lab"] = LAB_EXTRA
    for extra, modules in wanted.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            fix = f"pip install 'echoaudit[{extra}]'"
            yield Check(f"extra-{extra}", "fail", f"missing: {', '.join(missing)}", fix)
        else:
            yield Check(f"extra-{extra}", "ok", ", ".join(modules))


def _disk(config: Config) -> Iterator[Check]:
    free = free_space(config.folders.recordings)
    state = "ok" if free > SPACE_NEEDED else "warn"
    message = f"{free / 1024**3:.1f} GiB free for {config.folders.recordings}"
    yield Check("disk", state, message, "free some space or set folders.recordings")


def _require_space(recording: Path) -> None:
    free = free_space(recording)
    if free < LEAST_SPACE:
        raise Unavailable(
            f"only {free / 1024**2:.0f} MiB are free for {recording}",
            fix=f"free {LEAST_SPACE // 1024**2} MiB, then run the same command",
        )


def free_space(folder: Path) -> int:
    """Bytes that are free where ``folder`` is, or will be."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _browser(config: Config) -> Iterator[Check]:
    from echoaudit.instruments.browser import check

    yield from (Check(*found) for found in check(config.browser))


def _browser_programs(config: Config) -> Iterator[Check]:
    from echoaudit.instruments.browser import chromium

    found = chromium.find(config.browser)
    yield Check("browser", "ok", f"Chromium {found.version} at {found.binary}")


def _voice(config: Config) -> Iterator[Check]:
    from echoaudit.instruments import voices

    voices.check(config.speaker)
    voices.synthesise("check", config.speaker)
    yield Check("voice", "ok", f"{config.speaker.engine} speaks")


def _transcriber(config: Config) -> Iterator[Check]:
    from echoaudit.instruments import transcribe

    transcribe.check(config.microphone.transcriber)
    yield Check("transcriber", "ok", f"{config.microphone.transcriber} is loaded")


def _sound(config: Config) -> Iterator[Check]:
    from echoaudit.instruments import microphone, speaker

    for account in config.devices or ("account",):
        speaker.check(config.speaker, account)
        microphone.check(config.microphone, account)
        yield Check(f"sound-{account}", "ok", "loudspeaker and microphone are there")


def _gateway(config: Config) -> Iterator[Check]:
    from echoaudit.instruments.gateway import check

    yield from (Check(*found) for found in check(config.gateway))


def _gateway_programs(config: Config) -> Iterator[Check]:
    from echoaudit.instruments.gateway import check_programs

    yield from (Check(*found) for found in check_programs(config.gateway))


def _accounts(config: Config) -> Iterator[Check]:
    from echoaudit.instruments.gateway import check_devices

    if not config.devices:
        fix = "list each account's speaker under devices: in the configuration"
        yield Check("devices", "fail", "no speaker is named", fix)
    else:
        yield Check("devices", "ok", f"{len(config.devices)} speakers named")
        macs = {account: device.mac for account, device in config.devices.items()}
        yield from (Check(*found) for found in check_devices(config.gateway, macs))
    yield from _secrets(config)


def _secrets(config: Config) -> Iterator[Check]:
    if config.sign_in is None:
        yield Check("sign-in", "warn", "accounts' browsers will not be signed in", "set sign_in:")
    elif config.sign_in.secrets is None:
        yield Check("sign-in", "ok", "by hand: echoaudit login ACCOUNT")
    elif not config.sign_in.secrets.is_file():
        fix = "write it: {account: {username, password}}, chmod 600"
        yield Check("sign-in", "fail", f"{config.sign_in.secrets} is missing", fix)
    elif config.sign_in.secrets.stat().st_mode & 0o077:
        fix = f"chmod 600 {config.sign_in.secrets}"
        yield Check("sign-in", "fail", f"{config.sign_in.secrets} can be read by others", fix)
    else:
        yield Check("sign-in", "ok", f"secrets in {config.sign_in.secrets}")


def _lab(config: Config) -> Iterator[Check]:
    from echoaudit.lab import startup

    yield from (Check(*found) for found in startup.check(config))


def _lab_parts(config: Config) -> Iterator[Check]:
    from echoaudit.lab import startup

    yield from (Check(*found) for found in startup.check_parts(config))
