"""What the runner has to be told about a world: plain configuration values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from echoaudit.lab.accounts import sign_in_path
from echoaudit.lab.world import World

BLOCKED = "blocked.txt"
"""The world's block list, in the state folder."""


def overlay(world: World, state: Path) -> dict[str, Any]:
    """Settings for a configuration: sites, sign-in page, authorities. Reads and writes nothing."""
    authority = str(state / "ca" / "ca.pem")
    block = {"block": [str(state / BLOCKED)]} if world.file.blocked else {}
    return {
        "sites": [{"site": p.site, "url": f"https://{p.host}/"} for p in world.file.publishers],
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
