"""What every part of the cloud works with, and what all answers have in common."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from echoaudit.domains import registrable
from echoaudit.lab.accounts import PlatformAccount
from echoaudit.lab.cloud.store import Store
from echoaudit.lab.truth import Truth
from echoaudit.lab.world import World
from echoaudit.lab.world_model import Party
from echoaudit.study.models import Skill

YEAR = 365 * 24 * 3600
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""A transparent image of one point."""


@dataclass(frozen=True)
class StockedSkill:
    """A skill that the platform has in store."""

    skill: Skill
    interest: str


@dataclass(frozen=True)
class Cloud:
    """The world, who has accounts in it, and what happened so far."""

    world: World
    skills: Mapping[str, StockedSkill]
    accounts: Mapping[str, PlatformAccount]
    store: Store
    truth: Truth

    def party_account(self, party: str, uid: str | None) -> str | None:
        """Whose browser holds ``party``'s cookie ``uid``, as only the lab knows."""
        return None if uid is None else self.store.browser_account(party, uid)

    def profile(self, account: str | None) -> list[str]:
        """The platform's interests of an account, unless it honours that the account opted out."""
        if account is None:
            return []
        honoured = self.world.file.platform.opt_out == "honoured"
        return [] if honoured and self.store.opted_out(account) else self.store.interests(account)


def new_identifier(kind: Literal["digits", "hex", "uuid", "base64"]) -> str:
    """A fresh identifier of a browser, at least 60 bits of chance."""
    makers: dict[str, Callable[[], str]] = {
        "digits": lambda: str(10**18 + secrets.randbelow(9 * 10**18)),
        "hex": lambda: secrets.token_hex(16),
        "uuid": lambda: str(uuid.uuid4()),
        "base64": lambda: secrets.token_urlsafe(16),
    }
    return makers[kind]()


def cookie_of(request: Request, party: Party) -> str | None:
    """The identifier that ``party`` gave this browser."""
    return request.cookies.get(party.cookie)


def give_cookie(
    response: Response, host: str, name: str, value: str, *, age: int | None = YEAR
) -> None:
    """Set a cookie that also travels to third parties, on the registrable domain of ``host``."""
    response.set_cookie(
        name,
        value,
        max_age=age,
        domain=registrable(host),
        path="/",
        secure=True,
        httponly=True,
        samesite="none",
    )


def pixel() -> Response:
    """A picture that nobody sees and no cache keeps."""
    return Response(PIXEL, media_type="image/gif", headers={"Cache-Control": "no-store"})
