"""The lab's working directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lab_kit import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The project's own study files, as a user has them."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("personas", "configs", "skills", "worlds"):
        shutil.copytree(ROOT / name, folder / name)
    return Lab(folder)
