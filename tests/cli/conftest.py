"""A stranger's working directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_kit import ROOT, Stranger


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    for name in ("personas", "configs", "skills", "worlds"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return Stranger(tmp_path)
