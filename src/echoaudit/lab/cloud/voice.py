"""The platform's voice service: commands of an account's Echo, what it says, whom it contacts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from echoaudit.lab.cloud import streaming
from echoaudit.lab.cloud.context import Cloud, StockedSkill
from echoaudit.lab.programme import service_of
from echoaudit.lab.world import Host, World
from echoaudit.lab.world_model import Contact
from echoaudit.study.models import DataType

WAKE_WORD = "alexa"
STOP = "stop"
UNKNOWN = "Sorry, I don't know that one."
RIFF = b"RIFF"
PROFILE: Mapping[DataType, str] = {
    "language": "en-US",
    "time zone": "America/Los_Angeles",
    "preferences": "FAHRENHEIT",
    "location": "98109",
}
"""What every account's owner has told the platform."""


@dataclass(frozen=True)
class Reaction:
    """What the Echo is told to do."""

    speak: str | None
    contacts: tuple[Contact, ...] = ()
    listen: str | None = None
    """The command that whatever is said next means."""
    stream: str | None = None
    """The streaming service to play."""
    stop: bool = False
    skill: str | None = None
    """Whose words are spoken; None: the platform's own."""


def routes(cloud: Cloud) -> list[Route]:
    """What the voice host answers."""

    async def provision(request: Request) -> Response:
        sent = await _json(request)
        facts = _facts(cloud, _account(cloud, sent.get("token"), sent.get("serial")))
        streams = [(id_, spoken(say)) for id_, say in streaming.phrases(cloud.world.file)]
        commands = [{"id": i, "phrase": p} for i, p in [*phrases(cloud.skills), *streams]]
        background = [
            {**contact_order(cloud.world, contact, facts), "every_s": contact.every_s}
            for contact in cloud.world.file.platform.background
        ]
        return JSONResponse({"commands": commands, "background": background})

    async def events(request: Request) -> Response:
        metadata, heard = await _event(request)
        account = _account(cloud, metadata.get("token"))
        command = metadata.get("command")
        reaction = react(cloud, account, None if command is None else str(command))
        _log(cloud, account, metadata, heard, reaction)
        facts = _facts(cloud, account, str(command or ""))
        contacts = [contact_order(cloud.world, contact, facts) for contact in reaction.contacts]
        listen = {"listen": reaction.listen} if reaction.listen else {}
        play = {"stream": reaction.stream, "stop": reaction.stop}
        spoken = {"speak": reaction.speak, "skill": reaction.skill}
        return JSONResponse({**spoken, "contacts": contacts, **listen, **play})

    async def stream(request: Request) -> Response:
        sent = await _json(request)
        account = _account(cloud, sent.get("token"))
        return JSONResponse({"item": streaming.answer(cloud, account, sent)})

    return [
        Route("/v1/provision", provision, methods=["POST"]),
        Route("/v1/events", events, methods=["POST"]),
        Route("/v1/stream", stream, methods=["POST"]),
    ]


def phrases(skills: Mapping[str, StockedSkill]) -> Iterator[tuple[str, str]]:
    """(command id, words without the wake word); each wording once, the first command has it."""
    seen: set[str] = set()
    for command, text in [*_commands(skills.values()), (STOP, STOP)]:
        words = spoken(text)
        if words and words not in seen:
            seen.add(words)
            yield command, words


def _commands(skills: Iterable[StockedSkill]) -> Iterator[tuple[str, str]]:
    for stocked in skills:
        skill = stocked.skill
        yield f"enable:{skill.id}", f"enable {skill.name}"
        yield f"disable:{skill.id}", f"disable {skill.name}"
        yield f"open:{skill.id}", f"open {skill.invocation}"
        for number, utterance in enumerate(skill.utterances):
            yield f"say:{skill.id}:{number}", utterance


def spoken(text: str) -> str:
    """The words of ``text`` as a recogniser knows them, without a leading wake word."""
    words = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("\u2019", "'"))
    return " ".join(words[1:] if words[:1] == [WAKE_WORD] else words)


def react(cloud: Cloud, account: str, command: str | None) -> Reaction:
    """What one command does to the account, and what the Echo then says and contacts."""
    verb, _, rest = (command or "").partition(":")
    stocked = cloud.skills.get(rest.partition(":")[0])
    if verb == STOP:
        return Reaction(None, stop=True)
    if verb == streaming.PLAY:
        service = service_of(cloud.world.file, rest)
        return Reaction(service.reply, stream=rest) if service else Reaction(UNKNOWN)
    if stocked is None:
        return Reaction(UNKNOWN)
    match verb:
        case "enable" | "disable":
            return _install(cloud, account, stocked, verb)
        case "open" | "say" | "answer":
            return _talk(cloud, account, stocked, verb)
        case _:
            return Reaction(UNKNOWN)


def _install(cloud: Cloud, account: str, stocked: StockedSkill, verb: str) -> Reaction:
    skill = stocked.skill
    cloud.store.set_enabled(account, skill.id, verb == "enable")
    contacts = _contacts(cloud.world, stocked, verb)
    return Reaction(f"Okay, {skill.name} is {verb}d.", contacts)


def _talk(cloud: Cloud, account: str, stocked: StockedSkill, verb: str) -> Reaction:
    skill = stocked.skill
    if not cloud.store.is_enabled(account, skill.id):
        return Reaction(f"{skill.name} is not enabled. You can say, enable {skill.name}.")
    cloud.store.add_interest(account, stocked.interest)
    behaviour = cloud.world.behaviour(skill, stocked.interest)
    contacts = _contacts(cloud.world, stocked, verb)
    if verb == "answer":
        return Reaction(behaviour.then.replace("{name}", skill.name), contacts, skill=skill.id)
    words = " ".join(filter(None, (behaviour.reply, behaviour.asks)))
    listen = f"answer:{skill.id}" if behaviour.asks else None
    return Reaction(words.replace("{name}", skill.name), contacts, listen, skill=skill.id)


def _contacts(world: World, stocked: StockedSkill, verb: str) -> tuple[Contact, ...]:
    occasions = {
        "open": ("open", "talk"),
        "say": ("say", "talk"),
        "answer": ("talk",),
        "enable": ("enable",),
    }
    rows = world.behaviour(stocked.skill, stocked.interest).contacts
    return tuple(row for row in rows if row.on in occasions.get(verb, ()))


def contact_order(world: World, contact: Contact, facts: Mapping[DataType, str]) -> dict[str, Any]:
    """A contact as the Echo is told to make it; of ``facts`` it learns what it is to pass on."""
    host = world.host(contact.host)
    sends = [{**row.model_dump(), "value": facts.get(row.data)} for row in contact.sends]
    packing = {"sends": sends, "body": contact.body, "gzip": contact.gzip} if sends else {}
    return {
        **packing,
        "url": f"https://{host.name}{contact.path}",
        "method": contact.method,
        "send_bytes": contact.send_bytes,
        "tls": host.tls,
        "http": host.http,
        **_wire(contact, host),
    }


def _wire(contact: Contact, host: Host) -> dict[str, Any]:
    """How the connection differs from what is usual."""
    unusual = contact.model_dump(include={"lookup", "sni", "hello"}, exclude_defaults=True)
    return {**unusual, "address": host.address} if contact.lookup == "never" else unusual


def _facts(cloud: Cloud, account: str, command: str = "") -> dict[DataType, str]:
    """What the platform knows of an account, and of the skill that a command is for."""
    own = cloud.accounts[account]
    number = hashlib.sha256(own.serial.encode()).hexdigest()[:28].upper()
    facts: dict[DataType, str] = {
        **PROFILE,
        "customer id": f"amzn1.account.A{number}",
        "contact data": own.username,
    }
    parts = command.split(":")
    return {**facts, "skill id": parts[1]} if len(parts) > 1 else facts


def _account(cloud: Cloud, token: object, serial: object = None) -> str:
    for name, account in cloud.accounts.items():
        if account.token == token and serial in (None, account.serial):
            return name
    raise HTTPException(401, "no account with this token and serial number")


async def _json(request: Request) -> dict[str, Any]:
    try:
        sent = json.loads(await request.body())
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(sent, dict):
        raise HTTPException(400, "the body is no JSON object")
    return sent


async def _event(request: Request) -> tuple[dict[str, Any], int]:
    """Metadata and the number of bytes of sound."""
    form = await request.form()
    metadata, audio = form.get("metadata"), form.get("audio")
    text = metadata if isinstance(metadata, str) else await metadata.read() if metadata else ""
    try:
        values = json.loads(text)
    except ValueError:
        raise HTTPException(400, "metadata is not JSON") from None
    if audio is None or isinstance(audio, str) or not isinstance(values, dict):
        raise HTTPException(400, "an event has a metadata object and an audio file")
    sound = await audio.read()
    if not sound.startswith(RIFF):
        raise HTTPException(400, "audio is no WAV file")
    return values, len(sound)


def _log(
    cloud: Cloud, account: str, metadata: Mapping[str, Any], heard: int, reaction: Reaction
) -> None:
    row = {
        "account": account,
        "command": metadata.get("command"),
        "transcript": metadata.get("transcript"),
        "started": metadata.get("started"),
        "audio_bytes": heard,
        "speak": reaction.speak,
        "contacts": sorted({contact.host for contact in reaction.contacts}),
    }
    cloud.truth.write("events", row)
