"""Data requests: when the platform was asked what it knows of an account, and what it sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from echoaudit.errors import BadInput
from echoaudit.outcomes.interest_files import INTERESTS, Listed, read
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import number, plain
from echoaudit.recording import read_bytes

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "data_requests"
KIND = "data-request"
"""Of the steps whose evidence this is."""
TABLE = Schema(
    NAME,
    "Data requests, one row each: whose, when, and how much the platform sent.",
    (
        Column("request", "string", "Step id of the request."),
        Column("account", "string", "Account that asked."),
        Column("persona", "string", "Persona of the account."),
        Column("phase", "string", "`before` or `after` the treatment."),
        Column("requested", "float", "When the platform was asked.", "s since 1970"),
        Column("latest", "bool", "Whether it is the account's last request of its phase."),
        Column("files", "int", "Files about advertising that the platform sent."),
        Column("interests", "int", "Different interests in them."),
        Column("advertisers", "int", "Different advertisers in them."),
        Column(
            "state",
            "string",
            "`answered`, or `none sent`: no file of interests came, which is not the same as none.",
        ),
    ),
)


@dataclass(frozen=True)
class Request:
    """One data request with what its files list."""

    step: StepEvidence
    phase: str
    requested: float
    listed: tuple[tuple[str, Listed], ...]
    """The file's name as the platform gave it, and an entry."""
    files: int
    answered: bool
    """Whether a file of interests came, with entries or without."""
    latest: bool = False


def requests(recording: Recording) -> list[Request]:
    """The recording's data requests, by account, phase and time.

    Raises:
        BadInput: a request's evidence is not as documented.
    """
    found = sorted(
        (_request(step) for step in recording.steps(KIND)),
        key=lambda one: (one.step.account, one.phase, one.requested, one.step.id),
    )
    last = {(one.step.account, one.phase): one.step.id for one in found}
    return [
        Request(
            one.step,
            one.phase,
            one.requested,
            one.listed,
            one.files,
            one.answered,
            last[one.step.account, one.phase] == one.step.id,
        )
        for one in found
    ]


def _request(step: StepEvidence) -> Request:
    about = step.json("request.json")
    if not isinstance(about, dict) or not isinstance(about.get("files"), list):
        raise BadInput("is no description of a data request", file=step.path("request.json"))
    phase, requested = plain(about.get("phase")), number(about.get("requested"))
    if phase not in ("before", "after") or requested is None:
        raise BadInput("has no phase or no time", file=step.path("request.json"))
    listed: list[tuple[str, Listed]] = []
    lists: set[str] = set()
    for file, name in (_file(one, step) for one in about["files"]):
        contents = read(read_bytes(step.path(file)), file)
        listed += [(name, entry) for entry in contents.entries]
        lists |= contents.lists
    return Request(
        step, phase, requested, tuple(listed), len(about["files"]), not lists.isdisjoint(INTERESTS)
    )


def _file(one: Any, step: StepEvidence) -> tuple[str, str]:
    """A file in the step's folder, and its name as the platform gave it."""
    stated = one if isinstance(one, dict) else {}
    file, name = plain(stated.get("file")), plain(stated.get("name"))
    if not file or not name:
        raise BadInput("names a file without its name", file=step.path("request.json"))
    return file, name


def derive(recording: Recording) -> pd.DataFrame:
    """One row per data request."""
    return TABLE.conform(list(_rows(recording)))


def _rows(recording: Recording) -> Iterator[dict[str, Any]]:
    for one in requests(recording):
        interests = {e.interest for _, e in one.listed if e.list in INTERESTS}
        advertisers = {e.interest for _, e in one.listed if e.list not in INTERESTS}
        yield {
            "request": one.step.id,
            "account": one.step.account,
            "persona": one.step.persona,
            "phase": one.phase,
            "requested": one.requested,
            "latest": one.latest,
            "files": one.files,
            "interests": len(interests),
            "advertisers": len(advertisers),
            "state": "answered" if one.answered else "none sent",
        }
