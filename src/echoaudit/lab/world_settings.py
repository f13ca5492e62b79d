"""What the runner has to be told about a world: plain configuration values."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from echoaudit.lab.accounts import sign_in_path
from echoaudit.lab.world import World
from echoaudit.lab.world_model import PREFERENCES, SKILL_PAGE, Publisher

BLOCKED = "blocked.txt"
"""The world's block list, in the state folder."""


def overlay(world: World, state: Path) -> dict[str, Any]:
    """Settings for a configuration: sites, sign-in page, authorities. Reads and writes nothing."""
    authority = str(state / "ca" / "ca.pem")
    block = {"block": [str(state / BLOCKED)]} if world.file.blocked else {}
    return {
        "sites": [_site(p) for p in world.file.publishers if p.topic is None],
        "topics": _topics(world),
        "opt_out": {"url": f"https://{world.file.platform.shop}{PREFERENCES}"},
        "store": {
            "url": f"https://{world.file.platform.shop}{SKILL_PAGE}",
            "refused": "#refused",
        },
        "sign_in": {
            "url": f"https://{world.file.platform.shop}/ap/signin",
            "secrets": str(sign_in_path(state)),
            "username_field": "input[name=email]",
            "password_field": "input[name=password]",
            "submit": "[type=submit]",
            "signed_in_cookie": world.file.platform.session_cookie,
        },
        "browser": {"trusted_authority": authority},
        "gateway": {"upstream_authority": authority, **block},
    }


def _site(publisher: Publisher) -> dict[str, str]:
    return {"site": publisher.site, "url": f"https://{publisher.host}/"}


def _topics(world: World) -> dict[str, list[dict[str, str]]]:
    topics = defaultdict(list)
    for publisher in world.file.publishers:
        if publisher.topic is not None:
            topics[publisher.topic].append(_site(publisher))
    return dict(topics)
