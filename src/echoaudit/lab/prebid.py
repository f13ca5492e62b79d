"""Genuine Prebid.js: fetched from the npm registry, checked, and put together to one script."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from echoaudit import npm
from echoaudit.errors import Unavailable

VERSION = "11.36.0"
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
PACKAGE = npm.Package(
    "prebid.js",
    VERSION,
    "sha512-uFv6NZEoPQ/z5EUbYMVuV0r+3EXHLL+3ZzbC/+g10QC"
    "ittFuLGWhAkxQas9nUcpbj1aBU2P2mVSq1XJuyNtZaw==",
    SETUP,
)
_CHUNKS = "package/dist/chunks/"
_GLOBAL = 'pbGlobal:"pbjs"'


def bundle_path() -> Path:
    """Where the script is kept: ``.cache/prebid/prebid.js`` of the project."""
    return npm.kept_at("prebid") / "prebid.js"


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
        text = build(_chunks(npm.fetch(PACKAGE)))
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


def _head() -> str:
    return f"/* Prebid.js {VERSION}: {' '.join(MODULES)} */"


def _is_current(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") == _head()
    except FileNotFoundError:
        return False


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
    return npm.set_up(ensure_bundle)


if __name__ == "__main__":
    sys.exit(main())
