"""The simulated Echo's talk with its cloud: what it may do, and what to do about a recording."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from echoaudit.lab.echo_contacts import Contact, Network
from echoaudit.lab.echo_ear import Recording
from echoaudit.lab.echo_player import Played
from echoaudit.lab.echo_sends import VOICE, Load
from echoaudit.lab.hearing import RATE, Command, Understood
from echoaudit.lab.programme import Item


@dataclass(frozen=True)
class Habit:
    """A contact made in the background, again and again."""

    contact: Contact
    every: float
    """Seconds between two."""


@dataclass(frozen=True)
class Provision:
    """What an Echo is told when it starts."""

    commands: tuple[Command, ...]
    habits: tuple[Habit, ...]


@dataclass(frozen=True)
class Directive:
    """What to do about something heard."""

    speak: str | None
    contacts: tuple[Contact, ...]
    listen: str | None = None
    """The command that whatever is said next means: a skill has asked something."""
    stream: str | None = None
    """A streaming service to play from now on."""
    stop: bool = False
    """Whether to stop playing."""


class Cloud:
    """The cloud of one Echo. Its methods raise what httpx raises, and ValueError on nonsense."""

    def __init__(self, host: str, serial: str, token: str, network: Network) -> None:
        self._url = f"https://{host}/v1"
        self._serial, self._token = serial, token
        self._network = network

    def provision(self) -> Provision:
        """Sign in and learn the commands and habits."""
        sent = {"serial": self._serial, "token": self._token}
        load = Load(("customer id", "device id"), {"json": sent})
        return _provision(self._post("provision", "provision", load))

    def report(self, recording: Recording, understood: Understood) -> Directive:
        """Send what was heard; returns what to do."""
        command = understood.command.id if understood.command else None
        metadata = {
            "token": self._token,
            "transcript": understood.transcript,
            "command": command,
            "started": recording.started,
        }
        parts = {
            "metadata": (None, json.dumps(metadata), "application/json"),
            "audio": ("audio.wav", wav(recording), "audio/wav"),
        }
        load = Load(tuple(_told(understood.transcript, command)), {"files": parts})
        return _directive(self._post("events", command or "unrecognised", load))

    def stream(self, service: str, number: int, played: Played | None) -> Item | None:
        """Report what was played and ask for the next item; with a negative number, for none."""
        told = played and {**asdict(played), "item": played.item.item, "kind": played.item.kind}
        sent = {"token": self._token, "service": service, "number": number, "played": told}
        answer = self._post("stream", f"stream:{service}", Load(("customer id",), {"json": sent}))
        item = answer.get("item")
        return Item(**item) if isinstance(item, dict) else None

    def _post(self, path: str, cause: str, load: Load) -> dict[str, Any]:
        contact = Contact(f"{self._url}/{path}", "POST", tls="any", http="2")
        answer = self._network.request(contact, cause, load)
        if not answer.is_success:
            raise ValueError(f"{path}: status {answer.status_code}")
        body = answer.json()
        if not isinstance(body, dict):
            raise TypeError(f"{path}: no JSON object")
        return body


def _provision(body: Mapping[str, Any]) -> Provision:
    return Provision(
        tuple(Command(str(row["id"]), str(row["phrase"])) for row in body["commands"]),
        tuple(Habit(Contact.of(row), float(row["every_s"])) for row in body["background"]),
    )


def _directive(body: Mapping[str, Any]) -> Directive:
    speak = body.get("speak")
    return Directive(
        None if speak is None else str(speak),
        tuple(Contact.of(row) for row in body.get("contacts", ())),
        str(body["listen"]) if body.get("listen") else None,
        str(body["stream"]) if body.get("stream") else None,
        bool(body.get("stop")),
    )


def _told(transcript: str, command: str | None) -> Iterator[str]:
    """Kinds of personal data in a report."""
    yield from ("customer id", VOICE)
    if transcript.strip():
        yield "transcript"
    if command and ":" in command and not command.startswith("play:"):
        yield "skill id"


def wav(recording: Recording) -> bytes:
    """A recording as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(recording.sound.tobytes())
    return file.getvalue()
