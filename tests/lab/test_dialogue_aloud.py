"""A skill asks, the persona answers without a wake word, and the Echo passes the answer on."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from loopback_cloud import LoopbackCloud

from echoaudit.instruments.microphone import Microphone
from echoaudit.instruments.speaker import Speaker
from echoaudit.instruments.voices import synthesise
from echoaudit.lab.air import socket_of
from echoaudit.lab.echo_ear import RATE, Invitation, WakeWord, commands, cut_into_frames
from echoaudit.runner.conversation import Sentence, converse
from echoaudit.study.models import Answers, Conversation, MicrophoneSettings, SpeakerSettings

PHRASES = [{"id": "open:trivia", "phrase": "open sneaker trivia"}, {"id": "stop", "phrase": "stop"}]
ASKS = {
    "speak": "Welcome to sneaker trivia. Would you like to play?",
    "listen": "answer:trivia",
}


def listened(sentence: str, *, after: float) -> list[bool]:
    """Whether what an invited Echo heard began with its name; nothing when it heard nothing."""
    invitation = Invitation()
    invitation.extend(8.0)
    sound = np.concatenate(
        [
            np.zeros(round(after * RATE), np.int16),
            synthesise(sentence, SpeakerSettings()),
            np.zeros(2 * RATE, np.int16),
        ]
    )
    frames = cut_into_frames(sound)
    return [r.called for r in commands(frames, WakeWord(), lambda: None, invitation)]


@pytest.mark.parametrize(
    ("sentence", "after", "heard"),
    [
        ("Yes, please.", 5.0, [False]),
        ("Yes, please.", 9.0, []),
        ("Alexa, open sneaker trivia", 9.0, [True]),
    ],
)
def test_an_echo_that_asked_listens_for_eight_seconds(sentence, after, heard):
    assert listened(sentence, after=after) == heard


@pytest.mark.sound
def test_a_question_is_answered_aloud(tmp_path):
    errors, token = tmp_path / "echo.err", tmp_path / "token"
    token.write_text("secret\n")
    with (
        LoopbackCloud(tmp_path / "ca", PHRASES) as cloud,
        tempfile.TemporaryDirectory() as short,
        errors.open("w") as stderr,
    ):
        cloud.directives = {
            "open:trivia": ASKS,
            "answer:trivia": {"speak": "Here is the first question of the day."},
            None: {"speak": "Sorry, I don't know that one."},
        }
        path = socket_of("one", Path(short))
        command = [sys.executable, "-m", "echoaudit.lab.echo", "--account=one", "--serial=S1"]
        command += [f"--token-file={token}", f"--cloud={cloud.host}", f"--ca={cloud.ca}"]
        command += [f"--log={tmp_path / 'contacts-one.jsonl'}", f"--socket={path}"]
        echo = subprocess.Popen(command, stderr=stderr, env=dict(os.environ))
        try:
            while "ready" not in errors.read_text():
                assert echo.poll() is None, errors.read_text()
                time.sleep(0.05)
            turns = list(
                converse(
                    [Sentence("converse", "Alexa, open sneaker trivia.")],
                    Speaker(SpeakerSettings(device=f"unix:{path}"), "one"),
                    Microphone(MicrophoneSettings(device=f"unix:{path}"), "one"),
                    Conversation(),
                    tmp_path,
                    Answers(yes_no="Yes, please."),
                )
            )
        finally:
            echo.kill()
            echo.wait()
    assert [(turn.purpose, turn.text, turn.attempt) for turn in turns] == [
        ("converse", "Alexa, open sneaker trivia.", 1),
        ("answer", "Yes, please.", 1),
    ]
    assert all(turn.delivered for turn in turns)
    assert "first question" in turns[1].heard.text.lower()
    assert [event["command"] for event in cloud.events] == ["open:trivia", "answer:trivia"]
    assert "yes" in str(cloud.events[1]["transcript"])
