"""Several recordings at once: each judged on its own, here or on a Dask cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput, EchoauditError, Unavailable
from echoaudit.recording.jsonfile import printable

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.inference import Conclusion
    from echoaudit.recording import Recording
    from echoaudit.report.digest import Digest

CONNECT = 30.0
"""Seconds within which a scheduler must answer."""


@dataclass(frozen=True)
class Judged:
    """One recording among several."""

    origin: str
    """SHA-256 of its journal's first record, which every copy of it has at any time."""
    sources: Mapping[str, str]
    """SHA-256 and name of each source that it was imported from."""
    began: float
    """When its first step began, in seconds since 1970; what tells no time was there from when the
    recording was made."""
    conclusions: tuple[Conclusion, ...]
    digest: Digest
    """What a page about several studies shows of it."""


def judge_all(folders: Sequence[Path], dask: str | None = None) -> Mapping[str, Judged]:
    """Each recording judged, by a name that tells it from the others, in the order of beginning.

    Args:
        folders: the recordings.
        dask: address of a Dask scheduler whose workers see the same folders; absent: this process.

    Raises:
        BadInput: not a recording, one damaged, or one given twice (a copy is the same evidence,
            which must not count twice, also when one of both went on or was added to); named.
        Unavailable: the cluster cannot be used.
    """
    names = _names(folders)
    if dask is None:
        found = [judge_one(str(folder)) for folder in folders]
    else:
        found = _on_cluster([str(folder.resolve()) for folder in folders], dask)
    judged: dict[str, Judged] = {}
    known: dict[str, Path] = {}
    for name, folder, one in zip(names, folders, found, strict=True):
        if isinstance(one, str):
            raise BadInput(one if str(folder) in one else f"{folder}: {one}")
        _check_new(one, folder, known)
        judged[name] = one
    return dict(sorted(judged.items(), key=lambda item: (item[1].began, item[0])))


def _check_new(one: Judged, folder: Path, known: dict[str, Path]) -> None:
    """Note whence a recording's evidence is, unless another one's is from there, too."""
    if one.origin in known:
        raise BadInput(
            f"is a copy of {known[one.origin]}, or began as one; allowed: each recording once",
            file=folder,
        )
    for digest, name in one.sources.items():
        if digest in known:
            raise BadInput(
                f"was imported from the same file as {known[digest]}: {printable(name)}; "
                "allowed: each source in one recording",
                file=folder,
            )
    known.update(dict.fromkeys((one.origin, *one.sources), folder))


def judge_one(folder: str) -> Judged | str:
    """Judge a recording, or say in words why that cannot be done: errors travel badly."""
    from echoaudit import findings
    from echoaudit.recording import Recording
    from echoaudit.report.digest import digest

    try:
        recording = Recording.open(Path(folder))
        labels, later = findings.kept_labels(recording), findings.kept_claims(recording)
        found = findings.compute(recording, labels=labels, later=later)
        return Judged(
            recording.origin.hash,
            _sources(recording),
            _began(recording, found.tables["steps"]),
            found.conclusions,
            digest(found.tables),
        )
    except EchoauditError as error:
        return str(error)


def _sources(recording: Recording) -> dict[str, str]:
    config = recording.info.get("config")
    imported = config.get("imported") if isinstance(config, Mapping) else None
    sources = imported.get("sources") if isinstance(imported, Mapping) else None
    return {
        str(source["sha256"]): str(source.get("name"))
        for source in (sources if isinstance(sources, list) else [])
        if isinstance(source, Mapping) and source.get("sha256")
    }


def _began(recording: Recording, steps: pd.DataFrame) -> float:
    first = steps["started"].min()
    return recording.origin.time if math.isnan(first) else float(first)


def _names(folders: Sequence[Path]) -> list[str]:
    places = [folder.resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise BadInput("is given twice; allowed: each recording once", file=folders[number])
    short = [place.name for place in places]
    return short if len(set(short)) == len(short) else [str(place) for place in places]


def _on_cluster(folders: Sequence[str], address: str) -> list[Judged | str]:
    try:
        import distributed
    except ImportError as error:
        fix = "pip install 'echoaudit[dask]'"
        raise Unavailable("Dask is not installed", fix=fix) from error
    connect: Any = distributed.Client
    try:
        client = connect(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"no Dask scheduler answers at {address}", fix="start one, or leave --dask out"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise Unavailable(f"{address} has no workers", fix=f"dask worker {address}")
        found: list[Judged | str] = client.gather(client.map(judge_one, folders, pure=False))
        return found
