"""``echoaudit lists``: lists of advertisers, trackers and owners that the user installs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, EchoauditError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from echoaudit.lists import Format, Installed, Store


@click.group("lists", short_help="Install lists of trackers.")
def command() -> None:
    """Lists that say which hosts they take for advertising or tracking, or whose hosts are.

    None comes with echoaudit. Findings name each list in use by its SHA-256, and replay --check
    uses those very lists.
    """


@command.command("update", short_help="Install a list or read all again.")
@click.argument("source", required=False)
@click.option("--name", help="What findings call it.  [default: the source's name]")
@click.option(
    "--format", "form", type=click.Choice(["hosts", "adblock", "owners"]),
    help="What it is, when a look at it does not tell.",
)  # fmt: skip
@click.option(
    "--ca", type=click.Path(path_type=Path),
    help="Certificates (PEM) to trust besides the system's, for https addresses.",
)  # fmt: skip
@options.as_json
def update(
    source: str | None, name: str | None, form: str | None, ca: Path | None, as_json: bool
) -> int:
    """Install the list SOURCE, or fetch all installed lists again.

    SOURCE is a file, an http(s) address or npm:PACKAGE[@VERSION], which the npm client fetches. It
    holds a hosts file, a list of domains, adblock rules such as EasyList (with the extra [lists]),
    Pi-hole's gravity.db, or who owns which domain (npm:third-party-web, npm:@ghostery/trackerdb).
    """
    from echoaudit.lists import Store

    store = Store.default()
    if source is None:
        return _update_all(store, ca, as_json)
    _show([store.update(source, name, cast("Format | None", form), ca)], as_json)
    return ExitCode.OK


def _update_all(store: Store, ca: Path | None, as_json: bool) -> int:
    """Fetch every list again; one that fails stays as it was and hinders no other."""
    installed, sources = store.installed(), store.sources()
    if not installed:
        raise BadInput("no list is installed; example: echoaudit lists update easylist.txt")
    found, failed = [], ExitCode.OK
    for one in installed:
        try:
            found.append(store.update(sources[one.name], one.name, one.format, ca))
        except EchoauditError as error:
            click.echo(options.plain(f"{one.name}: stays as it was: {error}"), err=True)
            failed = max(failed, error.exit_code)
    _show(found, as_json)
    return failed


def _show(found: Sequence[Installed], as_json: bool) -> None:
    options.show(as_json, [one.model_dump() for one in found], [_line(one) for one in found])


def _line(one: Installed, source: str = "") -> str:
    told = [f"version {one.version}"] if one.version else []
    told += [f"licence {one.licence}"] if one.licence else []
    where = f" from {source}" if source else ""
    return (
        f"{one.name}: {one.rules:,} rules ({', '.join([one.format, *told])}){where}, "
        f"SHA-256 {one.sha256}"
    )


@command.command("show", short_help="Show the installed lists.")
@options.as_json
def show(as_json: bool) -> int:
    """Show the lists that findings use."""
    from echoaudit.lists import Store
    from echoaudit.lists.download import shown

    store = Store.default()
    found, sources = store.installed(), store.sources()
    lines = [_line(one, shown(sources[one.name])) for one in found]
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
