"""Several recordings at once: each judged on its own, here or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput, EchoauditError, Unavailable

if TYPE_CHECKING:
    from echoaudit.inference import Conclusion
    from echoaudit.report.digest import Digest

CONNECT = 30.0
"""Seconds within which a scheduler must answer."""


@dataclass(frozen=True)
class Judged:
    """One recording among several."""

    head: str
    """Of its journal, which tells it from all others."""
    conclusions: tuple[Conclusion, ...]
    digest: Digest
    """What a page about several studies shows of it."""


def judge_all(folders: Sequence[Path], dask: str | None = None) -> Mapping[str, Judged]:
    """Each recording judged, by a name that tells it from the others.

    Args:
        folders: the recordings, in the order of the result.
        dask: address of a Dask scheduler whose workers see the same folders; absent: this process.

    Raises:
        BadInput: not a recording, one damaged, or one given twice (a copy is the same evidence,
            which must not count twice); named.
        Unavailable: the cluster cannot be used.
    """
    names = _names(folders)
    if dask is None:
        found = [judge_one(str(folder)) for folder in folders]
    else:
        found = _on_cluster([str(folder.resolve()) for folder in folders], dask)
    judged: dict[str, Judged] = {}
    heads: dict[str, Path] = {}
    for name, folder, one in zip(names, folders, found, strict=True):
        if isinstance(one, str):
            raise BadInput(one if str(folder) in one else f"{folder}: {one}")
        judged[name] = one
        if one.head in heads:
            raise BadInput(
                f"is a copy of {heads[one.head]}; allowed: each recording once", file=folder
            )
        heads[one.head] = folder
    return judged


def judge_one(folder: str) -> Judged | str:
    """Judge a recording, or say in words why that cannot be done: errors travel badly."""
    from echoaudit import findings
    from echoaudit.recording import Recording
    from echoaudit.report.digest import digest

    try:
        recording = Recording.open(Path(folder))
        labels, later = findings.kept_labels(recording), findings.kept_claims(recording)
        found = findings.compute(recording, labels=labels, later=later)
        return Judged(recording.head, found.conclusions, digest(found.tables))
    except EchoauditError as error:
        return str(error)


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
