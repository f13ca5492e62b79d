"""Packages that set-up fetches from npm: pinned by version and hash, kept out of the repository."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from echoaudit.errors import EchoauditError, Unavailable

FETCH_SECONDS = 180


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    integrity: str
    """Subresource integrity of its archive."""
    setup: str
    """The command that fetches it."""


def kept_at(name: str) -> Path:
    """Where what was fetched is kept: ``.cache/NAME`` of the project, or of the folder of work."""
    project = Path(__file__).parents[2]
    root = project if (project / "pyproject.toml").is_file() else Path.cwd()
    return root / ".cache" / name


def fetch(package: Package) -> bytes:
    """The archive, by the user's own npm client; nothing of it is run.

    Raises:
        Unavailable: npm or the network is missing, or the archive is not the pinned one.
    """
    with tempfile.TemporaryDirectory(prefix="echoaudit-npm-") as folder:
        archive = _pack(package, Path(folder))
    verify(package, archive)
    return archive


def verify(package: Package, archive: bytes) -> None:
    """Raise `Unavailable` unless ``archive`` is the pinned package."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != package.integrity:
        raise Unavailable(
            f"npm gave another {package.name} {package.version} than the pinned one "
            f"({found[:20]}…)",
            fix="check the npm registry that this machine is set to",
        )


def _pack(package: Package, folder: Path) -> bytes:
    wanted = f"{package.name}@{package.version}"
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    fix = f"check npm and the network, then: {package.setup}"
    try:
        subprocess.run(
            [*command, wanted],
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            cwd=folder,
        )
    except FileNotFoundError:
        raise Unavailable("npm is not installed", fix="apt-get install npm") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm did not answer in {FETCH_SECONDS} s", fix=fix) from None
    except subprocess.CalledProcessError as error:
        what = f"npm could not fetch {package.name}: {_reason(error)}"
        raise Unavailable(what, fix=fix) from None
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise Unavailable(f"npm left no archive of {package.name}", fix=fix)
    return archives[0].read_bytes()


def set_up(ensure: Callable[[], object]) -> int:
    """Run a step of set-up; its exit code, after a line about what is missing."""
    try:
        ensure()
    except EchoauditError as error:
        print(f"setup: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _reason(error: subprocess.CalledProcessError) -> str:
    lines = [line for line in str(error.stderr).splitlines() if "error" in line.lower()]
    return lines[0][:200] if lines else f"exit code {error.returncode}"
