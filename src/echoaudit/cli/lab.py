"""``echoaudit lab``: calibrate the instrument on a world whose truth is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.findings import Findings
    from echoaudit.inference import Conclusion
    from echoaudit.lab.score import EffectScore, Score
    from echoaudit.recording import Recording

SHOWN = 5
"""Wrong or missed rows that are shown of each kind; --json has all."""


@click.group("lab", short_help="Score a recording against its world.")
def command() -> None:
    """The embedded lab."""


@command.command("score", short_help="Compare findings with the planted truth.")
@options.recording
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="The lab's folder with the truth; beside the recording when not given.",
)
@options.as_json
def score(folder: Path, truth: Path | None, as_json: bool) -> int:
    """Compare the findings of RECORDING with what its world planted.

    Exit code 1 when anything was missed or invented.
    """
    from echoaudit import findings
    from echoaudit.recording import Recording

    recording = Recording.open(folder)
    place = folder.absolute()
    state = truth or place.parent / ".private" / place.name / "lab"
    if not (state / "truth").is_dir():
        raise BadInput(
            "no truth of a lab is here; allowed: a folder that holds truth/; "
            f"example: echoaudit lab score {folder} --truth FOLDER",
            file=state,
        )
    found = findings.compute(recording)
    scores, effects = _scores(recording, found, state)
    value = {
        "scores": [s.to_json() for s in scores],
        "effects": [e.to_json() for e in effects],
    }
    options.show(as_json, value, [*_lines(scores, effects)])
    right = all(s.perfect for s in scores) and all(e.covered for e in effects)
    return ExitCode.OK if right else ExitCode.DIFFERENT


def _scores(
    recording: Recording, found: Findings, state: Path
) -> tuple[list[Score], list[EffectScore]]:
    from echoaudit.lab import score as rules
    from echoaudit.lab import score_contacts
    from echoaudit.lab.browsers import also_by_view, browsers, with_accounts
    from echoaudit.lab.truth import read_contacts, read_log, read_world

    sessions = {
        step.id: (step.account, record["started"], record["ended"])
        for kind in ("session", "idle", "stream")
        for step in recording.steps(kind)
        for record in [step.json("session.json")]
    }
    visits = [
        (step.id, step.account, str(step.data["phase"]), record["started"], record["ended"])
        for step in recording.steps("visit")
        for record in [step.json("visit.json")]
    ]
    known = also_by_view(browsers(_cookies(recording)), read_log(state, "syncs"))
    bids = list(with_accounts(read_log(state, "bids"), known))
    syncs = with_accounts(read_log(state, "syncs"), known)
    rows = partial(_rows, found)
    endpoints = rows("endpoints")
    contacted = [row for row in endpoints if row["contacted"]]
    blocked = [row for row in endpoints if row["state"] == "blocked"]
    windows = [(id_, account, first, last) for id_, account, _, first, last in visits]
    world = read_world(state)
    answers = world.get("asked", {})
    asked = {
        step.id: answers
        for kind in ("session", "idle", "stream")
        for step in recording.steps(kind)
        if step.has("probes.jsonl")
    }
    opened = {row["session"] for row in rows("decrypted") if row["policy"] == "trusting"}
    decrypted = {id_: window for id_, window in sessions.items() if id_ in opened}
    told = score_contacts.score_data_types(rows("data_types"), read_contacts(state), decrypted)
    scores = [
        score_contacts.score_endpoints(contacted, read_contacts(state), sessions, opened, asked),
        score_contacts.score_roles(contacted + blocked, world["roles"]),
        score_contacts.score_blocked(blocked, read_contacts(state), sessions),
        score_contacts.score_attribution(rows("attribution"), read_contacts(state), sessions),
        *([told] if decrypted else []),
        rules.score_syncs(rows("syncs"), rules.within(syncs, windows)),
        rules.score_bids(rows("bids"), bids, windows, _unanswered(recording)),
        *_ads(recording, rows, bids, windows),
        *_shop_ads(rows, list(read_log(state, "shop_ads")), windows),
        *_by_view(recording, rows, state),
        *([_audio_ads(recording, found, state)] if any(recording.steps("stream")) else []),
    ]
    phases = [(account, phase, first, last) for _, account, phase, first, last in visits]
    effects = [
        _effect(c, rules.planted_effect(bids, phases, c.treated.persona, c.control.persona))
        for c in found.conclusions
        if c.outcome == "bids" and c.measure == "value"
    ]
    return scores, effects


def _ads(
    recording: Recording,
    rows: Callable[[str], list[dict[str, Any]]],
    bids: list[Mapping[str, Any]],
    windows: list[tuple[str, str, float, float]],
) -> Iterator[Score]:
    """Only where ads were looked at."""
    from echoaudit.lab.score import score_ads

    if any(step.has("ads.json") for step in recording.steps("visit")):
        yield score_ads(rows("ads"), rows("bids"), bids, windows)


def _shop_ads(
    rows: Callable[[str], list[dict[str, Any]]],
    log: list[dict[str, Any]],
    windows: list[tuple[str, str, float, float]],
) -> Iterator[Score]:
    """Only where the platform's own pages were visited or said to show ads."""
    from echoaudit.lab.score import score_shop_ads

    score = score_shop_ads(rows("ads"), log, windows)
    if score.found or score.planted:
        yield score


def _by_view(
    recording: Recording, rows: Callable[[str], list[dict[str, Any]]], state: Path
) -> Iterator[Score]:
    """Only where the world has consent banners, or auctions on servers."""
    import re

    from echoaudit.lab.score import score_auctions, score_consents
    from echoaudit.lab.truth import read_log
    from echoaudit.outcomes.visits import requests_of

    consents, auctions = list(read_log(state, "consents")), list(read_log(state, "auctions"))
    if not consents and not auctions:
        return
    views = {
        view: step.id
        for step in recording.steps("visit")
        for request in requests_of(step)
        for view in re.findall(r"[?&](?:view|cb)=([0-9a-f]{16})", request.url)
    }
    if consents:
        yield score_consents(rows("steps"), consents, views)
    if auctions:
        yield score_auctions(rows("web_contacts"), auctions, views)


def _unanswered(recording: Recording) -> Counter[str]:
    """By visit, the number of requests that got no answer."""
    return Counter(
        step.id
        for step in recording.steps("visit")
        for entry in step.json("page.har")["log"]["entries"]
        if not entry["response"]["status"]
    )


def _cookies(recording: Recording) -> Iterator[tuple[str, str]]:
    """Account and value of each cookie that its browser held around a visit."""
    for step in recording.steps("visit"):
        if step.has("cookies.json"):
            held = step.json("cookies.json")
            for cookie in [*held["before"], *held["after"]]:
                yield step.account, str(cookie["value"])


def _audio_ads(recording: Recording, found: Findings, state: Path) -> Score:
    from echoaudit.lab.score_streams import score_audio_ads
    from echoaudit.lab.truth import read_log

    windows = {
        step.id: (step.account, str(step.data["service"]), record["started"], record["ended"])
        for step in recording.steps("stream")
        for record in [step.json("session.json")]
    }
    return score_audio_ads(_rows(found, "audio_ads"), read_log(state, "streams"), windows)


def _rows(found: Findings, name: str) -> list[dict[str, Any]]:
    table = found.tables[name].to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in table]


def _effect(conclusion: Conclusion, planted: float) -> EffectScore:
    from echoaudit.lab.score import EffectScore

    effect = conclusion.effect
    if effect is None:
        return EffectScore(conclusion.claim, planted, None, None, None)
    return EffectScore(conclusion.claim, planted, effect.ratio, effect.low, effect.high)


def _lines(scores: list[Score], effects: list[EffectScore]) -> Iterator[str]:
    yield f"{'outcome':<11} {'found':>6} {'planted':>8} {'precision':>10} {'recall':>7}"
    for s in scores:
        uncertain = f"  {s.uncertain} uncertain" if s.uncertain else ""
        yield (
            f"{s.outcome:<11} {s.found:>6} {s.planted:>8} {s.precision:>10.3f} {s.recall:>7.3f}"
            f"{uncertain}"
        )
    for s in scores:
        for name, rows in (("invented", s.wrong), ("missed", s.missed)):
            for row in rows[:SHOWN]:
                yield f"  {s.outcome} {name}: {row}"
            if len(rows) > SHOWN:
                yield f"  {s.outcome} {name}: {len(rows) - SHOWN} more (--json shows all)"
    for e in effects:
        if e.effect is None:
            yield f"effect {e.claim}: not estimated; planted {e.planted:.2f}"
        else:
            holds = "holds" if e.covered else "MISSES"
            yield (
                f"effect {e.claim}: {e.effect:.2f} [{e.low:.2f}, {e.high:.2f}] {holds} "
                f"the planted {e.planted:.2f}"
            )
