"""``echoaudit run``: the main job."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, EchoauditError, ExitCode, Unavailable

if TYPE_CHECKING:
    from echoaudit.recording import Recording
    from echoaudit.runner import Runner
    from echoaudit.study import LoadedStudy
    from echoaudit.study.models import Config
    from echoaudit.study.plan import Plan


NO_SPACE = 8 * 1024**2
"""Bytes below which programs begin to fail in ways of their own."""


@click.command("run", short_help="Run a study; the same command resumes.")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PERSONA..."
)
@options.config
@click.option("--world", metavar="WORLD", help="The lab's world: a name or a file.")
@click.option("--browsers", type=click.IntRange(min=1), help="Browsers at the same time.")
@click.option("--grid", metavar="URL", help="A Selenium Grid whose nodes run the browsers.")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder of the recording.")
@click.option("--new", is_flag=True, help="Start afresh even when an unfinished run could resume.")
@options.as_json
def command(
    paths: tuple[Path, ...],
    config_path: Path,
    settings: tuple[str, ...],
    world: str | None,
    browsers: int | None,
    grid: str | None,
    dry_run: bool,
    into: Path | None,
    new: bool,
    as_json: bool,
) -> int:
    """Run PERSONA files, folders of them, or a study file.

    A persona brings the control it names along. Without --config the study runs on the embedded
    lab. A run that was stopped or killed goes on where it was when the same command is given.
    """
    from echoaudit.lab import namespaces, startup
    from echoaudit.runner.profiles import beside
    from echoaudit.study import load_config, load_study, merge
    from echoaudit.study.plan import describe, plan

    settings += (f"parallel.browsers={browsers}",) if browsers else ()
    settings += (f"browser.grid={grid}",) if grid else ()
    written = load_config(config_path, options.parse_settings(settings))
    if world is not None:
        if written.lab is None:
            raise BadInput(
                f"{config_path} has no lab, so no world; allowed: a configuration with lab:; "
                f"example: --config {options.DEFAULT_CONFIG}",
                file="--world",
            )
        written = load_config(config_path, {**options.parse_settings(settings), "lab.world": world})
    study = load_study(paths, written)
    folder = _folder(study, written, into, new)
    private = beside(folder)
    config = written
    if written.lab is not None:
        config = merge(written, startup.overlay(study, written, private / "lab"))
    steps = plan(study, config)
    if dry_run:
        options.show(as_json, steps.to_json(), describe(steps))
        return ExitCode.OK
    job = Job(study, written, config, steps, folder, private)
    if _is_sealed(job):
        return _conclude(job, as_json)
    if written.lab is None:
        _require(job)
        _record(job, health=lambda: None)
    elif namespaces.inside():
        _require(job)
        with startup.boot(study, written, private / "lab") as health:
            _record(job, health)
    else:
        namespaces.enter(_same_command(folder))
    return _conclude(job, as_json)


@dataclass(frozen=True)
class Job:
    """One run: what was asked for, and where it goes."""

    study: LoadedStudy
    written: Config
    """The configuration as the user wrote it."""
    config: Config
    """The same with what the place itself brings, such as the lab's interfaces."""
    plan: Plan
    folder: Path
    private: Path
    """Folder for what must never be in a recording: profiles, sockets, the lab's state."""

    @property
    def report(self) -> Path:
        """Where the report goes."""
        return self.config.folders.reports / f"{self.folder.name}.html"


def _same_command(folder: Path) -> list[str]:
    arguments = [a for a in sys.argv[1:] if a != "--new"]
    if "--into" not in " ".join(arguments):
        arguments += ["--into", str(folder)]
    return [sys.executable, "-m", "echoaudit", *arguments]


def _folder(study: LoadedStudy, config: Config, into: Path | None, new: bool) -> Path:
    """The recording's folder: the one named, an unfinished one of this very run, or a new one."""
    from datetime import UTC, datetime

    from echoaudit.recording import Recording

    if into is not None:
        return into
    root = config.folders.recordings
    if not new and root.is_dir():
        for folder in sorted(root.iterdir(), reverse=True):
            if not (folder / "recording.json").is_file():
                continue
            try:
                recording = Recording.open(folder)
            except EchoauditError as error:
                click.echo(f"left alone: {error}", err=True)
                continue
            if not recording.sealed and _same_run(recording, study, config):
                return folder
    return root / f"{study.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _is_sealed(job: Job) -> bool:
    """Whether nothing is left to record.

    Raises:
        BadInput: the folder holds something else than this very run, or a file is in its way.
    """
    from echoaudit.recording import Recording

    if not (job.folder / "recording.json").exists():
        if job.folder.exists() and (not job.folder.is_dir() or any(job.folder.iterdir())):
            raise BadInput(
                "is there and no recording; allowed: a new or empty folder, or a recording to go "
                "on with; example: --into recordings/again",
                file=job.folder,
            )
        return False
    recording = Recording.open(job.folder)
    _refuse_other(recording, job)
    return recording.sealed


def _require(job: Job) -> None:
    from echoaudit.cli import doctor

    options.require_writable(job.report)
    if job.config.speaker.engine == "files":
        from echoaudit.instruments.voices_recorded import require
        from echoaudit.runner.conversation import everything_said

        require(everything_said(job.plan, job.config.conversation), job.config.speaker)
    doctor.require(job.written, job.folder)
    talking = [t.account.id for w in job.plan.waves if w.kind == "sessions" for t in w.tracks]
    without = [account for account in talking if account not in job.config.devices]
    if without:
        known = ", ".join(sorted(job.config.devices)) or "none"
        raise BadInput(
            f"no device for account {', '.join(without)} (devices: {known}); allowed: one for each "
            f"account; example: devices: {{{without[0]}: {{mac: 'fc:65:de:00:00:01'}}}}"
        )


def _same_run(recording: Recording, study: LoadedStudy, config: Config) -> bool:
    same_study = recording.study_hash == study.hash
    return same_study and recording.info.get("config") == _portable(config)


def _portable(config: Config) -> dict[str, Any]:
    """The configuration as plain values, with paths relative to the working directory."""
    import os

    def relative(value: Any) -> Any:
        if isinstance(value, Path):
            return os.path.relpath(value)
        if isinstance(value, dict):
            return {key: relative(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [relative(item) for item in value]
        return value

    plain = relative(config.model_dump(mode="python"))
    assert isinstance(plain, dict)
    return plain


def _recording(job: Job) -> Recording:
    from echoaudit.recording import Recording
    from echoaudit.runner.tools import tools

    if not (job.folder / "recording.json").exists():
        return Recording.create(
            job.folder,
            study_files=job.study.files,
            study_hash=job.study.hash,
            study=job.study.to_json(),
            config=_portable(job.written),
            plan=job.plan.to_json(),
            tools=tools(),
        )
    return Recording.resume(job.folder)


def _refuse_other(recording: Recording, job: Job) -> None:
    if not _same_run(recording, job.study, job.written):
        raise BadInput(
            "holds the recording of another study or configuration; allowed: a new folder, or "
            "the very command it was begun with; example: --into recordings/again",
            file=job.folder,
        )


def _record(job: Job, health: Callable[[], None]) -> None:
    from echoaudit.runner import Rooms, Runner, progress_for

    rooms = Rooms(job.config.folders.profiles or job.private / "profiles", job.private / "state")
    with _recording(job) as recording:
        if recording.sealed:
            return
        total = len(job.plan.steps)
        done = sum(step.id in recording.finished for step in job.plan.steps)
        with progress_for(job.plan, job.config, recording.finished) as progress:
            progress.note(f"recording {job.folder}, {total} steps, {done} done")
            runner = Runner(
                job.config, job.plan, recording, rooms, progress, health, job.study.voices
            )
            _stop_on_signal(runner)
            try:
                runner.run()
            except Exception as error:
                _explain(job, error, health)
                raise
        recording.seal()


def _explain(job: Job, error: Exception, health: Callable[[], None]) -> None:
    """Raise the cause of an error instead, where it is not the error itself."""
    from echoaudit.cli.doctor import free_space

    free = free_space(job.private)
    if free < NO_SPACE and not isinstance(error, BadInput):
        raise Unavailable(
            f"the disk of {job.folder} is full ({free // 1024} KiB are left)",
            fix="free disk space, then run the same command",
        ) from error
    # Whatever fails in a world that has ended is told by what ended it.
    health()


def _stop_on_signal(runner: Runner) -> None:
    """First Ctrl-C ends after the steps that are running, the second ends at once."""

    def stop(number: int, frame: object) -> None:
        click.echo("stopping after the steps that are running; again to stop at once", err=True)
        runner.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _conclude(job: Job, as_json: bool) -> int:
    from echoaudit import findings
    from echoaudit.lists import Store
    from echoaudit.recording import Recording

    recording = Recording.open(job.folder)
    found = findings.replay(recording, job.report, Store.default().installed())
    options.show_verdicts(as_json, found, job.folder, job.report)
    return ExitCode.OK
