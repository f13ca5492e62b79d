"""The lab's own log of what truly happened: one JSON object a line, flushed line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from echoaudit.errors import BadInput

Log = Literal[
    "bids", "syncs", "requests", "events", "store", "shop_ads", "streams", "consents", "auctions"
]
WORLD = "world.json"
LOGS: tuple[Log, ...] = get_args(Log)


class Truth:
    """Appends to the logs in ``STATE/truth/``."""

    def __init__(self, state: Path) -> None:
        folder = truth_folder(state)
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {log: _open(folder / f"{log}.jsonl") for log in LOGS}

    def write(self, log: Log, row: dict[str, Any]) -> None:
        """Append one row, stamped with seconds since 1970."""
        line = json.dumps({"time": time.time(), **row}, separators=(",", ":"))
        self._files[log].write(line + "\n")
        self._files[log].flush()

    def close(self) -> None:
        """Close all logs."""
        for file in self._files.values():
            file.close()


def truth_folder(state: Path) -> Path:
    """Where the logs of a lab with the state folder ``state`` are."""
    return state / "truth"


def read_log(state: Path, log: Log) -> Iterator[dict[str, Any]]:
    """The rows of one log, oldest first; nothing when it was never written."""
    path = truth_folder(state) / f"{log}.jsonl"
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))


def _open(path: Path) -> TextIO:
    _drop_torn_line(path)
    return path.open("a", encoding="utf-8")


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed process left of its last line."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def write_world(state: Path, world: Mapping[str, Any]) -> None:
    """Keep what a perfect study of the world finds beside what happened in it."""
    folder = truth_folder(state)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{WORLD}.new"
    fresh.write_text(json.dumps(world, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / WORLD)


def read_world(state: Path) -> dict[str, Any]:
    """What `write_world` kept.

    Raises:
        BadInput: it is not there.
    """
    path = truth_folder(state) / WORLD
    try:
        world = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or "no JSON"
        raise BadInput(f"the world's truth cannot be read: {found}", file=path) from error
    return dict(world)


def read_contacts(state: Path) -> Iterator[dict[str, Any]]:
    """Connections of all Echos, each once, from the logs that they keep themselves.

    An Echo writes a line when a connection begins and again when it ends; one that was killed
    leaves the first only.
    """
    for path in sorted(truth_folder(state).glob("contacts-*.jsonl")):
        latest: dict[str, dict[str, Any]] = {}
        with path.open(encoding="utf-8") as file:
            for row in (json.loads(line) for line in file if line.endswith("}\n")):
                latest[row["id"]] = row
        yield from latest.values()
