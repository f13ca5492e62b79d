"""Packages by the user's own npm client, from whichever registry it is configured for."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from echoaudit.errors import BadInput, Unavailable
from echoaudit.lists.packed import LIMIT

PREFIX = "npm:"
PATIENCE = 300.0
"""Seconds for one package."""
_PART = r"[a-z0-9][a-z0-9._~-]*"
_SPEC = re.compile(rf"((?:@{_PART}/)?{_PART})(?:@([A-Za-z0-9][A-Za-z0-9.+_-]*))?")
_CODE = re.compile(r"^npm (?:error|ERR!) code (\w+)$", re.MULTILINE)
_UNKNOWN = ("E404", "ETARGET", "ENOVERSIONS")


def spec(source: str) -> tuple[str, str]:
    """Package and version (or tag) of ``npm:NAME`` or ``npm:NAME@VERSION``.

    Raises:
        BadInput: anything else: npm would also take folders and addresses.
    """
    found = _SPEC.fullmatch(source.removeprefix(PREFIX))
    if found is None:
        raise BadInput(
            f"found {source!r}; allowed: npm:NAME or npm:NAME@VERSION; "
            "example: npm:third-party-web",
            file="SOURCE",
        )
    return found[1], found[2] or "latest"


def pack(source: str) -> bytes:
    """The package's archive, as ``npm pack`` fetches it; nothing of it is run.

    Raises:
        BadInput: no such package, or too large.
        Unavailable: no npm, or it does not get the package.
    """
    name, version = spec(source)
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"{source} needs npm", fix="sudo apt-get install npm")
    with tempfile.TemporaryDirectory(prefix="echoaudit-") as folder:
        words = [npm, "pack", f"{name}@{version}", "--ignore-scripts", "--fetch-retries=1"]
        words += ["--fetch-retry-mintimeout=1000", "--fetch-timeout=60000", "--no-update-notifier"]
        _run(words, folder, source)
        archives = sorted(Path(folder).glob("*.tgz"))
        if not archives:
            raise _failed(source, "left no package")
        with archives[0].open("rb") as file:
            raw = file.read(LIMIT + 1)
    if len(raw) > LIMIT:
        raise BadInput(f"larger than the {LIMIT} bytes allowed", file=source)
    return raw


def _run(words: list[str], folder: str, source: str) -> None:
    """Run npm, away from folders whose names look like packages."""
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _failed(source, f"did not end within {PATIENCE:.0f} s") from error
    if done.returncode == 0:
        return
    # npm's own words name the user's registry and may quote its token: only the code is shown.
    code = found[1] if (found := _CODE.search(done.stderr)) else f"exit {done.returncode}"
    if code in _UNKNOWN:
        raise BadInput(f"npm knows no such package or version ({code})", file=source)
    raise _failed(source, f"failed ({code})")


def _failed(source: str, what: str) -> Unavailable:
    name, version = spec(source)
    return Unavailable(
        f"npm pack for {source} {what}", fix=f"see what npm pack {name}@{version} says"
    )
