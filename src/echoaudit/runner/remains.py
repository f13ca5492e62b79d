"""What an interrupted session has said already: a part of its own, and never said again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit.recording import read_json, write_json
from echoaudit.recording.torn import cut_torn
from echoaudit.runner.conversation import Sentence
from echoaudit.runner.enabling import STORE

if TYPE_CHECKING:
    from echoaudit.recording import Interrupted, Recording
    from echoaudit.study.plan import Step

TRANSCRIPT, SESSION = "transcript.json", "session.json"
TRAFFIC = (
    "traffic.pcapng", "capture.json", "names.jsonl", "proxy.mitm", "proxy.jsonl", "keys.log",
    "probes.jsonl",
)  # fmt: skip


def keep_parts(
    recording: Recording, step: Step, about: Callable[[float, float], dict[str, Any]]
) -> list[Sentence]:
    """Finish a part for each interrupted attempt at a session in which something was delivered.

    A part is a step of its own, ``STEP.ATTEMPT``; what was interrupted stays where it is, too.
    ``about`` makes the ``session.json`` of a session from its beginning and end.

    Returns:
        What was delivered, sentence by sentence.
    """
    delivered = []
    for attempt in recording.interrupted(step.id):
        turns = _turns(attempt.folder)
        heard = [turn for turn in turns if turn["delivered"]]
        delivered += [Sentence(turn["purpose"], turn["text"]) for turn in heard]
        part = f"{step.id}.{attempt.attempt}"
        if heard and part not in recording.finished:
            with recording.step(part, step.kind, **step.to_json()) as folder:
                _copy(attempt.folder, turns, folder)
                record = about(attempt.started, _end(attempt))
                write_json(folder / SESSION, {**record, "part_of": step.id})
    return delivered


def left(to_say: Iterable[Sentence], delivered: Iterable[Sentence]) -> Iterator[Sentence]:
    """What is still to say: each delivered sentence counts once."""
    done = Counter((sentence.purpose, sentence.text) for sentence in delivered)
    for sentence in to_say:
        if done[sentence.purpose, sentence.text]:
            done[sentence.purpose, sentence.text] -= 1
        else:
            yield sentence


def _turns(folder: Path) -> list[dict[str, Any]]:
    file = folder / TRANSCRIPT
    turns = read_json(file) if file.exists() else []
    assert isinstance(turns, list)
    return turns


def _copy(source: Path, turns: Iterable[Mapping[str, Any]], target: Path) -> None:
    sounds = [turn[end]["file"] for turn in turns for end in ("said", "heard")]
    pictures = [file.name for file in source.glob("store-*.png")]
    for name in (TRANSCRIPT, STORE, *sounds, *pictures, *TRAFFIC):
        if (source / name).is_file():
            shutil.copy2(source / name, target / name)
            cut_torn(target / name)


def _end(attempt: Interrupted) -> float:
    """When the last of its evidence was written, in seconds since 1970."""
    files = (attempt.folder / name for name in (TRANSCRIPT, *TRAFFIC))
    return max(file.stat().st_mtime for file in files if file.is_file())
