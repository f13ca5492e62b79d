"""Two skills whose names sound alike: an Echo opens the wrong one, and the outcome says so."""

import base64
import json

import numpy as np
import pytest

from echoaudit.findings.excluded import excluded_table
from echoaudit.instruments.transcribe import transcribe
from echoaudit.instruments.voices import synthesise
from echoaudit.lab.echo_ear import RATE, WakeWord, commands, cut_into_frames
from echoaudit.lab.hearing import Command, Hearing
from echoaudit.outcomes import utterances
from echoaudit.recording import Recording
from echoaudit.study.models import SpeakerSettings

NAMES = {"B0WINEPAIR": "Wine Pair", "B0WINEPEAR": "Wine Pear", "B0COMPOST1": "Compost Corner"}
TIPS = {
    "B0WINEPAIR": "Welcome to wine pair. Red goes with cheese and white goes with fish.",
    "B0WINEPEAR": "Welcome to wine pear. This pear has been soaked in port for a week.",
    "B0COMPOST1": "Welcome to compost corner. Turn the heap on Sunday.",
}
STARTED = 1_700_000_000.0


@pytest.fixture(scope="module")
def opened():
    """Which skill an Echo opens for each skill's name, spoken and heard by the real engines."""
    hearing = Hearing([Command(f"open:{id_}", f"open {name}") for id_, name in NAMES.items()])
    found = {}
    for meant, name in NAMES.items():
        sound = synthesise(f"Alexa, open {name}.", SpeakerSettings())
        pause = np.zeros(RATE, np.int16)
        (heard,) = commands(
            cut_into_frames(np.concatenate([pause, sound, pause])), WakeWord(), lambda: None
        )
        command = hearing.understand(heard.sound).command
        assert command is not None
        found[meant] = command.id.partition(":")[2]
    return found


@pytest.fixture(scope="module")
def table(opened, tmp_path_factory):
    """Utterances of two accounts with that Echo; the first one's traffic is decrypted."""
    words = {
        id_: transcribe(synthesise(TIPS[id_], SpeakerSettings(voice="rms")), "moonshine").text
        for id_ in set(opened.values())
    }
    steps = [
        (f"{account}/sessions/{number:02}-x", meant, other)
        for account in ("wine-1", "wine-2")
        for number, (meant, other) in enumerate(opened.items(), 1)
    ]
    skills = [{"id": id_, "name": name, "invocation": name.lower()} for id_, name in NAMES.items()]
    study = {"personas": [{"catalogue": {"skills": skills}}], "exclude": ["confounded"]}
    plan = {"waves": [{"tracks": [{"steps": [{"id": s, "kind": "session"} for s, *_ in steps]}]}]}
    with Recording.create(
        tmp_path_factory.mktemp("alike") / "r",
        study_files={"study.yaml": b"study: wine\n"},
        study_hash="5" * 64,
        study=study,
        config={"config": "lab"},
        plan=plan,
        tools={},
    ) as recording:
        for step, meant, other in steps:
            with recording.step(step, "session", skill=meant) as folder:
                leave(folder, step.startswith("wine-1"), meant, other, words[other])
        return utterances.derive(recording), study


def leave(folder, decrypted, meant, other, reply):
    (folder / "session.json").write_text(json.dumps({"skill": meant, "started": STARTED}))
    turn = {
        "purpose": "converse",
        "text": f"Alexa, open {NAMES[meant]}.",
        "attempt": 1,
        "said": {"file": "said-01.flac", "started": STARTED, "seconds": 2.0, "gain": 1.0},
        "heard": {"file": "heard-01.flac", "seconds": 6.0, "speech_seconds": 4.0, "text": reply},
        "delivered": True,
    }
    (folder / "transcript.json").write_text(json.dumps([turn]))
    if decrypted:
        body = json.dumps({"transcript": "words", "command": f"open:{other}"}).encode()
        line = {"kind": "http", "time": STARTED + 3, "host": "avs.example", "body": base64_of(body),
                "url": "https://avs.example/v1/events", "headers": []}  # fmt: skip
        (folder / "proxy.jsonl").write_text(json.dumps(line) + "\n")


def base64_of(data):
    return base64.b64encode(data).decode()


def test_an_echo_opens_one_of_them_for_both_names(opened):
    assert opened["B0COMPOST1"] == "B0COMPOST1"
    assert opened["B0WINEPAIR"] == opened["B0WINEPEAR"]


def test_the_confounding_is_found_where_traffic_is_decrypted(opened, table):
    said, _ = table
    own = said[said["account"] == "wine-1"]
    assert (own["answerer"] == own["skill"].map(opened)).all()
    assert (own["confounded"] == (own["skill"].map(opened) != own["skill"])).all()
    assert set(own["confidence"]) == {"high"}
    assert own["confounded"].sum() == 1


def test_elsewhere_it_is_found_by_the_reply_and_never_mistaken(opened, table):
    said, study = table
    own = said[said["account"] == "wine-2"].set_index("skill")
    (confounded,) = (meant for meant, other in opened.items() if meant != other)
    row = own.loc[confounded]
    assert (row.answered_by, row.answerer) == ("other skill", opened[confounded])
    assert (row.basis, row.confidence) == ("words known-reply", "low")
    assert own.loc["B0COMPOST1"].answered_by == "skill"
    assert set(excluded_table(study, said)["skill"]) == {confounded}
    assert len(excluded_table(study, said)) == 2
