"""``echoaudit status``: how far a recording is."""

from __future__ import annotations

import shlex
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from echoaudit.cli import options
from echoaudit.errors import ExitCode

if TYPE_CHECKING:
    from echoaudit.runner.pace import Pace


@click.command("status", short_help="Show how far a recording is.")
@options.recording
@options.as_json
def command(folder: Path, as_json: bool) -> int:
    """Show the steps planned, finished and interrupted in RECORDING, and what to do next."""
    from echoaudit.recording import Recording
    from echoaudit.runner.pace import measure

    recording = Recording.open(folder)
    events = list(recording.events())
    planned = set(recording.planned)
    steps = list(recording.steps())
    parts = sum(step.id not in planned for step in steps)
    finished = Counter(step.kind for step in steps if step.id in planned)
    pace = measure(recording)
    interrupted = sum(event.event == "step-interrupted" for event in events)
    state = "sealed" if recording.sealed else "running" if recording.locked else "unfinished"
    name = shlex.quote(str(folder))
    next_command = {
        "sealed": f"echoaudit report {name}",
        "running": f"echoaudit status {name}",
        "unfinished": "the command it was begun with; it resumes",
    }[state]
    value = {
        "recording": str(folder),
        "state": state,
        "planned": len(planned),
        "finished": dict(sorted(finished.items())),
        "parts": parts,
        "interrupted": interrupted,
        "pace": pace and pace.to_json(),
        "last_event": events[-1].time,
        "next": next_command,
    }
    last = datetime.fromtimestamp(events[-1].time, UTC)
    lines = [
        f"{folder}: {state}",
        f"  finished     {sum(finished.values())} of {len(planned)} steps"
        + "".join(f", {count} {kind}" for kind, count in sorted(finished.items())),
        f"  interrupted  {interrupted} (kept under interrupted/, done again)"
        + (f", {parts} of them with sentences that are not said again" if parts else ""),
        *([_pace(pace)] if pace else []),
        f"  last event   {last:%Y-%m-%d %H:%M:%S} UTC, {events[-1].event}",
        f"  next         {next_command}",
    ]
    options.show(as_json, value, lines)
    return ExitCode.OK


def _pace(pace: Pace) -> str:
    times = (pace.whole, pace.talking, pace.own, pace.least)
    whole, talking, own, least = (f"{s // 60:.0f}:{s % 60:02.0f}" for s in map(round, times))
    longest = f"the longest account's own {own} ({pace.account})"
    if pace.least > pace.own:
        longest = f"the {least} that all need in turns; {longest.replace('own', 'own is')}"
    return (
        f"  time         {whole}, of which {talking} with talk: "
        f"{pace.talking / pace.least:.2f} times {longest}"
    )
