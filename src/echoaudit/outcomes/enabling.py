"""What the store did: one row per attempt to enable or disable a skill in the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from echoaudit.errors import BadInput
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import number, plain
from echoaudit.study.models import EnablingState

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.recording import Recording, StepEvidence

NAME = "enabling"
TABLE = Schema(
    NAME,
    "What the store did: one row per attempt to enable or disable a skill in the browser.",
    (
        Column("session", "string", "Step id of the session."),
        Column("action", "string", "`enable` or `disable`."),
        Column("attempt", "int", "Which attempt at it it was, from 1."),
        Column("account", "string", "Account whose browser it was."),
        Column("persona", "string", "Persona of the account."),
        Column("skill", "string", "Id of the skill."),
        Column(
            "state",
            "string",
            "`enabled`, `already enabled`, `disabled`, `already disabled`, `not found`, "
            "`refused`, `timeout` or `failed`.",
        ),
        Column("done", "bool", "Whether the skill then was as it should be."),
        Column("reason", "string", "Why not, in words of the store or of the browser; else empty."),
        Column("url", "string", "The skill's page."),
        Column("picture", "string", "File with the page's picture; empty without one."),
        Column("started", "float", "When the page was asked for.", "s since 1970"),
        Column("ended", "float", "When its outcome was known.", "s since 1970"),
    ),
)
STORE = "store.json"


def derive(recording: Recording) -> pd.DataFrame:
    """The attempts of all sessions."""
    return TABLE.conform(row for step in recording.steps("session") for row in _rows(step))


def was_enabled(step: StepEvidence) -> bool:
    """Whether the store enabled a session's skill; true where that was not its business."""
    asked = [row["done"] for row in _rows(step) if row["action"] == "enable"]
    return asked[-1] if asked else True


def _rows(step: StepEvidence) -> Iterator[dict[str, Any]]:
    attempts: dict[str, int] = {"enable": 0, "disable": 0}
    for one in _records(step):
        action = str(one.get("action"))
        state = one.get("state")
        if action not in attempts or state not in get_args(EnablingState):
            found = plain(f"{action}: {state}")
            raise BadInput(f"an unknown action or state: {found}", file=step.path(STORE))
        attempts[action] += 1
        yield _row(step, one) | {"action": action, "attempt": attempts[action]}


def _row(step: StepEvidence, one: Mapping[str, Any]) -> dict[str, Any]:
    done = (f"{one['action']}d", f"already {one['action']}d")
    return {
        "session": step.id,
        "account": step.account,
        "persona": step.persona,
        "skill": step.data.get("skill") or "",
        "state": one["state"],
        "done": one["state"] in done,
        "reason": plain(one.get("reason")) or "",
        "url": plain(one.get("url"), 2000) or "",
        "picture": plain(one.get("picture")) or "",
        "started": number(one.get("started")),
        "ended": number(one.get("ended")),
    }


def _records(step: StepEvidence) -> list[dict[str, Any]]:
    records = step.json(STORE) if step.has(STORE) else []
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise BadInput("not a list of objects", file=step.path(STORE))
    return records
