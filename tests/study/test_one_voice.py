"""The voice is the same for all personas, unless it is what the study varies."""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_study
from echoaudit.study.models import Config

from .conftest import Write

PERSONA = "persona: old\nspeaks_with:\n  voice: rms\n"


def test_a_voice_of_its_own_needs_a_study_about_voices(write: Write, config: Config) -> None:
    path = write("personas/old.yaml", PERSONA)
    with pytest.raises(BadInput, match=r"old\.yaml:3:\d+: a voice of its own") as refusal:
        load_study([path], config)
    assert "treatment: voice" in str(refusal.value)
    write("study.yaml", "study: s\ntreatment: voice\npersonas: [personas]\n")
    study = load_study([Path("study.yaml")], config)
    voice = study.voices["old"]
    assert (voice.voice, voice.speed, voice.gain) == ("rms", None, None)


def test_a_study_of_interests_is_the_default(write: Write, config: Config) -> None:
    write("personas/old.yaml", PERSONA)
    write("study.yaml", "study: s\npersonas: [personas]\n")
    with pytest.raises(BadInput, match="a voice of its own"):
        load_study([Path("study.yaml")], config)
