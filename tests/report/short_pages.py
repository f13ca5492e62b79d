"""The pages beside the report: a plan's, and the one of several studies; true and hostile."""

from __future__ import annotations

import dataclasses
from functools import cache

from simulate import CLAIM, simulate

from echoaudit.inference import conclude_all
from echoaudit.inference.meta import pool
from echoaudit.report import planning, pooled
from echoaudit.report.digest import digest
from echoaudit.report.parts import Column, Section, Table


def plan_page(text: str | None = None) -> str:
    """What ``echoaudit plan -o`` writes; with ``text`` for every text."""
    title, design, words = (text or one for one in ("Plan of fashion", "3 + 6", "It finds it."))
    curves = [
        planning.Curve(
            name, tuple((x, min(1.0, (x - 1) * rise)) for x in (1.1, 1.3, 1.5, 2.0, 3.0))
        )
        for name, rise in ((design, 1.4), (f"{design} more", 0.9))
    ]
    table = Table(
        text or "Designs",
        (Column(text or "accounts", numeric=True), Column(text or "power", numeric=True)),
        ((design, text or "80.0%"), ("5 + 10", "95.0%")),
        note=text or "Hours are on the clock.",
    )
    section = Section(
        id="plan",
        title="What the study would find, and what it would cost",
        short="Plan",
        lead=words,
        figures=(planning.curves(curves, 0.8, 1.5),),
        tables=(table,),
    )
    return planning.page("plan", title, [text or "20 sites", "seed 1"], [words], section)


def pooled_page(text: str | None = None, studies: int = 3) -> str:
    """What ``echoaudit report A B C`` writes; with ``text`` for every text of every study."""

    def changed(value):
        return poisoned(value, text) if text else value

    judged = {f"{text or 'study'} {n}": study(n) for n in range(studies)}
    found = pool({name: changed(conclusions) for name, (conclusions, _) in judged.items()})
    assert found and found[0].pooled == studies
    digests = {name: changed(short) for name, (_, short) in judged.items()}
    return pooled.render([changed(one) for one in found], digests)


@cache
def study(number: int):
    """Conclusions and digest of one of the studies."""
    _, tables, _ = simulate([CLAIM], lifts={"fashion": 1.5 + number / 4}, seed=number + 1)
    return tuple(conclude_all([CLAIM], tables)), digest(tables)


KEPT = {"state", "outcome", "measure", "direction", "correction", "method"}
"""Words of a conclusion that code decides by."""


def poisoned(value, text):
    """Every text of a record of records replaced, but for ``KEPT``."""
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(
            value,
            **{
                field.name: poisoned(getattr(value, field.name), text)
                for field in dataclasses.fields(value)
                if field.name not in KEPT
            },
        )
    if isinstance(value, tuple):
        return tuple(poisoned(one, text) for one in value)
    return text if isinstance(value, str) else value
