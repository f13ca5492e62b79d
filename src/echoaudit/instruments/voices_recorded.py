"""Sentences that a person has spoken: a folder of sound files with an index of what each says."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from echoaudit.errors import BadInput
from echoaudit.study.models import SpeakerSettings
from echoaudit.study.replies import words_of

INDEX = "index.csv"
"""Columns ``text`` and ``file``; files lie in the same folder, WAV or FLAC at any rate."""
COLUMNS = ("text", "file")
SHOWN = 3
"""Missing sentences that are named; the others are counted."""


def recorded(text: str, settings: SpeakerSettings) -> bytes:
    """The file in which ``text`` is said, whatever its case and punctuation.

    Raises:
        BadInput: there is no index, or nobody said this.
    """
    folder = _folder(settings)
    file = _index(folder).get(words_of(text))
    if file is None:
        raise BadInput(_unsaid([text]), file=folder / INDEX)
    return file.read_bytes()


def require(texts: Iterable[str], settings: SpeakerSettings) -> None:
    """Make sure that every one of ``texts`` was recorded.

    Raises:
        BadInput: in one line: the index cannot be used, or sentences are missing.
    """
    folder = _folder(settings)
    index = _index(folder)
    missing = [text for text in dict.fromkeys(texts) if words_of(text) not in index]
    if missing:
        raise BadInput(_unsaid(missing), file=folder / INDEX)


def _unsaid(missing: list[str]) -> str:
    more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
    named = ", ".join(repr(text) for text in missing[:SHOWN])
    return f"no recording of {named}{more}; allowed: a row for each sentence; example: hello,a.wav"


def _folder(settings: SpeakerSettings) -> Path:
    if settings.folder is None:
        raise BadInput(
            "speaker.engine is files, but there is no speaker.folder; allowed: a folder with "
            f"{INDEX}; example: folder: ../voices/robin"
        )
    if settings.speed != 1.0:
        raise BadInput(f"speaker.speed is {settings.speed:g}: recordings are played at 1.0 only")
    return settings.folder


def _index(folder: Path) -> dict[str, Path]:
    """Files by the words that they say."""
    path = folder / INDEX
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"cannot be read ({error})", file=path) from error
    found = {}
    for line, row in enumerate(rows, 2):
        text, name = (row.get(column) or "" for column in COLUMNS)
        if not words_of(text) or not name:
            allowed = f"columns {' and '.join(COLUMNS)}, both filled"
            raise BadInput(f"no text or no file; allowed: {allowed}", file=path, line=line)
        if Path(name).name != name or not (folder / name).is_file():
            raise BadInput(f"no file {name!r} in this folder", file=path, line=line)
        found[words_of(text)] = folder / name
    return found
