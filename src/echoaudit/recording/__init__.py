"""The evidence on disk: written durably, journaled, sealed, verified, read back."""

from echoaudit.recording.check import Level, Problem, verify
from echoaudit.recording.contents import FORMAT
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.journal import JournalRecord
from echoaudit.recording.jsonfile import (
    canonical,
    read_bytes,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
)
from echoaudit.recording.redact import redact
from echoaudit.recording.steps import Interrupted, StepEvidence
from echoaudit.recording.store import Recording

__all__ = [
    "FORMAT",
    "FileEntry",
    "Interrupted",
    "JournalRecord",
    "Level",
    "Problem",
    "Recording",
    "StepEvidence",
    "canonical",
    "read_bytes",
    "read_json",
    "read_jsonl",
    "redact",
    "verify",
    "write_json",
    "write_jsonl",
]
