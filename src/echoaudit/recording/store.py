"""A recording: the folder that a run writes and everything else reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from echoaudit.errors import BadInput, Damaged, EchoauditError, Unavailable
from echoaudit.recording import durable, evidence, layout, ledger
from echoaudit.recording.begin import build, claims_hash, describe
from echoaudit.recording.contents import (
    FORMAT,
    core_files,
    known_files,
    manifest_files,
    read_info,
    studied,
)
from echoaudit.recording.evidence import FileEntry
from echoaudit.recording.journal import Journal, JournalRecord, is_locked, read_journal
from echoaudit.recording.jsonfile import canonical, parse, printable
from echoaudit.recording.ledger import Ledger
from echoaudit.recording.steps import Interrupted, StepEvidence, in_order, owner, planned_ids


class Recording:
    """The evidence of one study run.

    :meth:`create` and :meth:`resume` give a recording that is written and locked against other
    runs; :meth:`open` gives one to read. Writing is safe from several threads.
    """

    def __init__(self, folder: Path, journal: Journal | None = None) -> None:
        """Read what is on disk; use the class methods instead.

        Raises:
            BadInput: not a recording, or one of a newer format.
            Damaged: its journal or its description is not as it was written.
        """
        self.folder = folder
        self.info = read_info(folder)
        text = read_journal(folder / layout.JOURNAL)
        if text.faults:
            fault = text.faults[0]
            raise Damaged(f"{printable(folder)}/{layout.JOURNAL}:{fault.line}: {fault.what}")
        self._ledger = Ledger().replay(text.records)
        self._records = list(text.records)
        self._journal = journal
        self._lock = threading.RLock()
        core = core_files(folder, self._ledger)
        self.plan: Any = parse(core[layout.PLAN], file=layout.PLAN)
        """``plan.json`` as plain values."""
        self.study: Any = parse(core[layout.STUDY_VALUES], file=layout.STUDY_VALUES)
        """``study.json`` as plain values."""
        registered = studied(self._ledger).claims
        if registered not in (None, claims_hash(self.study)):
            raise Damaged(f"{layout.STUDY_VALUES}: its claims are not those that were registered")
        self.planned: tuple[str, ...] = planned_ids(self.plan)
        """Ids of the planned steps, in the plan's order."""
        self._text = text

    # --- life ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        study_files: Mapping[str, bytes],
        study_hash: str,
        config: Mapping[str, Any],
        plan: Any,
        tools: Mapping[str, str],
        study: Any = None,
    ) -> Recording:
        """Begin a recording: what is going to be done is on disk before anything is done.

        ``study_files`` are the files as the user wrote them, by relative path; ``study`` and
        ``plan`` are the values they were read as. The folder appears whole or not at all.

        Raises:
            BadInput: the folder is there already, or a path in ``study_files`` is unusable.
            Unavailable: another run creates it too, or the disk is full or broken.
        """
        empty = folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
        if (folder.exists() or folder.is_symlink()) and not empty:
            raise BadInput("is there already; name another folder", file=folder)
        files = {
            layout.PLAN: canonical(plan) + b"\n",
            layout.STUDY_VALUES: canonical(study) + b"\n",
        }
        planned_ids(parse(files[layout.PLAN]))
        for path, content in study_files.items():
            files[f"{layout.STUDY}/{layout.check_relative(path)}"] = content
        files[layout.INFO] = canonical(describe(study_hash, config, tools)) + b"\n"
        return cls(folder, build(folder, study_hash, files, claims_hash(study)))

    @classmethod
    def resume(cls, folder: Path) -> Recording:
        """Go on with a recording that was stopped or killed; half-done steps are set aside.

        Raises:
            BadInput: not a recording, or one of a newer format.
            Damaged: the journal or the description is not as it was written.
            Unavailable: another run holds it, or the disk is full or broken.
        """
        read_info(folder)
        journal = Journal(folder / layout.JOURNAL)
        try:
            recording = cls(folder, journal)
            if not recording.sealed:
                recording._recover(journal)
            return recording
        except BaseException:
            journal.close()
            raise

    @classmethod
    def amend(cls, folder: Path, reason: str) -> Recording:
        """Add steps to a recording that no run holds, also to a sealed one.

        What was sealed stays as it is: the journal goes on after the record of the seal, so that
        the head that was known before is still a link of the chain. ``reason`` is journaled. The
        caller seals again what was sealed before (:attr:`was_sealed`).

        Raises:
            BadInput: not a recording, or one of a newer format.
            Damaged: the journal or the description is not as it was written.
            Unavailable: a run holds it, or the disk is full or broken.
        """
        recording = cls.resume(folder)
        try:
            if recording.sealed:
                recording._continue(reason)
            return recording
        except BaseException:
            recording.close()
            raise

    @classmethod
    def open(cls, folder: Path) -> Recording:
        """Read a recording; it may be running at the same time.

        Raises:
            BadInput: not a recording, or one of a newer format.
            Damaged: the journal or the description is not as it was written.
        """
        return cls(folder)

    def close(self) -> None:
        """Let other runs have the recording; nothing more can be written."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- state --------------------------------------------------------------------------------

    @property
    def study_hash(self) -> str:
        """The hash of the study, as the journal's first record states it."""
        return studied(self._ledger).hash

    @property
    def claims_hash(self) -> str | None:
        """The hash of the claims that the journal's first record registers, if it does."""
        return studied(self._ledger).claims

    @property
    def finished(self) -> frozenset[str]:
        """Ids of the finished steps."""
        with self._lock:
            return frozenset(self._ledger.finished)

    @property
    def sealed(self) -> bool:
        """Whether the recording is complete and can no longer be written."""
        return self._ledger.sealed is not None

    @property
    def was_sealed(self) -> bool:
        """Whether the recording was ever sealed, also when evidence was added since."""
        return self._ledger.seals > 0

    @property
    def amendments(self) -> int:
        """How often evidence was added after the recording had been sealed."""
        return sum(record.event == ledger.AMENDED for record in self.events())

    @property
    def locked(self) -> bool:
        """Whether a run is writing the recording now."""
        return self._journal is not None or is_locked(self.folder / layout.JOURNAL)

    @property
    def head(self) -> str:
        """SHA-256 of the journal's last line: it stands for the whole recording once sealed."""
        with self._lock:
            return self._records[-1].hash

    @property
    def origin(self) -> JournalRecord:
        """The journal's first record: all copies have it, however the recording went on."""
        with self._lock:
            return self._records[0]

    def events(self) -> Iterator[JournalRecord]:
        """All journal records so far, in their order."""
        with self._lock:
            return iter(tuple(self._records))

    def steps(self, kind: str | None = None) -> Iterator[StepEvidence]:
        """The finished steps (of one kind) in the plan's order, parts before what they are part of.

        Others come after them by id.

        Raises:
            Damaged: a finished step's folder is missing or a link leads to it.
        """
        with self._lock:
            finished = dict(self._ledger.finished)
        order = in_order(self.planned, finished)
        for id_ in order:
            if kind is None or finished[id_].kind == kind:
                yield self._evidence(finished[id_])

    def interrupted(self, step_id: str) -> list[Interrupted]:
        """A step's attempts that ended early and left something, oldest first."""
        begun: dict[int, float] = {}
        found = []
        for record in self.events():
            if record.data.get("step") != step_id:
                continue
            attempt = int(record.data["attempt"])
            if record.event == ledger.STARTED:
                begun[attempt] = record.time
            elif record.event == ledger.INTERRUPTED and record.data["kept"]:
                folder = layout.inside(self.folder, str(record.data["kept"]))
                found.append(Interrupted(attempt, folder, begun[attempt]))
        return found

    def _evidence(self, step: ledger.FinishedRecord) -> StepEvidence:
        try:
            folder = layout.inside(self.folder, step.step)
        except BadInput as error:
            raise Damaged(str(error)) from error
        if not folder.is_dir():
            raise Damaged(f"{folder}: the evidence of a finished step is missing")
        account, persona = owner(step.step)
        return StepEvidence(step.step, step.kind, account, persona, folder, step.data, step.files)

    # --- writing ------------------------------------------------------------------------------

    def record(self, event: str, /, **data: Any) -> None:
        """Write an event of the caller's own to the journal; durable on return.

        Raises:
            BadInput: ``event`` is one that the recording itself writes.
            Unavailable: the disk is full or broken.
        """
        if event in ledger.OWN_EVENTS:
            raise BadInput(f"event {event!r} is written by the recording itself")
        self._append(event, data)

    @contextmanager
    def step(self, step_id: str, kind: str, /, **data: Any) -> Iterator[Path]:
        """Record one step: yields an empty folder for its files.

        On a clean exit the files are made durable and private, hashed, moved to the step's place
        and journaled, after which the step is finished for good. On an exception they are moved
        to ``interrupted/STEP/ATTEMPT/`` and the exception goes on; one that says that the disk is
        full becomes Unavailable.

        Raises:
            BadInput: unusable id, or the step is finished or running already.
            Damaged: something is in the step's place, or a file in the folder is not regular.
            Unavailable: the disk is full or broken; the step will be done again.
        """
        attempt = self._begin(step_id, kind, data)
        staging = self._staging(step_id)
        try:
            durable.make_folder(staging)
            yield staging
            files = evidence.settle(staging)
        except BaseException as error:
            self._abandon(attempt, error)
            if isinstance(error, OSError) and durable.is_full(error):
                raise durable.unwritable(staging, error) from error
            raise
        self._finish(attempt, files)

    def seal(self) -> None:
        """End the recording: every file is hashed again and listed in the manifest.

        Sealing a sealed recording does nothing.

        Raises:
            BadInput: a step is running.
            Damaged: a file is missing, or changed since its step was recorded.
            Unavailable: the disk is full or broken.
        """
        if self.sealed:
            return
        with self._writing():
            if self._ledger.running:
                raise BadInput(f"step {min(self._ledger.running)} is still running")
            staging = self.folder / layout.STAGING
            if staging.is_dir():
                durable.remove_folder(staging)
            manifest = canonical(self._manifest()) + b"\n"
            durable.write_file(self.folder / layout.MANIFEST, manifest)
            self._append(
                ledger.SEALED,
                {"manifest": evidence.entry_of(manifest), "steps": len(self._ledger.finished)},
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One thread at a time; after a failure on disk nothing more is written."""
        with self._lock:
            journal = self._writable()
            try:
                yield
            except Unavailable:
                journal.give_up()
                raise

    def _writable(self) -> Journal:
        if self._journal is None:
            raise BadInput("the recording is open for reading only", file=self.folder)
        if self.sealed:
            raise BadInput("the recording is sealed", file=self.folder)
        self._journal.check()
        return self._journal

    def _continue(self, reason: str) -> None:
        """Journal that evidence follows the seal."""
        with self._lock:
            assert self._journal is not None
            self._journal.continue_from(self._text)
            record = self._journal.append(ledger.AMENDED, {"reason": reason})
            self._ledger.apply(record)
            self._records.append(record)

    def _append(self, event: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            record = self._writable().append(event, data)
            self._ledger.apply(record)
            self._records.append(record)

    def _staging(self, step_id: str) -> Path:
        return self.folder / layout.STAGING / layout.staged(step_id)

    def _begin(self, step_id: str, kind: str, data: Mapping[str, Any]) -> ledger.StartedRecord:
        with self._writing():
            self._ledger.check_new(step_id)
            for place in (layout.inside(self.folder, step_id), self._staging(step_id)):
                if place.exists():
                    raise Damaged(f"{place}: there although the journal does not know it")
            attempt = self._ledger.attempts.get(step_id, 0) + 1
            self._append(
                ledger.STARTED, {"step": step_id, "kind": kind, "attempt": attempt, "data": data}
            )
            return self._ledger.running[step_id]

    def _finish(self, step: ledger.StartedRecord, files: Mapping[str, FileEntry]) -> None:
        # Locked, so that no other step relies on a parent folder that is not yet durable.
        with self._writing():
            place = layout.inside(self.folder, step.step)
            self._move(self._staging(step.step), place)
            self._append(ledger.FINISHED, {**step.model_dump(), "files": files})

    def _abandon(self, step: ledger.StartedRecord, error: BaseException) -> None:
        try:
            self._interrupt(step, _reason(error))
        except EchoauditError as second:
            # The first error matters; resuming sets the step aside.
            error.add_note(str(second))

    def _interrupt(self, step: ledger.StartedRecord, reason: str) -> None:
        with self._writing():
            kept = layout.kept(step.step, step.attempt)
            target = layout.inside(self.folder, kept)
            for source in (self._staging(step.step), layout.inside(self.folder, step.step)):
                if source.is_symlink() or source.exists():
                    if target.exists():
                        raise Damaged(f"{source}: this attempt is also in {kept}")
                    evidence.settle_remains(source)
                    self._move(source, target)
            self._append(
                ledger.INTERRUPTED,
                {
                    "step": step.step,
                    "attempt": step.attempt,
                    "reason": reason,
                    "kept": kept if target.exists() else None,
                },
            )

    def _move(self, source: Path, target: Path) -> None:
        durable.make_folder(target.parent)
        durable.rename(source, target)
        durable.sync_folder(source.parent)
        durable.sync_folder(target.parent)

    def _recover(self, journal: Journal) -> None:
        """Bring a recording that was stopped anywhere back to whole steps."""
        lost = self._keep_torn() if self._text.torn else None
        journal.continue_from(self._text)
        self._append(ledger.RESUMED, {"torn": lost})
        for leftover in (layout.MANIFEST, f".{layout.MANIFEST}.new"):
            durable.remove(self.folder / leftover)
        for step in sorted(self._ledger.running.values(), key=lambda step: step.step):
            self._interrupt(step, "the run was stopped or killed")

    def _keep_torn(self) -> dict[str, Any]:
        kept = f"{layout.INTERRUPTED}/journal-{self._text.size}.torn"
        durable.make_folder(self.folder / layout.INTERRUPTED)
        durable.write_file(self.folder / kept, self._text.torn)
        return {"kept": kept, **evidence.entry_of(self._text.torn).model_dump()}

    def _manifest(self) -> dict[str, Any]:
        found = manifest_files(self.folder)
        for path, known in known_files(self._ledger).items():
            if found.get(path) != known:
                raise Damaged(f"{self.folder / path}: missing or changed since it was recorded")
        journal = evidence.measure(self.folder / layout.JOURNAL)
        return {
            "format": FORMAT,
            "files": [{"path": path, **entry.model_dump()} for path, entry in found.items()],
            "journal": journal,
        }


def _reason(error: BaseException) -> str:
    """Why a step was interrupted, without values that may be secret."""
    if isinstance(error, EchoauditError):
        return str(error).splitlines()[0][:500]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    module = trace.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} in {module}:{trace.tb_lineno}"
