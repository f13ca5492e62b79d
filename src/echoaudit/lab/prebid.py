"""Genuine Prebid.js: fetched from the npm registry, checked, and put together to one script."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from echoaudit.errors import EchoauditError, Unavailable

VERSION = "11.36.0"
INTEGRITY = (
    "sha512-uFv6NZEoPQ/z5EUbYMVuV0r+3EXHLL+3ZzbC/+g10QC"
    "ittFuLGWhAkxQas9nUcpbj1aBU2P2mVSq1XJuyNtZaw=="
)
"""Subresource integrity of the package archive."""
CORE = "prebid-core"
MODULES = (
    "appnexusBidAdapter",
    "rubiconBidAdapter",
    "ixBidAdapter",
    "openxBidAdapter",
    "pubmaticBidAdapter",
    "adkernelBidAdapter",
)
SETUP = "python -m echoaudit.lab.prebid"
_CHUNKS = "package/dist/chunks/"
_GLOBAL = 'pbGlobal:"pbjs"'
_FETCH_SECONDS = 180


def bundle_path() -> Path:
    """Where the script is kept: ``.cache/prebid/prebid.js`` of the project."""
    project = Path(__file__).parents[3]
    root = project if (project / "pyproject.toml").is_file() else Path.cwd()
    return root / ".cache" / "prebid" / "prebid.js"


def bundle(global_name: str = "pbjs") -> str:
    """The script, with its instance published as ``window.global_name``.

    Raises:
        Unavailable: set-up has not fetched it.
    """
    path = bundle_path()
    if not _is_current(path):
        raise Unavailable(f"Prebid.js {VERSION} is not in {path.parent}", fix=SETUP)
    source = path.read_text(encoding="utf-8")
    return source.replace(_GLOBAL, f"pbGlobal:{json.dumps(global_name)}") + (
        f"\nwindow[{json.dumps(global_name)}].processQueue();\n"
    )


def ensure_bundle() -> Path:
    """Fetch and build the script unless it is there; returns its path.

    Raises:
        Unavailable: npm or the network is missing, or the archive is not the expected one.
    """
    path = bundle_path()
    if not _is_current(path):
        with tempfile.TemporaryDirectory(prefix="echoaudit-prebid-") as folder:
            text = build(_chunks(_fetch(Path(folder))))
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    return path


def build(chunks: Mapping[str, str]) -> str:
    """Concatenate the core, what the modules depend on, and the modules.

    Args:
        chunks: text of the package's ``dist/chunks`` by file name, with ``dependencies.json``.
    """
    wanted = [f"{name}.js" for name in (CORE, *MODULES)]
    needs: dict[str, list[str]] = json.loads(chunks["dependencies.json"])
    shared = [chunk for name in wanted for chunk in needs.get(name, [])]
    order = dict.fromkeys([wanted[0], *shared, *wanted[1:]])
    return "\n".join([_head(), *(chunks[name] for name in order)]) + "\n"


def verify(archive: bytes) -> None:
    """Raise `Unavailable` unless ``archive`` is the pinned package."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != INTEGRITY:
        raise Unavailable(
            f"npm gave another prebid.js {VERSION} than the pinned one ({found[:20]}…)",
            fix="check the npm registry that this machine is set to",
        )


def _head() -> str:
    return f"/* Prebid.js {VERSION}: {' '.join(MODULES)} */"


def _is_current(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") == _head()
    except FileNotFoundError:
        return False


def _fetch(folder: Path) -> bytes:
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"prebid.js@{VERSION}"]
    fix = f"check npm and the network, then: {SETUP}"
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_FETCH_SECONDS, cwd=folder
        )
    except FileNotFoundError:
        raise Unavailable("npm is not installed", fix="apt-get install npm") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm did not answer in {_FETCH_SECONDS} s", fix=fix) from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"npm could not fetch prebid.js: {_reason(error)}", fix=fix) from None
    archive = (folder / f"prebid.js-{VERSION}.tgz").read_bytes()
    verify(archive)
    return archive


def _reason(error: subprocess.CalledProcessError) -> str:
    lines = [line for line in str(error.stderr).splitlines() if "error" in line.lower()]
    return lines[0][:200] if lines else f"exit code {error.returncode}"


def _chunks(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return dict(_texts(tar))


def _texts(tar: tarfile.TarFile) -> Iterable[tuple[str, str]]:
    for member in tar:
        if not member.name.startswith(_CHUNKS) or member.name.endswith(".metadata.js"):
            continue
        file = tar.extractfile(member)
        if file is not None:
            yield member.name.removeprefix(_CHUNKS), file.read().decode("utf-8")


def main() -> int:
    """Set-up step: make sure the script is there."""
    try:
        ensure_bundle()
    except EchoauditError as error:
        print(f"setup: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
