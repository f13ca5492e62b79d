"""``echoaudit login``: a person signs an account in, where a form alone does not do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode, Unavailable

if TYPE_CHECKING:
    from echoaudit.instruments.browser.visit import Visit
    from echoaudit.study.models import BrowserSettings, Config, SignIn

PERSONAS = Path("personas")
"""Where a working directory has its personas."""
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


@click.command("login", short_help="Sign an account in by hand, once.")
@click.argument("account")
@click.option(
    "--patience", type=click.FloatRange(min=1), default=900.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the person.",
)  # fmt: skip
@options.config
def command(account: str, patience: float, config_path: Path, settings: Sequence[str]) -> int:
    """Open the platform's sign-in page in a visible browser with the profile of ACCOUNT.

    Ends when the account is signed in or the window is closed. The profile stays in
    folders.profiles, for its owner only, and is never a part of a recording.
    """
    from echoaudit.study import load_config

    config = load_config(config_path, options.parse_settings(settings))
    profile = _profile(config, config_path, account)
    form = _form(config, config_path)
    if not profile.exists() and (note := _stranger(config, account)):
        click.echo(note, err=True)
    _require_screen()
    shown = config.browser.model_copy(update={"headless": False})
    visit = wait_for_person(shown, form, profile, patience)
    if visit.state != "complete":
        raise Unavailable(f"{account} is not signed in: {visit.reason}", fix="sign in again")
    click.echo(f"{account} is signed in; profile: {profile}")
    return ExitCode.OK


def wait_for_person(
    browser: BrowserSettings, form: SignIn, profile: Path, patience: float
) -> Visit:
    """Show the sign-in page on ``profile`` until somebody has signed in there.

    Raises:
        Unavailable: the browser is missing, or its window was closed before.
    """
    from echoaudit.instruments.browser import Browser, BrowserCrashed
    from echoaudit.instruments.browser.snapshots import Snapshots

    Snapshots(profile.parent).note_use(profile.name)
    profile.mkdir(mode=0o700, parents=True, exist_ok=True)
    profile.chmod(0o700)
    try:
        with Browser(browser, profile, account=profile.name) as opened:
            return opened.await_sign_in(form, patience)
    except BrowserCrashed as gone:
        message = "the window was closed before anybody was signed in"
        raise Unavailable(message, fix="run the same command again") from gone


def _profile(config: Config, path: Path, account: str) -> Path:
    from pydantic import TypeAdapter, ValidationError

    from echoaudit.study.models import AccountName

    try:
        name = TypeAdapter(AccountName).validate_python(account)
    except ValidationError:
        raise BadInput(
            f"found {options.plain(account)!r} for ACCOUNT; allowed: a persona's name, a hyphen "
            "and the account's number; example: fashion-1"
        ) from None
    if config.folders.profiles is None:
        raise BadInput(
            "no folders.profiles: without it each recording has profiles of its own; allowed: a "
            "folder; example: folders: {profiles: profiles}",
            file=path,
        )
    return config.folders.profiles / name


def _stranger(config: Config, account: str) -> str | None:
    """A word on an account that nobody here has; nothing where none are known.

    Known are the configuration's devices and the personas of the working directory.
    """
    from echoaudit.study import load_persona
    from echoaudit.study.faults import suggestion

    try:
        personas = {load_persona(path).name for path in sorted(PERSONAS.glob("*.yaml"))}
    except BadInput:
        return None  # Which there are is not known.
    known = {device.rpartition("-")[0] for device in config.devices} | personas
    persona = account.rpartition("-")[0]
    if not known or persona in known:
        return None
    guess = suggestion(persona, sorted(known))
    return options.plain(
        f"note: no persona {persona!r}{guess} in {PERSONAS}/ or among the configuration's devices; "
        f"{account} gets a profile of its own all the same"
    )


def _form(config: Config, path: Path) -> SignIn:
    if config.sign_in is None:
        example = "sign_in: {url: 'https://platform.example/signin'}"
        raise BadInput(
            f"no sign_in: nothing says where to sign in; allowed: the platform's page; example: "
            f"{example}",
            file=path,
        )
    return config.sign_in


def _require_screen() -> None:
    if not any(os.environ.get(name) for name in SCREENS):
        raise Unavailable(
            "no screen to show a browser on (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            fix="run this at the machine's own screen, or over ssh -X",
        )
