"""A session that was interrupted goes on: what was delivered is kept and not said again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echoaudit.findings.steps import delivery_table, steps_table
from echoaudit.outcomes import captures, enabling, utterances
from echoaudit.recording import Recording, verify, write_json
from echoaudit.runner.conversation import Sentence
from echoaudit.runner.remains import keep_parts, left
from echoaudit.study.models import Skill
from echoaudit.study.plan import Account, Step

SKILL = Skill(
    id="B01",
    name="Shoe Bot",
    invocation="shoe bot",
    utterances=("Alexa, open shoe bot.", "Alexa, stop."),
)
STEP = Step("fashion-1/sessions/01-shoe-bot", "session", Account("fashion", 1), skill=SKILL)
PLAN = {"waves": [{"tracks": [{"steps": [{"id": STEP.id, "kind": "session", **STEP.to_json()}]}]}]}
ENABLE, OPEN, STOP = (
    Sentence("enable", "Alexa, enable Shoe Bot."),
    *(Sentence("converse", text) for text in SKILL.utterances),
)


def turn(number: int, sentence: Sentence, delivered: bool) -> dict[str, Any]:
    said = {"file": f"said-{number:02}.flac", "started": 100.0 + number, "seconds": 1.0, "gain": 1}
    heard = {
        "file": f"heard-{number:02}.flac", "seconds": 2.0, "text": "", "engine": "moonshine",
        "speech_seconds": 1.0 if delivered else 0.0,
    }  # fmt: skip
    words = {"purpose": sentence.purpose, "text": sentence.text, "attempt": 1}
    return {**words, "said": said, "heard": heard, "delivered": delivered}


def about(started: float, ended: float) -> dict[str, Any]:
    who = {"account": "fashion-1", "persona": "fashion", "skill": "B01", "device": {}}
    return {**who, "started": started, "ended": ended}


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording.create(
        tmp_path / "recording",
        study_files={},
        study_hash="5" * 64,
        study={"skills": [SKILL.model_dump(mode="json")]},
        config={},
        plan=PLAN,
        tools={},
    )


def attempt(recording: Recording, *turns: dict[str, Any], store: object = None) -> None:
    """A session that breaks off after these turns, the capture's last line half written."""

    class Broken(Exception):
        pass

    with pytest.raises(Broken), recording.step(STEP.id, "session", **STEP.to_json()) as folder:
        for one in turns:
            for part in ("said", "heard"):
                (folder / one[part]["file"]).write_bytes(b"")
        (folder / "said-99.flac").write_bytes(b"of a turn that never ended")
        (folder / "proxy.jsonl").write_text('{"kind":"http"}\n{"kind":')
        write_json(folder / "transcript.json", list(turns))
        if store is not None:
            write_json(folder / "store.json", store)
        raise Broken


def finish(recording: Recording, *turns: dict[str, Any]) -> None:
    with recording.step(STEP.id, "session", **STEP.to_json()) as folder:
        write_json(folder / "session.json", about(200.0, 210.0))
        write_json(folder / "transcript.json", list(turns))
    recording.seal()


def test_what_was_delivered_is_a_part_and_only_the_rest_is_said(recording: Recording) -> None:
    attempt(recording, turn(1, ENABLE, True), turn(2, OPEN, False))
    attempt(recording, turn(1, OPEN, False))
    attempt(recording, turn(1, OPEN, True))
    delivered = keep_parts(recording, STEP, about)
    assert delivered == [ENABLE, OPEN]
    assert list(left((ENABLE, OPEN, STOP), delivered)) == [STOP]
    finish(recording, turn(1, STOP, True))
    assert [step.id for step in recording.steps()] == [f"{STEP.id}.1", f"{STEP.id}.3", STEP.id]
    first, third, _ = recording.steps()
    assert set(first.files) == {
        "said-01.flac", "heard-01.flac", "said-02.flac", "heard-02.flac",
        "transcript.json", "session.json", "proxy.jsonl",
    }  # fmt: skip
    assert list(first.jsonl("proxy.jsonl")) == [{"kind": "http"}], "whole records only"
    record = third.json("session.json")
    assert (record["part_of"], record["skill"]) == (STEP.id, "B01")
    assert record["started"] <= record["ended"]
    assert not list(verify(recording.folder, "quick"))


def test_findings_know_the_parts(recording: Recording) -> None:
    attempt(recording, turn(1, ENABLE, True), turn(2, OPEN, False))
    keep_parts(recording, STEP, about)
    finish(recording, turn(1, OPEN, True))
    said = utterances.derive(recording)
    assert set(zip(said["session"], said["turn"], said["text"], strict=True)) == {
        (f"{STEP.id}.1", 0, ENABLE.text),
        (f"{STEP.id}.1", 1, OPEN.text),
        (STEP.id, 0, OPEN.text),
    }
    steps = steps_table(recording)
    assert set(steps["step"]) == {STEP.id, f"{STEP.id}.1"}
    assert set(steps["state"]) == {"complete"}
    assert set(captures.derive(recording)["session"]) == {STEP.id, f"{STEP.id}.1"}
    (account,) = delivery_table(steps, said).to_dict("records")
    assert (account["utterances_planned"], account["utterances_delivered"]) == (2, 2)


def test_what_the_store_refused_is_known_of_the_part(recording: Recording) -> None:
    refused = {
        "action": "enable",
        "state": "refused",
        "reason": "no",
        "url": "https://store.example/",
    }
    attempt(recording, turn(1, OPEN, True), store=[refused])
    keep_parts(recording, STEP, about)
    finish(recording)
    (row,) = enabling.derive(recording).to_dict("records")
    assert (row["session"], row["state"], row["done"]) == (f"{STEP.id}.1", "refused", False)
    (said,) = utterances.derive(recording).to_dict("records")
    assert not said["delivered"], "nobody knows that the skill answered"


def test_a_kill_while_parts_are_kept_changes_nothing(recording: Recording) -> None:
    attempt(recording, turn(1, ENABLE, True))

    def killed(started: float, ended: float) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_parts(recording, STEP, killed)
    assert keep_parts(recording, STEP, about) == [ENABLE]
    assert keep_parts(recording, STEP, about) == [ENABLE]
    assert recording.finished == {f"{STEP.id}.1"}


def test_nothing_delivered_leaves_no_part(recording: Recording) -> None:
    attempt(recording, turn(1, ENABLE, False))
    attempt(recording)
    assert keep_parts(recording, STEP, about) == []
    assert recording.finished == frozenset()


def test_a_sentence_that_a_catalogue_has_twice_is_said_twice() -> None:
    assert list(left((OPEN, STOP, OPEN), [OPEN])) == [STOP, OPEN]
