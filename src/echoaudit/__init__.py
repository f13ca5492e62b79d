"""Audit ad tracking by smart speakers: speak, capture, crawl, infer, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from echoaudit.findings.opened import Opened

__all__ = ["open"]
__version__ = "0.1.0"


def open(recording: Path | str) -> Opened:
    """Open a recording for analysis; see ``docs/python.md``.

    The result's attributes are the tables of findings as data frames (``.bids``, ``.endpoints``
    and so on) and ``.conclusions``, computed from the evidence when first asked for. Nothing is
    written.

    Args:
        recording: the recording's folder.

    Raises:
        BadInput: it is no recording, or one of a newer format.
        Damaged: its journal is not what was recorded.
    """
    from echoaudit.findings.opened import Opened

    return Opened(recording)
