"""The platform's streaming services: what an Echo plays next, and a log of what it has played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException

from echoaudit.lab.cloud.context import Cloud
from echoaudit.lab.programme import item, service_of
from echoaudit.lab.world_model import WorldFile

PLAY = "play"
"""Verb of the commands that start a stream."""
LOGGED = ("item", "kind", "at", "seconds", "whole")


def phrases(world: WorldFile) -> Iterator[tuple[str, str]]:
    """(command id, sentence) of every service."""
    for stream in world.streams:
        yield f"{PLAY}:{stream.service}", stream.say


def answer(cloud: Cloud, account: str, sent: Mapping[str, Any]) -> dict[str, Any] | None:
    """Log what ``account`` has played and name what comes next; nothing for a negative number."""
    service = service_of(cloud.world.file, str(sent.get("service")))
    number = sent.get("number")
    if service is None or not isinstance(number, int):
        raise HTTPException(400, "no such service, or no number")
    _log(cloud, account, service.service, sent.get("played"))
    if number < 0:
        return None
    interests = cloud.store.interests(account)
    return item(cloud.world.file, service, account, interests, number).to_json()


def _log(cloud: Cloud, account: str, service: str, played: object) -> None:
    if isinstance(played, dict):
        row = {name: played.get(name) for name in LOGGED}
        cloud.truth.write("streams", {"account": account, "service": service, **row})
