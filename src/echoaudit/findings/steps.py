"""What was planned and what became of it: the coverage of a recording, as two tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from echoaudit.errors import BadInput
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import number, plain

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

STEPS = Schema(
    "steps",
    "Every planned step and how it ended, and parts of sessions that were interrupted.",
    (
        Column("step", "string", "the step's id and folder"),
        Column("kind", "string", "sign-in, opt-out, visit, session or idle"),
        Column("account", "string", "who"),
        Column("persona", "string", "the account's persona"),
        Column("skill", "string", "a session's skill"),
        Column("phase", "string", "a visit's phase: before or after the treatment, or topic"),
        Column("round", "int", "a visit's round within its phase"),
        Column("site", "string", "a visit's site"),
        Column(
            "state",
            "string",
            "complete, missing, or a visit's timeout, challenge, paywall, empty, blocked, robots, "
            "failed",
        ),
        Column("reason", "string", "why a visit is not complete"),
        Column("consent_policy", "string", "what a visit answers banners: accept, reject, ignore"),
        Column("consent", "string", "the banner's state: none, done, failed, ignored, unknown"),
        Column("cmp", "string", "the consent manager by the rule that knows it"),
        Column("consent_s", "float", "from the banner's being seen to its being answered", "s"),
        Column(
            "ad_tags",
            "string",
            "tags a visit's page had whose auctions are held on servers: googletag, apstag, "
            "adsbygoogle",
        ),
        Column("started", "float", "when it began", "s since 1970"),
        Column("ended", "float", "when it ended", "s since 1970"),
    ),
)
DELIVERY = Schema(
    "delivery",
    "What each account was meant to hear and visit, and what it did.",
    (
        Column("account", "string", "who"),
        Column("persona", "string", "the account's persona"),
        Column("utterances_planned", "int", "sentences said to the speaker"),
        Column("utterances_delivered", "int", "sentences that were answered, not by a refusal"),
        Column("utterances_refused", "int", "sentences that only the platform's refusal answered"),
        Column("utterances_confounded", "int", "sentences that another skill answered"),
        Column("topic_visits_planned", "int", "page loads that are the treatment, planned"),
        Column("topic_visits_complete", "int", "those that ended as they should"),
        Column("opt_outs_planned", "int", "1 for an account that was meant to opt out"),
        Column("opt_outs_complete", "int", "1 when it did"),
        Column("visits_planned", "int", "page loads planned in the rounds before and after"),
        Column("visits_complete", "int", "those that ended as they should"),
    ),
)


def steps_table(recording: Recording) -> pd.DataFrame:
    """One row per planned step, and one per part of a session that was interrupted."""
    finished = {step.id: step for step in recording.steps()}
    planned = {plan["id"]: plan for plan in _planned(recording)}
    parts = [_part(step) for step in finished.values() if step.id not in planned]
    return STEPS.conform(
        [_row(plan, finished.get(plan["id"])) for plan in (*planned.values(), *parts)]
    )


def _part(step: StepEvidence) -> Mapping[str, Any]:
    about = {"id": step.id, "kind": step.kind, "account": step.account, "persona": step.persona}
    return {**step.data, **about}


def _planned(recording: Recording) -> Iterator[Mapping[str, Any]]:
    for wave in recording.plan["waves"]:
        for track in wave["tracks"]:
            yield from track["steps"]


def _row(planned: Mapping[str, Any], step: StepEvidence | None) -> dict[str, Any]:
    known = {name: planned.get(name) for name in ("kind", "account", "persona", "skill")}
    place = {name: planned.get(name) for name in ("phase", "round", "site")}
    return {"step": planned["id"], **known, **place, **_outcome(step)}


def _outcome(step: StepEvidence | None) -> dict[str, Any]:
    outcome: dict[str, Any] = dict.fromkeys(("reason", "started", "ended"))
    outcome |= dict.fromkeys(("consent_policy", "consent", "cmp", "consent_s", "ad_tags"))
    if step is None:
        return {**outcome, "state": "missing"}
    record = _object(step, "session.json") | _object(step, "visit.json")
    return {
        "state": plain(record.get("state")) or "complete",
        "reason": plain(record.get("reason")),
        "started": number(record.get("started")),
        "ended": number(record.get("ended")),
        **_consent(record.get("consent")),
        "ad_tags": _names(record.get("ad_tags")),
    }


def _names(told: Any) -> str | None:
    """Short texts, comma-separated; nothing where none are told."""
    found = told if isinstance(told, list) else []
    return ",".join(sorted(name for one in found[:10] if (name := plain(one, 40)))) or None


def _consent(told: Any) -> dict[str, Any]:
    """What became of a visit's consent banner; nothing where it is not told."""
    found = told if isinstance(told, dict) else {}
    return {
        "consent_policy": plain(found.get("policy")),
        "consent": plain(found.get("state")),
        "cmp": plain(found.get("cmp")),
        "consent_s": number(found.get("seconds")),
    }


def _object(step: StepEvidence, name: str) -> dict[str, Any]:
    """A JSON object of a step; empty when the step left no such file."""
    if not step.has(name):
        return {}
    value = step.json(name)
    if not isinstance(value, dict):
        raise BadInput(f"is {type(value).__name__}, not an object", file=step.path(name))
    return value


def delivery_table(steps: pd.DataFrame, utterances: pd.DataFrame) -> pd.DataFrame:
    """One row per account. A sentence said again counts once, as delivered if any attempt was.

    That holds over the parts of a session that was interrupted, too.
    """
    rows = []
    asked = utterances[utterances["purpose"] != "stop"]
    judged = asked.assign(
        refused=asked["answered_by"] == "platform", session=_wholes(asked["session"], steps)
    )
    sentences = judged.groupby(["account", "session", "purpose", "text"], as_index=False)[
        ["delivered", "refused", "confounded"]
    ].max()
    for (account, persona), own in steps.groupby(["account", "persona"], sort=True):
        said = sentences[sentences["account"] == account]
        delivered = said["delivered"].fillna(False).astype(bool)
        topic = own["phase"] == "topic"
        rows.append(
            {
                "account": account,
                "persona": persona,
                "utterances_planned": len(said),
                "utterances_delivered": int(delivered.sum()),
                "utterances_refused": int((said["refused"].fillna(False) & ~delivered).sum()),
                "utterances_confounded": int(said["confounded"].fillna(False).sum()),
                **_ended("topic_visits", own[topic]),
                **_ended("opt_outs", own[own["kind"] == "opt-out"]),
                **_ended("visits", own[(own["kind"] == "visit") & ~topic]),
            }
        )
    return DELIVERY.conform(rows)


def _wholes(sessions: pd.Series[str], steps: pd.DataFrame) -> pd.Series[str]:
    """The session that each is part of: ``X`` for ``X.1``, where ``X`` is a step."""
    wholes = sessions.str.replace(r"\.\d+$", "", regex=True)
    return sessions.where(~wholes.isin(steps["step"]), wholes)


def _ended(name: str, steps: pd.DataFrame) -> dict[str, int]:
    complete = int((steps["state"] == "complete").sum())
    return {f"{name}_planned": len(steps), f"{name}_complete": complete}
