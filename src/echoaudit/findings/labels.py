"""A person's corrections of what the rules call an ad, from a CSV file."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from echoaudit.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("segment", "is_ad", "brand")
YES, NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


@dataclass(frozen=True)
class Label:
    """What a person says of one segment."""

    is_ad: bool
    brand: str


@dataclass(frozen=True)
class Labels:
    """A file of labels: its bytes are kept with the findings, which cite their hash."""

    data: bytes = b""
    by_segment: Mapping[str, Label] | None = None

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def rows(self) -> Mapping[str, Label]:
        """Labels by segment."""
        return self.by_segment or {}


NONE = Labels()


def read_labels(path: Path) -> Labels:
    """The labels in a CSV file with the columns segment, is_ad and brand; others are ignored.

    Raises:
        BadInput: another form, or a segment twice; named with its line.
    """
    try:
        return parse_labels(path.read_bytes(), path)
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8; allowed: a CSV file in UTF-8", file=path) from error


def parse_labels(data: bytes, path: Path) -> Labels:
    """As :func:`read_labels`, from bytes."""
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise BadInput(
            f"has no column {missing[0]!r}; allowed: the columns {', '.join(COLUMNS)}; "
            "example: echoaudit table RECORDING audio_segments --format csv",
            file=path,
            line=1,
        )
    found: dict[str, Label] = {}
    for row in rows:
        segment, word = (row["segment"] or "").strip(), (row["is_ad"] or "").strip().lower()
        if not segment or segment in found or word not in YES | NO:
            what = f"segment {segment!r} again" if segment in found else f"is_ad {word!r}"
            raise BadInput(
                f"{what if segment else 'no segment'}; allowed: each segment once, is_ad yes or "
                "no; example: fashion-1/streams/01-pandora@00036.8,yes,Nike",
                file=path,
                line=rows.line_num,
            )
        found[segment] = Label(word in YES, (row["brand"] or "").strip())
    return Labels(data, found)


def labelled(segments: pd.DataFrame, labels: Mapping[str, Label]) -> pd.DataFrame:
    """The segments as the labels say.

    A label holds for every segment that is the same sound, unless that one has its own.

    Raises:
        BadInput: a label of a segment that is not there.
    """
    unknown = sorted(labels.keys() - set(segments["segment"]))
    if unknown:
        raise BadInput(
            f"label of segment {unknown[0]!r}, which this recording does not have; allowed: "
            "those of echoaudit table RECORDING audio_segments"
        )
    if not labels:
        return segments
    sounds = dict(zip(segments["segment"], segments["sound"], strict=True))
    shared = _shared({(sounds[segment], label) for segment, label in labels.items()})
    given = [labels.get(segment) or shared.get(sound) for segment, sound in sounds.items()]
    known = [(place, label) for place, label in enumerate(given) if label is not None]
    columns = {name: segments[name].tolist() for name in ("is_ad", "brand", "confidence", "basis")}
    for place, label in known:
        columns["is_ad"][place] = label.is_ad
        columns["brand"][place] = label.brand
        columns["confidence"][place] = "label" if label.is_ad else ""
        columns["basis"][place] = "label"
    return segments.assign(**columns)


def _shared(opinions: set[tuple[str, Label]]) -> dict[str, Label]:
    """The labels on which there is one opinion for a sound; two hold for their segments only."""
    counts = Counter(sound for sound, _ in opinions)
    return {sound: label for sound, label in opinions if counts[sound] == 1}
