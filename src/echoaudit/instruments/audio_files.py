"""Sound on disk: FLAC files, numbered as they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from echoaudit.errors import Unavailable
from echoaudit.instruments.audio import RATE, Samples


def soundfile_module() -> Any:
    """The soundfile module; ``Unavailable`` when the extra is not installed."""
    try:
        import soundfile
    except (ImportError, OSError) as missing:
        raise Unavailable(
            f"sound files need soundfile ({missing})", fix="pip install 'echoaudit[voice]'"
        ) from missing
    return soundfile


def keep(sound: Samples, into: Path, kind: str) -> str:
    """Write ``sound`` as the next free ``KIND-NN.flac`` of the folder; returns the file's name.

    The name appears only when the file is whole.
    """
    taken = (int(path.stem.rpartition("-")[2]) for path in into.glob(f"{kind}-*.flac"))
    name = f"{kind}-{max(taken, default=0) + 1:02d}.flac"
    unfinished = into / f".{name}.part"
    soundfile_module().write(unfinished, sound, RATE, format="FLAC", subtype="PCM_16")
    unfinished.rename(into / name)
    return name
