"""``echoaudit import``: others' evidence as a sealed recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.imports import Staged

    Stage = Callable[[Path], Sequence[Staged]]

SHOWN = 3
"""Problems of a source that are shown; its ``source.json`` has all."""


@click.group("import", short_help="Bring others' evidence into a recording.")
def command() -> None:
    """Make a sealed recording of evidence that others gathered.

    `report`, `replay` and `verify` work on it as on any other. Nothing is concluded: there are
    no claims. `interests` is another matter: it adds to the recording of a study.
    """


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every kind of import."""
    for option in (
        options.as_json,
        click.option(
            "--account", metavar="PERSONA-N",
            help="The account whose device it was.  [default: PERSONA-1, PERSONA-2, ...]",
        ),
        click.option(
            "--persona", metavar="NAME", default="imported", show_default=True,
            help="What kind of device or person it was, such as smart-tv.",
        ),
        click.option(
            "--into", required=True, metavar="RECORDING", type=click.Path(path_type=Path),
            help="The recording to make; must not be there yet.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


_files = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
_clients = click.option(
    "--client", "clients", metavar="ADDRESS", multiple=True,
    help="Only this device, by its IP address; can be repeated.  [default: each an account]",
)  # fmt: skip


@command.command("pcap", short_help="Captures of packets: one session per file.")
@_files
@click.option("--device", metavar="MAC", help="Whose traffic matters.  [default: most active]")
@click.option("--address", metavar="IP", help="Whose traffic matters, where there is no MAC.")
@click.option("--idle", is_flag=True, help="Nobody used the device: background traffic.")
@_common
def pcap(
    files: tuple[Path, ...],
    device: str | None,
    address: str | None,
    idle: bool,
    into: Path,
    persona: str,
    account: str | None,
    as_json: bool,
) -> int:
    """Bring pcap or pcapng FILEs (plain, gzip or zstd) in, each as a session.

    A FILE of - is standard input; pipes can be named, too. The file's name is the session's
    label. Sessions are in the order of their first packets.
    """
    from echoaudit.imports import Device, captures

    whose = Device(device.lower() if device else None, address)
    return _bring(
        into, persona, account, "pcap", as_json,
        lambda scratch: captures.stage(files, scratch, whose, "idle" if idle else "session"),
    )  # fmt: skip


@command.command("pihole", short_help="A Pi-hole's database, log or REST API.")
@click.argument("source", metavar="SOURCE")
@_clients
@click.option("--since", metavar="TIME", help="From this time on, such as 2026-11-01T08:00Z.")
@click.option("--until", metavar="TIME", help="Up to this time.")
@click.option(
    "--timezone", default="UTC", show_default=True, metavar="ZONE",
    help="Of a log's times, such as Europe/Berlin.",
)  # fmt: skip
@click.option(
    "--password-file", type=click.Path(path_type=Path),
    help="Its first line is the Pi-hole's password; only its owner may read it (chmod 600).",
)  # fmt: skip
@click.option(
    "--ca", type=click.Path(path_type=Path), help="Certificate of the Pi-hole or its authority."
)
@_common
def pihole(
    source: str,
    clients: tuple[str, ...],
    since: str | None,
    until: str | None,
    timezone: str,
    password_file: Path | None,
    ca: Path | None,
    into: Path,
    persona: str,
    account: str | None,
    as_json: bool,
) -> int:
    """Bring the DNS questions of a Pi-hole in, a session per device.

    SOURCE is a database (pihole-FTL.db of version 5 or 6), a log of dnsmasq or FTL (pihole.log,
    plain or gzip), or the address of a Pi-hole of version 6 (https://pi.hole).
    """
    from echoaudit.imports import Slice, pihole

    wanted = Slice(clients, _moment(since, "--since"), _moment(until, "--until"))
    if source.startswith(("http://", "https://")):
        from echoaudit.imports.pihole_api import Api, check_url, read_password

        password = read_password(password_file) if password_file else None
        api = Api(check_url(source), password, ca)
        stage: Stage = lambda scratch: pihole.stage_api(api, scratch, wanted)  # noqa: E731
    else:
        zone = _zone(timezone)
        stage = lambda scratch: pihole.stage_file(Path(source), scratch, wanted, zone)  # noqa: E731
    return _bring(into, persona, account, "pihole", as_json, stage)


@command.command("mitm", short_help="Flows of mitmproxy: one session per file and device.")
@_files
@_clients
@_common
def mitm(
    files: tuple[Path, ...],
    clients: tuple[str, ...],
    into: Path,
    persona: str,
    account: str | None,
    as_json: bool,
) -> int:
    """Bring FILEs that mitmproxy wrote (mitmdump -w) in, a session per file and device."""
    from echoaudit.imports import mitm
    from echoaudit.imports.captures import check_address

    only = [check_address(client, "--client") for client in clients]
    return _bring(
        into, persona, account, "mitm", as_json, lambda scratch: mitm.stage(files, scratch, only)
    )


@command.command("har", short_help="HAR files: one visit per file.")
@_files
@_common
def har(
    files: tuple[Path, ...], into: Path, persona: str, account: str | None, as_json: bool
) -> int:
    """Bring HAR FILEs (a browser's network log) in, each as a visit."""
    from echoaudit.imports import har

    return _bring(into, persona, account, "har", as_json, lambda scratch: har.stage(files, scratch))


@command.command("openwpm", short_help="OpenWPM crawls: one visit per site visit.")
@_files
@_common
def openwpm(
    files: tuple[Path, ...], into: Path, persona: str, account: str | None, as_json: bool
) -> int:
    """Bring OpenWPM crawls (crawl-data.sqlite) in, each browser as an account."""
    from echoaudit.imports import openwpm

    return _bring(
        into, persona, account, "openwpm", as_json, lambda scratch: openwpm.stage(files, scratch)
    )


@command.command("interests", short_help="Data requests: advertising interests of an account.")
@_files
@click.option(
    "--into",
    required=True,
    metavar="RECORDING",
    type=click.Path(path_type=Path),
    help="The recording of the study; must be there.",
)
@click.option("--account", required=True, metavar="PERSONA-N", help="The account that asked.")
@click.option(
    "--phase",
    required=True,
    type=click.Choice(["before", "after"]),
    help="On which side of the treatment.",
)
@click.option(
    "--requested",
    required=True,
    metavar="TIME",
    help="When the platform was asked, such as 2026-11-01T08:00Z.",
)
@click.option("--none-sent", is_flag=True, help="The answer had no file of interests.")
@options.as_json
def interests(
    files: tuple[Path, ...],
    into: Path,
    account: str,
    phase: str,
    requested: str,
    none_sent: bool,
    as_json: bool,
) -> int:
    """Add the answer to an account's data request to a recording that is there.

    FILEs are what the platform sent ("request my data"): CSV or JSON files of advertising
    interests, or the zip archives that hold them. Only those files are kept, as evidence after
    what was sealed.
    """
    from echoaudit.imports.interests import Request, add

    moment = _moment(requested, "--requested")
    assert moment is not None
    request = Request(account, "before" if phase == "before" else "after", moment)
    added = add(into, request, files, none_sent=none_sent)
    lines = [
        f"{added.step}: {added.interests:,} interests in {len(added.files)} files",
        *(f"  {one.name}: {len(one.contents.entries):,} entries" for one in added.files),
        f"recording: {into}",
        f"next:      echoaudit replay {into}",
    ]
    value = {
        "recording": str(into),
        "step": added.step,
        "interests": added.interests,
        "files": [{"name": f.name, "entries": len(f.contents.entries)} for f in added.files],
        "sources": [source.to_json() for source in added.sources],
    }
    options.show(as_json, value, lines)
    return ExitCode.OK


def _bring(
    into: Path, persona: str, account: str | None, kind: str, as_json: bool, stage: Stage
) -> int:
    from echoaudit.imports import Who, bring

    brought = bring(into, Who(persona, account), kind, stage)
    lines = []
    for one in brought:
        client = f" of {one.client}" if one.client else ""
        lines.append(f"{one.step}: {one.source.records:,} records{client} from {one.source.name}")
        problems = one.source.problems
        lines += [f"  not used: {problem}" for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"  not used: {len(problems) - SHOWN} more kinds, see source.json")
    lines += [f"recording: {into}", f"next:      echoaudit replay {into}"]
    value = {
        "recording": str(into),
        "steps": [
            {"step": one.step, "client": one.client, "source": one.source.to_json()}
            for one in brought
        ],
    }
    options.show(as_json, value, lines)
    return ExitCode.OK


def _moment(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"found {text!r}; allowed: a day or time, UTC unless it says otherwise; "
            f"example: {option} 2026-11-01T08:00+01:00",
            file=option,
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise BadInput(
            f"found {name!r}; allowed: a time zone; example: --timezone Europe/Berlin",
            file="--timezone",
        ) from error
