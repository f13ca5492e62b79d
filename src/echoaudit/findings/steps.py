"""What was planned and what became of it: the coverage of a recording, as two tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from echoaudit.errors import BadInput
from echoaudit.findings.people import personas_of
from echoaudit.outcomes.schema import Column, Schema
from echoaudit.outcomes.visits import number, plain

if TYPE_CHECKING:
    from echoaudit.recording import Recording, StepEvidence

SILENT = "silent"
"""State of a stream that never played."""
STREAM = "stream.json"
STEPS = Schema(
    "steps",
    "Every planned step and how it ended, and parts of sessions that were interrupted.",
    (
        Column("step", "string", "the step's id and folder"),
        Column("kind", "string", "sign-in, opt-out, visit, session, idle or stream"),
        Column("account", "string", "who"),
        Column("persona", "string", "the account's persona"),
        Column("skill", "string", "a session's skill"),
        Column(
            "sentences",
            "int",
            "what a session is meant to say: enabling aloud, its utterances, disabling aloud; "
            "answers to a skill's questions come to it",
        ),
        Column("service", "string", "a stream's service"),
        Column("seconds_planned", "float", "how long a stream is meant to be heard", "s of sound"),
        Column(
            "seconds_heard", "float", "how long one was louder than the quiet room", "s of sound"
        ),
        Column("phase", "string", "a visit's phase: before or after the treatment, or topic"),
        Column("round", "int", "a visit's round within its phase"),
        Column("site", "string", "a visit's site"),
        Column(
            "state",
            "string",
            "complete, missing, a stream's silent (it never played), or a visit's timeout, "
            "challenge, paywall, empty, blocked, robots, failed",
        ),
        Column("reason", "string", "why a visit or a stream is not complete"),
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
        Column(
            "utterances_planned",
            "int",
            "sentences meant to be said to the speaker, and the answers to skills' questions",
        ),
        Column("utterances_said", "int", "those that were said, in one attempt or several"),
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
    to_say = planned_sentences(recording.study, recording.info.get("config"))
    whole = [
        _row(plan, finished.get(plan["id"])) | {"sentences": _to_say(plan, to_say)}
        for plan in planned.values()
    ]
    rest = [_row(part, finished[part["id"]]) | {"sentences": None} for part in parts]
    return STEPS.conform([*whole, *rest])


def _to_say(plan: Mapping[str, Any], to_say: Mapping[tuple[str, str], int]) -> int | None:
    if plan.get("kind") != "session":
        return None
    return to_say.get((str(plan.get("persona")), str(plan.get("skill"))))


def planned_sentences(study: Any, config: Any) -> dict[tuple[str, str], int]:
    """How many sentences a session is meant to have, by persona and skill, where a study tells."""
    talk = config.get("conversation") if isinstance(config, Mapping) else None
    if not isinstance(talk, Mapping) or not isinstance(talk.get("utterances"), int):
        return {}
    around = 2 if talk.get("enable", "voice") == "voice" else 0
    return {
        (str(persona.get("persona")), str(skill.get("id"))): around
        + len(skill["utterances"][: talk["utterances"]])
        for persona in personas_of(study)
        for skill in _skills(persona)
    }


def _skills(persona: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    catalogue = persona.get("catalogue")
    skills = catalogue.get("skills") if isinstance(catalogue, Mapping) else None
    for skill in skills if isinstance(skills, list) else ():
        if isinstance(skill, Mapping) and isinstance(skill.get("utterances"), list):
            yield skill


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
    return {"step": planned["id"], **known, **place, **_stream(planned, step), **_outcome(step)}


def _stream(planned: Mapping[str, Any], step: StepEvidence | None) -> dict[str, Any]:
    """What a stream was meant to be, and how much of it was heard."""
    record = _object(step, STREAM) if step is not None and step.kind == "stream" else {}
    files = record.get("files")
    loud = [
        number(one.get("sounding")) or 0.0
        for one in (files if isinstance(files, list) else ())
        if isinstance(one, dict)
    ]
    return {
        "service": plain(record.get("service") or planned.get("service")),
        "seconds_planned": number(record.get("planned")) or number(planned.get("seconds")),
        "seconds_heard": sum(loud) if record else None,
    }


def _unplayed(step: StepEvidence) -> str | None:
    """Why nothing of a stream was heard; nothing where it played, or where that is not told."""
    turns = step.json("transcript.json") if step.has("transcript.json") else []
    asked = [
        turn
        for turn in (turns if isinstance(turns, list) else ())
        if isinstance(turn, dict) and turn.get("purpose") == "play"
    ]
    if not asked or any(turn.get("delivered") for turn in asked):
        return None
    return f"asked for {'once' if len(asked) == 1 else f'{len(asked)} times'}, and nothing played"


def _outcome(step: StepEvidence | None) -> dict[str, Any]:
    outcome: dict[str, Any] = dict.fromkeys(("reason", "started", "ended"))
    outcome |= dict.fromkeys(("consent_policy", "consent", "cmp", "consent_s", "ad_tags"))
    if step is None:
        return {**outcome, "state": "missing"}
    record = _object(step, "session.json") | _object(step, "visit.json")
    if step.kind == "stream" and (unplayed := _unplayed(step)):
        record |= {"state": SILENT, "reason": unplayed}
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
    """One row per account. A sentence said again counts once, as delivered if any attempt was."""
    rows = []
    asked = utterances[utterances["purpose"] != "stop"]
    judged = asked.assign(
        refused=asked["answered_by"] == "platform", answer=asked["purpose"] == "answer"
    )
    keys = ["account", "sentence"]
    sentences = judged.groupby(keys, as_index=False)[
        ["delivered", "refused", "confounded", "answer"]
    ].max()
    for (account, persona), own in steps.groupby(["account", "persona"], sort=True):
        said = sentences[sentences["account"] == account]
        delivered = said["delivered"].fillna(False).astype(bool)
        topic = own["phase"] == "topic"
        rows.append(
            {
                "account": account,
                "persona": persona,
                "utterances_planned": _meant(own, said),
                "utterances_said": len(said),
                "utterances_delivered": int(delivered.sum()),
                "utterances_refused": int((said["refused"].fillna(False) & ~delivered).sum()),
                "utterances_confounded": int(said["confounded"].fillna(False).sum()),
                **_ended("topic_visits", own[topic]),
                **_ended("opt_outs", own[own["kind"] == "opt-out"]),
                **_ended("visits", own[(own["kind"] == "visit") & ~topic]),
            }
        )
    return DELIVERY.conform(rows)


def _meant(steps: pd.DataFrame, said: pd.DataFrame) -> int:
    """Sentences of an account's sessions as planned, and those said that no plan has."""
    sessions = steps[steps["kind"] == "session"]
    counts = sessions["sentences"].fillna(0).astype(int)
    planned = dict(zip(sessions["step"], counts, strict=True))
    answers = said["answer"].astype(bool)
    sessions_of = said.loc[~answers, "sentence"].str.replace(r"#\d+$", "", regex=True)
    for session, spoken in sessions_of.value_counts().items():
        planned[session] = max(planned.get(session, 0), spoken)
    return int(sum(planned.values()) + answers.sum())


def _ended(name: str, steps: pd.DataFrame) -> dict[str, int]:
    complete = int((steps["state"] == "complete").sum())
    return {f"{name}_planned": len(steps), f"{name}_complete": complete}
