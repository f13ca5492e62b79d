"""``echoaudit lists``: lists of advertisers and trackers that the user installs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.lists import Format


@click.group("lists", short_help="Install lists of trackers.")
def command() -> None:
    """Lists that say which hosts they take for advertising or tracking.

    None comes with echoaudit. Findings name each list in use by its SHA-256, and replay --check
    uses those very lists.
    """


@command.command("update", short_help="Install a list or read all again.")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--name", help="What findings call it.  [default: the file's name]")
@click.option(
    "--format", "form", type=click.Choice(["hosts", "adblock"]),
    help="What it is, when a look at it does not tell.",
)  # fmt: skip
@options.as_json
def update(source: Path | None, name: str | None, form: str | None, as_json: bool) -> int:
    """Install the list in the file SOURCE, or read all installed lists' files again.

    SOURCE is a hosts file, a list of domains, adblock rules such as EasyList (with the extra
    [lists]) or Pi-hole's gravity.db.
    """
    from echoaudit.lists import Store

    store = Store.default()
    wanted = [(source, name)] if source else [(Path(s), n) for n, s in store.sources().items()]
    if not wanted:
        raise BadInput("no list is installed; example: echoaudit lists update easylist.txt")
    forms = {one.name: one.format for one in store.installed()}
    chosen = cast("Format | None", form)
    found = [
        store.update(path, called, chosen if source else forms[called or ""])
        for path, called in wanted
    ]
    lines = [
        f"{one.name}: {one.rules:,} rules ({one.format}), SHA-256 {one.sha256}" for one in found
    ]
    options.show(as_json, [one.model_dump() for one in found], lines)
    return ExitCode.OK


@command.command("show", short_help="Show the installed lists.")
@options.as_json
def show(as_json: bool) -> int:
    """Show the lists that findings use."""
    from echoaudit.lists import Store

    store = Store.default()
    found, sources = store.installed(), store.sources()
    lines = [
        f"{one.name}: {one.rules:,} rules ({one.format}) from {sources[one.name]}, "
        f"SHA-256 {one.sha256}"
        for one in found
    ]
    options.show(as_json, [one.model_dump() for one in found], lines or ["no list is installed"])
    return ExitCode.OK


@command.command("remove", short_help="Use a list no longer.")
@click.argument("name")
def remove(name: str) -> int:
    """Use the list NAME no longer; findings that name it can still be checked."""
    from echoaudit.lists import Store

    Store.default().remove(name)
    click.echo(f"{name}: no longer used")
    return ExitCode.OK
