"""What only tests need from npm: ``python tests/fetched.py`` (part of set-up) fetches it.

Each file is held against its package's hash once, when it is fetched, and kept in ``.cache``.
"""

from __future__ import annotations

import io
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from echoaudit import npm

SETUP = "make setup"


@dataclass(frozen=True)
class Fetched:
    """One file of a package."""

    package: npm.Package
    member: str
    path: Path
    """Where it is kept; its name holds the version, so that another one is fetched anew."""

    def ensure(self) -> None:
        """Fetch it unless it is there; ``Unavailable`` without npm, network or the pinned one."""
        if self.path.is_file():
            return
        archive = io.BytesIO(npm.fetch(self.package))
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            file = tar.extractfile(self.member)
            assert file is not None
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_bytes(file.read())
        fresh.replace(self.path)


AXE = Fetched(
    npm.Package(
        "axe-core",
        "4.14.1",
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NP"
        "jCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        SETUP,
    ),
    "package/axe.min.js",
    npm.kept_at("axe") / "axe-4.14.1.min.js",
)
"""The checker of accessibility that tests put into the report's page."""

SELENIUM = Fetched(
    npm.Package(
        "@nightwatch/selenium-server",
        "4.20.0",
        "sha512-QCztEGeC2sd1g3KU7guLW2a1Z4wC1BlCJl9P9Av3Qtfz"
        "I4+EA7LKhDFha+CRxswmHHW0QQtYI9z0EZ8YSDNMZA==",
        SETUP,
    ),
    "package/lib/selenium-server-4.20.0.jar",
    npm.kept_at("selenium") / "selenium-server-4.20.0.jar",
)
"""The server of which tests make a grid (34 MB)."""


def main() -> int:
    """Set-up step: make sure that all is there."""
    return max(npm.set_up(one.ensure) for one in (AXE, SELENIUM))


if __name__ == "__main__":
    sys.exit(main())
