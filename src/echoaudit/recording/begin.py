"""A new recording: there whole, with its first journal record, or not at all."""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echoaudit import __version__
from echoaudit.recording import durable, evidence, layout, ledger
from echoaudit.recording.contents import FORMAT
from echoaudit.recording.journal import Journal
from echoaudit.recording.jsonfile import canonical


def describe(
    study_hash: str, config: Mapping[str, Any], tools: Mapping[str, str]
) -> dict[str, Any]:
    """The content of ``recording.json``."""
    clock = time.get_clock_info("time")
    return {
        "format": FORMAT,
        "software": {"name": "echoaudit", "version": __version__},
        "python": platform.python_version(),
        "study_hash": study_hash,
        "clock": {
            "created": round(time.time(), 6),
            "source": clock.implementation,
            "resolution": clock.resolution,
        },
        "config": config,
        "tools": tools,
    }


def claims_hash(study: Any) -> str | None:
    """SHA-256 of a study's claims as canonical JSON; ``None`` when it states none."""
    claims = study.get("claims") if isinstance(study, Mapping) else None
    return hashlib.sha256(canonical(claims)).hexdigest() if claims else None


def build(
    folder: Path, study_hash: str, files: Mapping[str, bytes], claims: str | None = None
) -> Journal:
    """Write a new recording beside its place and rename it there; the journal stays locked.

    ``claims`` is their hash (:func:`claims_hash`), which the first record registers.
    """
    new = folder.with_name(f".{folder.name}.new")
    durable.make_folder(new)
    journal = Journal(new / layout.JOURNAL, create=True)
    try:
        _clear(new, journal)
        for path, content in sorted(files.items()):
            durable.make_folder((new / path).parent)
            durable.write_file(new / path, content)
        entries = {path: evidence.entry_of(content) for path, content in files.items()}
        stated = {"claims": claims} if claims else {}
        journal.append(ledger.STUDY, {"hash": study_hash, "files": entries, **stated})
        durable.sync_folder(new)
        durable.rename(new, folder)
        durable.sync_folder(folder.parent)
    except BaseException:
        # What never began leaves nothing behind, unless the process is killed.
        shutil.rmtree(new, ignore_errors=True)
        journal.close()
        raise
    journal.moved(folder / layout.JOURNAL)
    return journal


def _clear(new: Path, journal: Journal) -> None:
    """Remove what a killed run left of a recording that never began."""
    journal.clear()
    for entry in list(evidence.walk(new)):
        if Path(entry.path) != new / layout.JOURNAL:
            durable.remove(Path(entry.path))
