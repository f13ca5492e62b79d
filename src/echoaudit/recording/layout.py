"""Names and places inside a recording, and which names are safe to use."""

from __future__ import annotations

import re
from pathlib import Path

from echoaudit.errors import BadInput
from echoaudit.recording.jsonfile import printable

INFO = "recording.json"
JOURNAL = "journal.jsonl"
PLAN = "plan.json"
STUDY_VALUES = "study.json"
MANIFEST = "manifest.json"
STUDY = "study"
STAGING = "staging"
INTERRUPTED = "interrupted"
FINDINGS = "findings"

RESERVED = frozenset(
    {INFO, JOURNAL, PLAN, STUDY_VALUES, MANIFEST, STUDY, STAGING, INTERRUPTED, FINDINGS}
)
"""First parts of a path that no step may use."""

_STEP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,5}")
_PART_LIMIT = 255
_PATH_LIMIT = 1000


def check_step_id(step_id: str) -> str:
    """A step's id, when it is safe as a folder inside the recording.

    Raises:
        BadInput: anything but one to six words of letters, digits, ``.``, ``_``, ``-`` joined by
            ``/``; or a first word that the recording itself uses.
    """
    if not _STEP.fullmatch(step_id):
        raise BadInput(
            f"step id {printable(step_id[:80])!r} is not usable; allowed are words of letters, "
            "digits, '.', '_' and '-' joined by '/', e.g. fashion-1/visits/b1-news"
        )
    if step_id.split("/", maxsplit=1)[0].casefold() in RESERVED:
        raise BadInput(f"step id {step_id!r} begins with a name that the recording itself uses")
    return step_id


def check_relative(path: str) -> str:
    """A file's path, when it stays inside its folder.

    Raises:
        BadInput: absolute, with ``..``, empty parts, control characters, or too long.
    """
    parts = path.split("/")
    bad = (
        any(
            part in {"", ".", ".."} or len(part.encode("utf-8", "replace")) > _PART_LIMIT
            for part in parts
        )
        or len(path) > _PATH_LIMIT
        or any(ord(c) < 0x20 or c in "\\\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in path)
    )
    if bad:
        raise BadInput(f"path {printable(path[:80])!r} does not stay inside its folder")
    return path


def inside(root: Path, relative: str) -> Path:
    """A path inside ``root`` none of whose parts is a symbolic link.

    Raises:
        BadInput: a part is a link, or the path leaves ``root``.
    """
    path = root
    for part in check_relative(relative).split("/"):
        path = path / part
        if path.is_symlink():
            raise BadInput("is a symbolic link", file=printable(path))
    return path


def staged(step_id: str) -> str:
    """Name of a step's folder under ``staging/``: one level, so that none shares a parent."""
    return step_id.replace("/", "+")


def kept(step_id: str, attempt: int) -> str:
    """Where an interrupted attempt is kept.

    A folder per step with one per attempt cannot collide with another step, as no step's folder
    is inside another's.
    """
    return f"{INTERRUPTED}/{step_id}/{attempt}"
