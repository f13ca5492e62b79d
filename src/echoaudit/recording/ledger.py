"""What the journal's records add up to: which steps are planned, begun, finished, interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from echoaudit.errors import BadInput, Damaged
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.journal import JournalRecord
from echoaudit.recording.layout import check_relative, check_step_id

STUDY = "study"
RESUMED = "resumed"
STARTED = "step-started"
FINISHED = "step-finished"
INTERRUPTED = "step-interrupted"
SEALED = "sealed"
AMENDED = "amended"


class _Payload(BaseModel):
    # Unknown keys are allowed: a later version may add some without a new format number.
    model_config = ConfigDict(frozen=True, strict=True)


class StudyRecord(_Payload):
    """``study``, the first record: what was going to be done, before anything was."""

    hash: str
    files: dict[str, FileEntry]
    claims: str | None = None
    """SHA-256 of the claims as canonical JSON: they were stated before anything was done."""


class StartedRecord(_Payload):
    """``step-started``: an attempt at a step begins."""

    step: str
    kind: str
    attempt: int = Field(ge=1)
    data: dict[str, Any]


class FinishedRecord(StartedRecord):
    """``step-finished``: the attempt's evidence is whole and in its place."""

    files: dict[str, FileEntry]


class InterruptedRecord(_Payload):
    """``step-interrupted``: the attempt ended early; what it had is under ``kept``, if anything."""

    step: str
    attempt: int = Field(ge=1)
    reason: str
    kept: str | None


class SealedRecord(_Payload):
    """``sealed``, the last record; after it only ``amended`` may come."""

    manifest: FileEntry
    steps: int = Field(ge=0)


class AmendedRecord(_Payload):
    """``amended``: evidence that came after the recording was sealed follows, and a new seal."""

    reason: str


class Ledger:
    """The state of a recording after a number of journal records."""

    def __init__(self) -> None:
        self.study: StudyRecord | None = None
        self.sealed: SealedRecord | None = None
        self.seals = 0
        """How often it was sealed."""
        self.attempts: dict[str, int] = {}
        self.running: dict[str, StartedRecord] = {}
        self.finished: dict[str, FinishedRecord] = {}
        self._prefixes: set[str] = set()

    def replay(self, records: Iterable[JournalRecord]) -> Ledger:
        """Apply records in their order.

        Raises:
            Damaged: the first one that does not fit.
        """
        for record in records:
            self.apply(record)
        return self

    def apply(self, record: JournalRecord) -> None:
        """Take one more record into account.

        Raises:
            Damaged: it has the wrong shape or cannot follow what was before.
        """
        try:
            self._order(record)
            handler = _HANDLERS.get(record.event)
            if handler is not None:
                handler(self, record)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _misfit(record, f"{where!a}: {first['msg']}") from error
        except BadInput as error:
            raise _misfit(record, error.message) from error

    def _order(self, record: JournalRecord) -> None:
        if (record.event == STUDY) != (self.study is None):
            raise BadInput("the first record, and no other, must be the study's")
        if self.sealed is not None and record.event != AMENDED:
            raise BadInput("comes after the recording was sealed")
        if self.sealed is None and record.event == AMENDED:
            raise BadInput("the recording was not sealed, so there was nothing to amend")

    def _study(self, record: JournalRecord) -> None:
        study = StudyRecord.model_validate(record.data)
        for path in study.files:
            check_relative(path)
        self.study = study

    def check_new(self, step: str) -> None:
        """Whether a step may begin now.

        Raises:
            BadInput: unusable id, finished or running already, or its folder would be inside
                another step's or contain it.
        """
        check_step_id(step)
        if step in self.finished or step in self.running:
            raise BadInput(f"step {step} is finished or running already")
        ancestors = _ancestors(step)
        if step in self._prefixes or any(parent in self.attempts for parent in ancestors):
            raise BadInput(f"step {step} and another step would be inside each other")

    def _started(self, record: JournalRecord) -> None:
        started = StartedRecord.model_validate(record.data)
        self.check_new(started.step)
        if started.attempt != self.attempts.get(started.step, 0) + 1:
            raise BadInput(f"attempt {started.attempt} of {started.step} is out of order")
        self.attempts[started.step] = started.attempt
        self.running[started.step] = started
        self._prefixes.update(_ancestors(started.step))

    def _finished(self, record: JournalRecord) -> None:
        finished = FinishedRecord.model_validate(record.data)
        self._end(finished.step, finished.attempt)
        for name in finished.files:
            check_relative(name)
        self.finished[finished.step] = finished

    def _interrupted(self, record: JournalRecord) -> None:
        interrupted = InterruptedRecord.model_validate(record.data)
        self._end(interrupted.step, interrupted.attempt)

    def _end(self, step: str, attempt: int) -> None:
        started = self.running.pop(step, None)
        if started is None or started.attempt != attempt:
            raise BadInput("ends an attempt that was not running")

    def _seal(self, record: JournalRecord) -> None:
        sealed = SealedRecord.model_validate(record.data)
        if self.running:
            raise BadInput("sealed while a step was running")
        self.sealed = sealed
        self.seals += 1

    def _amend(self, record: JournalRecord) -> None:
        AmendedRecord.model_validate(record.data)
        self.sealed = None


_HANDLERS: dict[str, Callable[[Ledger, JournalRecord], None]] = {
    STUDY: Ledger._study,
    STARTED: Ledger._started,
    FINISHED: Ledger._finished,
    INTERRUPTED: Ledger._interrupted,
    SEALED: Ledger._seal,
    AMENDED: Ledger._amend,
}
OWN_EVENTS = frozenset({*_HANDLERS, RESUMED})
"""Events that only the recording itself writes."""


def _ancestors(step: str) -> list[str]:
    parts = step.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _misfit(record: JournalRecord, what: str) -> Damaged:
    return Damaged(f"journal record {record.seq} ({record.event[:40]!a}): {what}")
