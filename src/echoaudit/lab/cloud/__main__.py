"""``python -m echoaudit.lab.cloud``: serve a world."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from echoaudit.errors import BadInput, EchoauditError
from echoaudit.lab import authority
from echoaudit.lab.accounts import read_accounts
from echoaudit.lab.cloud import server
from echoaudit.lab.cloud.app import Application
from echoaudit.lab.cloud.context import Cloud, StockedSkill
from echoaudit.lab.cloud.store import Store
from echoaudit.lab.truth import Truth
from echoaudit.lab.world import load_world
from echoaudit.study.loader import load_catalogue


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed; the exit status is the error's own."""
    options = _parser().parse_args(arguments)
    try:
        run(options)
    except EchoauditError as error:
        print(f"cloud: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def run(options: argparse.Namespace) -> None:
    """Set the cloud up from its state folder and serve it."""
    os.umask(0o077)
    state: Path = options.state
    state.mkdir(parents=True, exist_ok=True)
    world = load_world(options.world)
    ca = authority.load_or_make(state / "ca")
    if options.loopback is None:
        configs = server.on_addresses(world, ca)
    else:
        configs = server.on_loopback(world, ca, options.loopback)
    skills = stock([*world.file.catalogues, *options.catalogue])
    accounts = read_accounts(options.accounts)
    cloud = Cloud(world, skills, accounts, Store(state / "cloud.sqlite"), Truth(state))
    # An orderly end would wait for every browser to close its connections.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(server.serve(Application(cloud), configs))


def stock(catalogues: list[Path]) -> dict[str, StockedSkill]:
    """All skills of the catalogues by id.

    Raises:
        BadInput: a file is wrong, or two catalogues have a skill of the same id.
    """
    skills: dict[str, StockedSkill] = {}
    for path in dict.fromkeys(path.resolve() for path in catalogues):
        catalogue = load_catalogue(path)
        for skill in catalogue.skills:
            if skill.id in skills:
                raise BadInput(f"skill {skill.id!r} is in another catalogue too", file=path)
            skills[skill.id] = StockedSkill(skill, catalogue.interest)
    return skills


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m echoaudit.lab.cloud", description=__doc__)
    parser.add_argument("--world", required=True, help="name or path of a world")
    parser.add_argument("--catalogue", type=Path, nargs="*", default=[], help="skills in store")
    parser.add_argument("--accounts", type=Path, required=True, help="accounts.json")
    parser.add_argument("--state", type=Path, required=True, help="folder kept between starts")
    parser.add_argument("--loopback", type=int, metavar="PORT", help="all names on 127.0.0.1:PORT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
