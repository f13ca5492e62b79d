"""``echoaudit diff``: what changed between two recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import ExitCode

if TYPE_CHECKING:
    from echoaudit.findings.change import Change, ClaimChange, Shift
    from echoaudit.recording import Recording


@click.command("diff", short_help="Compare two recordings.")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@options.as_json
def command(before: Path, after: Path, as_json: bool) -> int:
    """Tell what changed between the recordings BEFORE and AFTER.

    Organisations, endpoints, roles, kinds of data, exchanges of identifiers, advertisers and
    interests that appeared or vanished, for each persona, counted in accounts; and how the effects
    changed.
    Settings that differ and forbid a comparison come first. Both are analysed anew, by this
    version. Exit code 0 whatever is found.
    """
    from echoaudit.findings.change import change
    from echoaudit.recording import Recording

    recordings = Recording.open(before), Recording.open(after)
    found = change(recordings, (_findings(recordings[0]), _findings(recordings[1])))
    options.show(as_json, _value(found, before, after), _lines(found))
    return ExitCode.OK


def _findings(recording: Recording) -> Any:
    from echoaudit import findings

    return findings.compute(
        recording, labels=findings.kept_labels(recording), later=findings.kept_claims(recording)
    )


def _value(found: Change, before: Path, after: Path) -> dict[str, Any]:
    return {
        "before": str(before),
        "after": str(after),
        "comparable": found.comparable,
        "settings": [asdict(setting) for setting in found.settings],
        "unknown": list(found.unknown),
        "shifts": [
            {**asdict(s), "before": s.before._asdict(), "after": s.after._asdict()}
            for s in found.shifts
        ],
        "claims": [
            {
                "claim": c.claim,
                "before": _side(c, "before"),
                "after": _side(c, "after"),
                "effect_change": asdict(c.effect) if c.effect else None,
            }
            for c in found.claims
        ],
        "unmatched_claims": list(found.unmatched),
    }


def _side(change: ClaimChange, which: str) -> dict[str, Any]:
    conclusion = getattr(change, which)
    effect = conclusion.effect
    return {
        "state": conclusion.state,
        "effect": effect and {"ratio": effect.ratio, "low": effect.low, "high": effect.high},
        "accounts": [len(conclusion.treated.accounts), len(conclusion.control.accounts)],
    }


# --- for people -------------------------------------------------------------------------------


def _lines(found: Change) -> Iterator[str]:
    yield from _settings(found)
    yield ""
    yield from _claims(found)
    yield ""
    yield from _shifts(found.shifts)
    if found.unknown:
        yield ""
        yield "Unknown: only one recording looked"
        yield from (f"  {text}" for text in found.unknown)


def _settings(found: Change) -> Iterator[str]:
    forbidding = [s for s in found.settings if s.forbids]
    others = [s for s in found.settings if not s.forbids]
    if forbidding:
        yield (
            "NOT COMPARABLE: these settings differ, so what follows may be due to them "
            "and not to a change in between"
        )
        yield from (f"  {s.what}: {s.before} -> {s.after}" for s in forbidding)
    else:
        yield "Comparable: same world, software, sites, personas and skills"
    if others:
        yield "Other settings that differ"
        yield from (f"  {s.what}: {s.before} -> {s.after}" for s in others)


def _claims(found: Change) -> Iterator[str]:
    yield "Claims" if found.claims or found.unmatched else "No claim in either"
    for one in found.claims:
        states = one.before.state, one.after.state
        moved = "still " + states[1] if states[0] == states[1] else " -> ".join(states)
        yield f"  {one.claim}: {moved}"
        if one.effect and one.before.effect and one.after.effect:
            change = one.effect
            reach = f"95 % interval {change.low:.2f} to {change.high:.2f}, p = {change.p:.2g}"
            yield (
                f"    effect {one.before.effect.ratio:.2f} -> {one.after.effect.ratio:.2f}: "
                f"changed by the factor {change.ratio:.2f} ({reach})"
            )
        else:
            yield "    no change of effect can be told: one of them measured none"
    yield from (f"  {name}: only in one, or about something else there" for name in found.unmatched)


def _shifts(shifts: tuple[Shift, ...]) -> Iterator[str]:
    if not shifts:
        yield "Nothing appeared or vanished"
        return
    for (kind, persona), group in groupby(shifts, key=lambda s: (s.kind, s.persona)):
        own = list(group)
        yield f"{kind[0].upper()}{kind[1:]}s of {persona}, accounts before -> after"
        for s in own:
            mark = {"appeared": "+", "vanished": "-"}.get(s.direction, "~")
            p = f"p = {s.p:.2g}, corrected {s.p_holm:.2g}"
            yield f"  {mark} {s.what}: {s.before} -> {s.after} ({p})"
