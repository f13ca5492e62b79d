"""Accounts on the platform: what an Echo and a browser need to be somebody."""

from __future__ import annotations

import json
import os
import random
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from echoaudit.errors import BadInput

_SERIAL = string.ascii_uppercase + string.digits
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class PlatformAccount:
    """One account; everything here is secret."""

    token: str
    """What its Echo shows the voice service."""
    serial: str
    username: str
    password: str

    def __repr__(self) -> str:
        return "PlatformAccount(…)"


def make_accounts(accounts: Iterable[str], seed: int | None = None) -> dict[str, PlatformAccount]:
    """Credentials for account ids; the same ones for the same ``seed``, else unguessable."""
    chance: random.Random = secrets.SystemRandom() if seed is None else random.Random(seed)
    return {account: _make(chance) for account in accounts}


def _make(chance: random.Random) -> PlatformAccount:
    def word(letters: str, length: int) -> str:
        return "".join(chance.choices(letters, k=length))

    return PlatformAccount(
        token=f"Atna|{word(_LETTERS, 40)}",
        serial="G0" + word(_SERIAL, 14),
        username=f"{word(_LETTERS, 12)}@mail.example",
        password=word(_LETTERS + string.ascii_uppercase, 20),
    )


def write_accounts(path: Path, accounts: Mapping[str, PlatformAccount]) -> None:
    """Write the file that the cloud reads, for its owner only."""
    _write_private(path, {name: asdict(account) for name, account in accounts.items()})


def write_sign_in(state: Path, accounts: Mapping[str, PlatformAccount]) -> Path:
    """Write ``STATE/sign-in.json``, what browsers sign in with, for its owner only."""
    path = sign_in_path(state)
    rows = {n: {"username": a.username, "password": a.password} for n, a in accounts.items()}
    _write_private(path, rows)
    return path


def sign_in_path(state: Path) -> Path:
    """Where `write_sign_in` writes."""
    return state / "sign-in.json"


def read_accounts(path: Path) -> dict[str, PlatformAccount]:
    """Accounts as written by `write_accounts` (BadInput when the file is not such)."""
    names = {field.name for field in fields(PlatformAccount)}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"can't read accounts: {error}", file=path) from None
    if not isinstance(rows, dict):
        raise BadInput("accounts must be a JSON object {id: {…}}", file=path)
    for name, row in rows.items():
        if not isinstance(row, dict) or set(row) != names or not all(map(_is_text, row.values())):
            raise BadInput(
                f"account {name!r} needs the texts {', '.join(sorted(names))}", file=path
            )
    return {name: PlatformAccount(**row) for name, row in rows.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _write_private(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
    fresh.replace(path)
