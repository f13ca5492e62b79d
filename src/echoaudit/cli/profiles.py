"""``echoaudit profiles``: the browser profiles of a run, and going back to a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.recording import Recording
    from echoaudit.runner.profiles import Known

SHOWN = 12
"""Digits of a hash that people are shown."""


@click.command(
    "profiles", short_help="Browser profiles: as the run left them? Go back to a snapshot."
)
@options.recording
@click.option("--restore", "account", metavar="ACCOUNT", help="Put a snapshot in its place.")
@click.option("--to", "snapshot", metavar="HASH", help="Which; the last one by default.")
@options.as_json
def command(folder: Path, account: str | None, snapshot: str | None, as_json: bool) -> int:
    """Show the browser profiles of RECORDING's accounts; exit 1 when one is not as it was left.

    Snapshots are taken before and after each phase and stay beside the profiles, for their owner
    only. --restore notes in the journal what it did, unless the recording is sealed.
    """
    from echoaudit.recording import Recording
    from echoaudit.runner.profiles import known, place

    recording = Recording.open(folder)
    if account is not None:
        return _restore(recording, account, snapshot)
    if snapshot is not None:
        raise BadInput("--to HASH without --restore ACCOUNT; example: --restore fashion-1")
    profiles = place(recording)
    values = {
        a: _told(profiles, a, told, recording.locked)
        for a, told in sorted(known(recording.events()).items())
    }
    lines = [_line(name, value) for name, value in values.items()]
    options.show(as_json, values, lines or [f"{folder}: no browser has been used yet"])
    as_left = all(value["state"] in ("as left", "in use", "left open") for value in values.values())
    return ExitCode.OK if as_left else ExitCode.DIFFERENT


def _told(place: Path, account: str, told: Known, locked: bool) -> dict[str, Any]:
    from echoaudit.instruments.browser.snapshots import Snapshots

    return {
        "state": _state(place / account, told, locked),
        "hash": told.hash,
        "phases": dict(told.phases),
        "snapshots": sorted(Snapshots(place).kept(account)),
        "altered": list(told.altered),
        "restored": list(told.restored),
        "cookies restored": list(told.cookies),
    }


def _state(profile: Path, told: Known, locked: bool) -> str:
    from echoaudit.instruments.browser.snapshots import damage, digest

    found = digest(profile)
    if found is None:
        return "gone"
    if told.when == "opened":
        return "in use" if locked else "left open"
    if damage(profile) is not None:
        return "damaged"
    return "as left" if found == told.hash else "altered"


def _line(account: str, value: dict[str, Any]) -> str:
    phases = ", ".join(f"{phase} {hash_[:SHOWN]}" for phase, hash_ in value["phases"].items())
    told = ("altered", "restored", "cookies restored")
    noted = [f"{what} in {', '.join(value[what])}" for what in told if value[what]]
    return "; ".join(filter(None, [f"{account}: {value['state']}", phases, *noted]))


def _restore(recording: Recording, account: str, snapshot: str | None) -> int:
    from echoaudit.instruments.browser.snapshots import Snapshots
    from echoaudit.recording import Recording as Opened
    from echoaudit.runner.profiles import BY_HAND, known, place, restored

    told = known(recording.events()).get(account)
    snapshots = Snapshots(place(recording))
    there = sorted(snapshots.kept(account))
    if told is None or not there:
        with_some = ", ".join(sorted(known(recording.events()))) or "none"
        raise BadInput(
            f"found {options.plain(account)!r} for --restore, of which there is no snapshot; "
            f"allowed: an account of this recording ({with_some}); example: --restore fashion-1"
        )
    wanted = [one for one in there if one.startswith(snapshot or told.hash or "")]
    if len(wanted) != 1:
        shown = ", ".join(one[:SHOWN] for one in there)
        raise BadInput(
            f"found {options.plain(snapshot or str(told.hash))!r} for --to; allowed: the beginning "
            f"of one of {shown}; example: --to {there[0][:SHOWN]}"
        )
    if recording.sealed:
        snapshots.restore(account, wanted[0])
    else:
        with Opened.resume(recording.folder) as writing:
            snapshots.restore(account, wanted[0])
            restored(writing, account, wanted[0], BY_HAND)
    click.echo(f"{account}: profile restored to {wanted[0]}")
    return ExitCode.OK
