"""Replay: the facts, conclusions and report of a recording, computed from its evidence alone.

The same recording gives the same bytes on every machine: nothing here knows the time, the machine
or where the recording lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit import __version__
from echoaudit.errors import BadInput
from echoaudit.findings.claims import NONE_LATER, Later, about_interests, claims_of, parse_later
from echoaudit.findings.compare import Difference, differences
from echoaudit.findings.labels import NONE, Labels, parse_labels
from echoaudit.findings.store import arrow, digest, read_folder, write_folder, write_text

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.inference import Conclusion, Unfinished
    from echoaudit.lists import Installed
    from echoaudit.recording import Recording

__all__ = [
    "Difference",
    "Findings",
    "check",
    "compute",
    "kept_claims",
    "kept_labels",
    "replay",
    "write",
    "write_report",
]

FOLDER = "findings"
LABELS = "labels.csv"
"""A person's labels, beside the findings that rest on them."""
CLAIMS = "claims.json"
"""Claims stated after the run, beside the conclusions about them."""


@dataclass(frozen=True)
class Findings:
    """Everything that follows from a recording."""

    tables: Mapping[str, pd.DataFrame]
    """One per outcome; ``steps`` and ``delivery``: what was planned and what became of it;
    ``parties``: who owns the domains that exchange identifiers; ``attribution``: which contacts
    count for a skill; ``shares`` and ``reach``: who received how much of that; ``imc2023``: the
    published study's tests; ``excluded``: sessions that a rule of the study leaves out."""
    conclusions: tuple[Conclusion, ...]
    provenance: Mapping[str, Any]
    """The recording's hashes and the tables': what the findings rest on, and what they are."""
    warnings: tuple[str, ...]
    """What a reader must know before believing anything, worst first."""
    labels: Labels = NONE
    """The person's labels that they rest on."""
    later: Later = NONE_LATER
    """Claims stated after the run."""


def compute(
    recording: Recording,
    lists: Sequence[Installed] = (),
    labels: Labels = NONE,
    known: Mapping[str, pd.DataFrame] | None = None,
    later: Later = NONE_LATER,
) -> Findings:
    """Derive all tables and judge all claims of the recording's study.

    Args:
        recording: the evidence.
        lists: what the user's own lists say is added as the table ``listed``.
        labels: a person's corrections of which segments of streams are ads.
        known: tables of this recording that were computed before, with the same labels.
        later: claims stated after the run, which are exploratory.

    Raises:
        BadInput: the recording's study or evidence is not in the documented form.
        Damaged: evidence is missing or changed.
        Unavailable: a list is not installed.
    """
    from echoaudit.findings import tables as registry
    from echoaudit.findings.bid_rate import opportunities
    from echoaudit.inference import conclude_all
    from echoaudit.report import warnings

    tables = registry.tables(recording, registry.schemas(), labels, known)
    if lists:
        from echoaudit.findings.listed import listed_table
        from echoaudit.lists import Store

        tables["listed"] = listed_table(tables, lists, Store.default())
    # Claims about bids count the same visits as the rates do.
    judged = {**tables, "bids": opportunities(tables["bids"], tables["steps"])}
    stated = claims_of(recording.study)
    asked = about_interests([*stated, *later.claims], tables["data_requests"])
    unfinished = _unfinished(recording, tables["steps"])
    conclusions = tuple(conclude_all(stated, judged, [*later.claims, *asked], unfinished))
    provenance = _provenance(recording, tables, lists, labels)
    if later.claims:
        provenance["claims"] = {"sha256": later.sha256, "stated_after_the_run": len(later.claims)}
    if recording.claims_hash:
        provenance["recording"]["claims_hash"] = recording.claims_hash
    if recording.amendments:
        provenance["recording"]["amended"] = recording.amendments
    notes = warnings(tables, conclusions)
    if _has_ads(tables):
        from echoaudit.findings.interests import wordless

        notes = (*notes, *wordless(recording.study))
    return Findings(tables, conclusions, provenance, notes, labels, later)


def _has_ads(tables: Mapping[str, pd.DataFrame]) -> bool:
    return bool(len(tables["ads"]) or len(tables["audio_ads"]))


def _own_lists(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """SHA-256 of the lists that come with echoaudit and that streams and ads were read by."""
    used = ["brands.yaml", "ad_phrases.yaml"] if len(tables["audio_segments"]) else []
    used += ["interests.yaml"] if _has_ads(tables) else []
    place = resources.files("echoaudit.outcomes.lists")
    return {name: hashlib.sha256(place.joinpath(name).read_bytes()).hexdigest() for name in used}


def _unfinished(recording: Recording, steps: pd.DataFrame) -> Unfinished | None:
    """How far a run is that has not come to its end; ``None`` once it is sealed or lacks nothing.

    A run whose steps failed ends and is sealed, and so is others' evidence when it is imported.
    """
    from echoaudit.inference import Unfinished

    missing = int((steps["state"] == "missing").sum())
    return Unfinished(missing, len(steps)) if missing and not recording.was_sealed else None


def _provenance(
    recording: Recording,
    tables: Mapping[str, pd.DataFrame],
    lists: Sequence[Installed],
    labels: Labels,
) -> dict[str, Any]:
    used: dict[str, Any] = {"lists": [one.model_dump() for one in lists]} if lists else {}
    if own := _own_lists(tables):
        used["own_lists"] = own
    if labels.rows:
        used["labels"] = {"sha256": labels.sha256, "segments": len(labels.rows)}
    return {
        **used,
        "analysis": {"name": "echoaudit", "version": __version__},
        "recording": {
            "format": recording.info["format"],
            "journal_head": recording.head,
            "sealed": recording.sealed,
            "study_hash": recording.study_hash,
        },
        "tables": {
            name: {"rows": len(table), "sha256": digest(arrow(table))}
            for name, table in sorted(tables.items())
        },
    }


def write(recording_folder: Path, findings: Findings) -> Path:
    """Write the findings into the recording's ``findings`` folder, whole or not at all.

    Findings are no evidence: earlier ones are replaced. Returns the folder.
    """
    documents = {
        "conclusions.json": [conclusion.to_json() for conclusion in findings.conclusions],
        "findings.json": {**findings.provenance, "warnings": list(findings.warnings)},
    }
    files = {LABELS: findings.labels.data} if findings.labels.rows else {}
    if findings.later.claims:
        files[CLAIMS] = findings.later.data
    return write_folder(recording_folder / FOLDER, findings.tables, documents, files)


def check(recording: Recording) -> list[Difference]:
    """Compute the findings again and compare them with those in the recording.

    Empty when the recording's findings follow from its evidence, to the last digit. The lists are
    those that the findings name, whatever is installed now.

    Raises:
        Unavailable: such a list was never installed here.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="echoaudit-") as scratch:
        recorded = read_folder(recording.folder / FOLDER)
        found = compute(recording, _lists(recorded), _labels(recorded), later=_later(recorded))
        again = write(Path(scratch), found)
        return differences(recorded, read_folder(again))


def kept_labels(recording: Recording) -> Labels:
    """The labels that the recording's present findings rest on.

    Raises:
        BadInput: they are no labels.
    """
    return _labels(read_folder(recording.folder / FOLDER))


def kept_claims(recording: Recording) -> Later:
    """The claims stated after the run that the recording's present findings judge.

    Raises:
        BadInput: they are no claims.
    """
    return _later(read_folder(recording.folder / FOLDER))


def _later(recorded: Mapping[str, bytes]) -> Later:
    return parse_later(recorded[CLAIMS], CLAIMS) if CLAIMS in recorded else NONE_LATER


def _labels(recorded: Mapping[str, bytes]) -> Labels:
    return parse_labels(recorded[LABELS], Path(LABELS)) if LABELS in recorded else NONE


def _lists(recorded: Mapping[str, bytes]) -> tuple[Installed, ...]:
    """The lists that findings say they rest on; none when they cannot be read."""
    from pydantic import TypeAdapter, ValidationError

    from echoaudit.lists import Installed
    from echoaudit.recording.jsonfile import parse

    try:
        stated = parse(recorded.get("findings.json", b"{}"))
        lists = stated.get("lists", []) if isinstance(stated, dict) else []
        return TypeAdapter(tuple[Installed, ...]).validate_python(lists)
    except (BadInput, ValidationError):
        # What is wrong with the file comes out as differences from what follows.
        return ()


def write_report(
    recording: Recording, findings: Findings, report: Path, methods: Sequence[str] = ()
) -> None:
    """Write the report of a recording's findings to a file, whole or not at all.

    ``methods`` names other methods to show beside the conclusions (``imc2023``).
    """
    from echoaudit.findings.pictures import pictures
    from echoaudit.report import render
    from echoaudit.report.ads import gallery_order

    shown = gallery_order(findings.tables["ad_creatives"])
    page = render(
        {**recording.info, "study": recording.study},
        findings.tables,
        findings.conclusions,
        findings.provenance,
        methods,
        pictures(recording, findings.tables["ads"], shown),
    )
    write_text(report, page)


def replay(
    recording: Recording,
    report: Path,
    lists: Sequence[Installed] = (),
    methods: Sequence[str] = (),
    labels: Labels = NONE,
    later: Later = NONE_LATER,
) -> Findings:
    """Compute findings and report from the evidence and write both; see :func:`compute`."""
    findings = compute(recording, lists, labels, later=later)
    write(recording.folder, findings)
    write_report(recording, findings, report, methods)
    return findings
