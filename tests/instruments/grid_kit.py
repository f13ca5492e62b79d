"""A genuine Selenium Grid on the loopback interface: a hub and nodes, with little memory each.

Set-up brings the server's jar (``tests/fetched.py``) and Java.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from echoaudit.instruments.browser import chromium, processes
from echoaudit.study.models import BrowserSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from fetched import SELENIUM
from local_ports import free_ports

JAVA = (
    "java",
    "-Xmx128m",
    # What starts soonest on few cores.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
STARTING = 300.0
"""Seconds; it takes 7 on two idle cores."""
ENDING = 30.0


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
        for process in self._all:
            processes.end_session(process.pid, patience=1.0)
            process.wait()
        self._log.close()

    def left_over(self) -> list[int]:
        """Processes of the grid, browsers on it included, that are there although it has ended."""

        def members() -> list[int]:
            return [pid for process in self._all for pid in processes.members(process.pid)]

        processes.wait_until(lambda: not members(), ENDING)
        return members()

    def lose(self, number: int) -> None:
        """Kill a node with all its browsers."""
        processes.end_session(self.nodes[number].pid, patience=0.0)

    def node_in_use(self) -> int:
        """Number of the node on which most processes run, and so a browser."""
        counts = [len(processes.members(node.pid)) for node in self.nodes]
        return counts.index(max(counts))

    @property
    def _all(self) -> list[subprocess.Popen[bytes]]:
        return [*self.nodes, self._hub]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*JAVA, "-jar", str(SELENIUM.path), *arguments],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=os.environ | {"TZ": "America/Los_Angeles"},
        )

    def _await(self, nodes: int) -> None:
        def is_ready() -> bool:
            with suppress(OSError, ValueError):
                with urllib.request.urlopen(f"{self.url}/status", timeout=10) as answer:
                    found = json.load(answer)["value"]
                return bool(found["ready"]) and len(found["nodes"]) == nodes
            return False

        end = time.monotonic() + STARTING
        while not is_ready():
            ended = [one.args for one in self._all if one.poll() is not None]
            if ended or time.monotonic() >= end:
                self.__exit__()
                raise RuntimeError(f"the grid did not start: see {self._log.name}; ended: {ended}")
            time.sleep(0.2)
