"""A small study on disk that each test may spoil in its own way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from echoaudit.study import load_config
from echoaudit.study.models import Config

FASHION = "persona: fashion\nskills: ../skills/fashion.yaml\ncontrol: vanilla\n"
VANILLA = "persona: vanilla\n"
SKILLS = """\
catalogue: fashion
interest: Fashion & Style
source: {kind: a test, date: 2017-01-01}
skills:
  - id: A1
    name: Style Check
    invocation: style check
    utterances: ["Alexa, open Style Check.", "Alexa, ask Style Check for help."]
  - id: A2
    name: Dress Me
    invocation: dress me
    utterances: ["Alexa, open Dress Me."]
"""
CONFIG = "config: here\nsites: [{site: news, url: 'https://news.example/'}]\n"

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file below a fresh working directory that holds a good study already."""
    monkeypatch.chdir(tmp_path)

    def put(name: str, text: str | bytes) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    put("personas/fashion.yaml", FASHION)
    put("personas/vanilla.yaml", VANILLA)
    put("skills/fashion.yaml", SKILLS)
    put("configs/here.yaml", CONFIG)
    return put


@pytest.fixture
def config(write: Write) -> Config:
    """The configuration of the good study."""
    return load_config(Path("configs/here.yaml"))
