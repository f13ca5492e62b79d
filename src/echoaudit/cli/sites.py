"""``echoaudit sites``: which sites run header bidding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.instruments.browser.discovery import Entry, Site
    from echoaudit.study.models import BrowserSettings

CRASHES = 2
"""Browsers that may crash on one site before it counts as failed."""


@click.group("sites", short_help="Find sites that run header bidding.")
def command() -> None:
    """Sites for a study's browsers."""


@command.command("discover", short_help="Find which sites of a list run header bidding; resumes.")
@click.argument("list_", metavar="LIST", type=click.Path(path_type=Path))
@click.option(
    "--into", type=click.Path(path_type=Path), default=Path("sites.csv"), show_default=True,
    help="File of results (CSV); beside it, with .yaml, the sites as a study lists them.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Sites of the list to look at.")
@click.option(
    "--pause", type=click.FloatRange(min=0), default=2.0, show_default=True, metavar="SECONDS",
    help="How long to wait between two sites.",
)  # fmt: skip
@options.config
def discover(
    list_: Path,
    into: Path,
    limit: int | None,
    pause: float,
    config_path: Path,
    settings: Sequence[str],
) -> int:
    """Visit each site of LIST once and see whether Prebid.js is there.

    LIST has lines such as Tranco's, RANK,DOMAIN. A site whose robots.txt does not allow it is not
    visited. The same command resumes: sites that have a row in the results are left out.
    """
    from echoaudit.instruments.browser import discovery
    from echoaudit.study import load_config

    browser = load_config(config_path, options.parse_settings(settings)).browser
    if into.suffix == ".yaml":
        raise BadInput(f"{into} is for the sites; allowed: another ending, such as .csv")
    options.require_writable(into)
    entries = list(discovery.read_list(list_))[:limit]
    results = discovery.read_results(into)
    known = {site.domain for site in results}
    _visit([entry for entry in entries if entry.domain not in known], browser, into, pause)
    results = discovery.read_results(into)
    sites = into.with_suffix(".yaml")
    _write_sites(sites, results)
    bidding = sum(bool(site.prebid) for site in results)
    click.echo(f"{bidding} of {len(results)} sites run header bidding: {sites}")
    return ExitCode.OK


def _visit(entries: Sequence[Entry], settings: BrowserSettings, into: Path, pause: float) -> None:
    from echoaudit.instruments.browser import discovery

    with TemporaryDirectory(prefix="echoaudit-sites-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        for number, entry in enumerate(entries, start=1):
            if number > 1:
                time.sleep(pause)
            site = _examine(entry, settings, work / "profile", work / str(number))
            discovery.add_result(into, site)
            told = site.prebid and f"Prebid {site.prebid}, {site.bidders} bidders"
            line = f"{number}/{len(entries)}  {site.domain}  {told or site.reason or 'none'}"
            click.echo(options.plain(line), err=True)


def _examine(entry: Entry, settings: BrowserSettings, profile: Path, folder: Path) -> Site:
    """One site in a fresh browser, and in another one when that goes away."""
    from echoaudit.instruments.browser import Browser, BrowserCrashed, discovery

    attempts = 0
    while True:
        attempts += 1
        try:
            with Browser(settings, profile) as browser:
                return discovery.examine(browser, entry, folder)
        except BrowserCrashed as crash:
            if attempts == CRASHES:
                return discovery.crashed(entry, crash)


def _write_sites(path: Path, results: Sequence[Site]) -> None:
    import yaml

    from echoaudit.findings.store import write_text
    from echoaudit.instruments.browser import discovery

    write_text(path, yaml.safe_dump({"sites": discovery.as_sites(results)}, sort_keys=False))
