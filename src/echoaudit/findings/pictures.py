"""Small pictures of ads for the report, drawn anew from what the pages showed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording

SIDES = (300, 250)
"""Pixels that a picture fills at most; browsers shrink it further."""
BUDGET = 700_000
"""Bytes of all pictures of a report, which is to stay below 2 MB."""
MOST = 60
QUALITY = 60


def pictures(recording: Recording, ads: pd.DataFrame, shown: list[str]) -> dict[str, bytes]:
    """A JPEG of each creative in ``shown``, in that order, until the budget is spent.

    A file from a recording is hostile: what is passed on are pixels decoded here and encoded
    again, in whole-number arithmetic, so that every machine makes the same bytes. A creative whose
    pictures are none, or are missing, has none. ``ads`` is the table ``ads``.
    """
    with_image = ads[ads["image"] != ""].sort_values(["visit", "index"])
    places: dict[str, list[tuple[str, str]]] = {}
    for row in with_image.itertuples():
        places.setdefault(str(row.creative), []).append((str(row.visit), str(row.image)))
    steps = {step.id: step for step in recording.steps("visit")}
    found: dict[str, bytes] = {}
    left = BUDGET
    for creative in shown:
        if len(found) == MOST:
            break
        for visit, image in places.get(creative, [])[:3]:
            step = steps.get(visit)
            small = small_picture(step.path(image)) if step and step.has(image) else None
            if small is not None and len(small) <= left:
                found[creative] = small
                left -= len(small)
                break
    return found


def small_picture(path: Path) -> bytes | None:
    """A PNG as a small JPEG on white; ``None`` when it is no picture or has no size."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            flat = Image.new("RGB", image.size, "white")
            layer = image.convert("RGBA")
            flat.paste(layer, mask=layer)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    flat.thumbnail(SIDES, Image.Resampling.BOX)
    encoded = io.BytesIO()
    flat.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()
