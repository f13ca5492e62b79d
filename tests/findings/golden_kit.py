"""The recorded lab run's findings, read from where they are kept: that they follow from the
evidence is tested in ``tests/golden``."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from echoaudit import findings
from echoaudit.findings.tables import schemas
from echoaudit.recording import Recording

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"


def golden() -> findings.Findings:
    known = {
        name: schema.conform(pq.read_table(GOLDEN / "findings" / f"{name}.parquet").to_pandas())
        for name, schema in schemas().items()
    }
    return findings.compute(Recording.open(GOLDEN), known=known)
