"""A person's recordings in place of a voice: found by their words, missed before the run begins."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echoaudit.errors import BadInput
from echoaudit.instruments import voices
from echoaudit.instruments.voices_recorded import require
from echoaudit.runner.conversation import everything_said
from echoaudit.study.loader import LoadedPersona, LoadedStudy
from echoaudit.study.models import (
    Answers,
    Catalogue,
    Config,
    Conversation,
    LabSettings,
    Persona,
    Skill,
    Source,
    SpeakerSettings,
    Stream,
)
from echoaudit.study.plan import plan

SKILL = Skill(
    id="B0TEST",
    name="Style Check",
    invocation="style check",
    utterances=("Alexa, open Style Check.", "Alexa, ask Style Check what to wear."),
)
SAID = [
    "Alexa, stop.",
    "Alexa, enable Style Check.",
    *SKILL.utterances,
    "Alexa, disable Style Check.",
    "Yes.",
    "Alexa, Yes.",
]


@pytest.fixture
def folder(tmp_path):
    """A folder with one recording, at 44.1 kHz in stereo."""
    tone = np.sin(np.arange(44_100) / 20)[:, None] * np.array([0.2, 0.2])
    soundfile.write(tmp_path / "open.wav", tone, 44_100)
    (tmp_path / "index.csv").write_text('text,file\n"Alexa, open Style Check.",open.wav\n')
    return tmp_path


def settings(folder, **more):
    return SpeakerSettings(engine="files", folder=folder, **more)


def test_a_sentence_is_found_whatever_its_punctuation_and_resampled(folder):
    sound = voices.synthesise("alexa open style check", settings(folder))
    assert (sound.dtype, len(sound)) == (np.int16, 16_000)
    assert np.abs(sound).max() == pytest.approx(0.2 * 32768, rel=0.05)
    voices.check(settings(folder))


def test_missing_sentences_are_one_line_before_the_run(folder):
    with pytest.raises(BadInput, match=r"index\.csv: no recording of 'Alexa, stop\.', .* and 3 mo"):
        require(SAID, settings(folder))
    with pytest.raises(BadInput, match="no recording of 'Alexa, stop'"):
        voices.synthesise("Alexa, stop", settings(folder))


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("text,file\nhello,none.wav\n", "csv:2: no file 'none.wav'"),
        ("text,file\nhello,../open.wav\n", "csv:2: no file '../open.wav'"),
        ("words,file\nhello,open.wav\n", "csv:2: no text or no file"),
        ("text,file\n?!,open.wav\n", "csv:2: no text or no file"),
        ("text,file\n\xff,open.wav\n", "cannot be read"),
    ],
)
def test_a_faulty_index_is_one_line(folder, index, words):
    (folder / "index.csv").write_bytes(index.encode("latin-1"))
    with pytest.raises(BadInput) as refusal:
        voices.check(settings(folder))
    assert words in str(refusal.value)


def test_no_folder_no_index_no_speed(folder):
    with pytest.raises(BadInput, match=r"no speaker\.folder"):
        voices.check(SpeakerSettings(engine="files"))
    with pytest.raises(BadInput, match="cannot be read"):
        voices.check(settings(folder / "nowhere"))
    with pytest.raises(BadInput, match="recordings are played at"):
        voices.check(settings(folder, speed=1.2))


def test_all_that_a_run_may_say_is_known_before_it_begins():
    source = Source(kind="made up", date=date(2024, 1, 1))
    catalogue = Catalogue(catalogue="x", interest="X", source=source, skills=(SKILL,))
    persona = Persona(persona="fashion", answers=Answers(yes_no="Yes."))
    study = LoadedStudy("x", (LoadedPersona(persona, catalogue, Path("x.yaml")),), (), (), (), {})
    steps = plan(study, Config(config="x", lab=LabSettings()))
    assert set(everything_said(steps, Conversation())) == set(SAID)
    assert set(everything_said(steps, Conversation(answers=0))) == set(SAID[:-2])


def test_streams_are_asked_for_and_stopped_in_the_same_voice():
    streams = (
        Stream(service="pandora", hours=2.5),
        Stream(service="jazz-fm", say="Alexa, jazz.", hours=1.0),
    )
    persona = Persona(persona="vanilla", streams=streams)
    study = LoadedStudy("x", (LoadedPersona(persona, None, Path("x.yaml")),), (), (), (), {})
    steps = plan(study, Config(config="x", lab=LabSettings()))
    said = {"Alexa, play top hits on Pandora.", "Alexa, jazz.", "Alexa, stop."}
    assert set(everything_said(steps, Conversation())) == said
