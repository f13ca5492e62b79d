"""Each account before and after the treatment."""

from __future__ import annotations

import math

import numpy as np

from echoaudit.inference import Conclusion
from echoaudit.inference.conclusion import AccountScore, Arm
from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Column, Figure, Key, Table
from echoaudit.report.text import count, money, ratio

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BASE = 440.0, 330.0, 60.0, 300.0, 14.0, 284.0


def slopes(conclusion: Conclusion, colours: dict[str, str]) -> Figure | None:
    """The accounts of one claim on prices; ``None`` without a baseline."""
    arms = (conclusion.control, conclusion.treated)
    scores = [score for arm in arms for score in arm.scores]
    if not conclusion.treated.scores or any(score.before is None for score in scores):
        return None
    canvas = Canvas(WIDTH, HEIGHT, "Bid level of each account before and after the conversations")
    levels = [math.exp(level) for s in scores for level in (s.before or 0.0, s.after)]
    scale = Log.around(levels, BASE - 8, TOP + 8, least=2)
    _frame(canvas, scale)
    for arm in arms:
        _lines(canvas, scale, arm, colours[arm.persona], control=arm is conclusion.control)
    _names(canvas, scale, arms, colours)
    treated, control = conclusion.treated.persona, conclusion.control.persona
    return Figure(
        id=f"change-{treated}",
        title=_title(conclusion),
        description=(
            "One line per account: its typical bid once site, slot, bidder and round are "
            "accounted for, before and after the conversations. What moves all lines alike is "
            "time; what moves the persona's lines more is the claim's effect."
        ),
        drawing=canvas.markup(),
        table=_table(arms),
        keys=(Key(treated, colours[treated], "line"), Key(control, colours[control], "dashes")),
    )


def _frame(canvas: Canvas, scale: Log) -> None:
    for value in scale.ticks():
        canvas.line((LEFT, scale(value)), (RIGHT, scale(value)), "grid")
        canvas.text((LEFT - 8, scale(value) + 4), axes.dollars(value), "tick", "end")
    for x, name in ((LEFT, "before"), (RIGHT, "after")):
        canvas.line((x, TOP), (x, BASE), "axis")
        canvas.text((x, BASE + 18), name, "label", "middle")
    canvas.text(
        ((LEFT + RIGHT) / 2, BASE + 38), "typical bid of an account (CPM)", "name", "middle"
    )


def _lines(canvas: Canvas, scale: Log, arm: Arm, colour: str, *, control: bool) -> None:
    for score in arm.scores:
        before, after = math.exp(score.before or 0.0), math.exp(score.after)
        title = f"{score.account}: {money(before)} to {money(after)}"
        ends = (LEFT, scale(before)), (RIGHT, scale(after))
        canvas.line(*ends, f"slope s-{colour}{' dashed' if control else ''}", title)
        for end in ends:
            canvas.circle(end, 4, f"ring s-{colour}" if control else f"dot f-{colour}", title)


def _names(canvas: Canvas, scale: Log, arms: tuple[Arm, Arm], colours: dict[str, str]) -> None:
    """Each arm's name beside its lines, with its mean change, kept apart vertically."""
    places = sorted((scale(math.exp(_mean(arm.scores))), arm.persona, arm) for arm in arms)
    gap = max(0.0, 40 - (places[1][0] - places[0][0])) / 2
    for (y, persona, arm), shift in zip(places, (-gap, gap), strict=True):
        at = min(max(y + shift, TOP + 10), BASE - 22)
        canvas.text((RIGHT + 16, at), persona, f"strong f-{colours[persona]}", limit=16)
        change = math.exp(float(np.mean([s.score for s in arm.scores])))
        canvas.text((RIGHT + 16, at + 17), f"mean {ratio(change)}", "tick")


def _mean(scores: tuple[AccountScore, ...]) -> float:
    return float(np.mean([score.after for score in scores]))


def _title(conclusion: Conclusion) -> str:
    treated, control = conclusion.treated, conclusion.control
    limit = max(score.score for score in control.scores) if control.scores else -math.inf
    above = sum(score.score > limit for score in treated.scores)
    whole = f"{above} of {count(len(treated.scores), f'{treated.persona} account')}"
    if above == len(treated.scores):
        whole = f"Every {treated.persona} account"
    elif not above:
        whole = f"No {treated.persona} account"
    return f"{whole} gained more than any {control.persona} account"


def _table(arms: tuple[Arm, Arm]) -> Table:
    return Table(
        "Adjusted bid level per account (CPM, geometric mean)",
        (
            Column("account"),
            Column("persona"),
            Column("before", numeric=True),
            Column("after", numeric=True),
            Column("change", numeric=True),
            Column("bids", numeric=True),
        ),
        tuple(
            (
                s.account,
                arm.persona,
                money(math.exp(s.before or 0.0)),
                money(math.exp(s.after)),
                ratio(math.exp(s.score)),
                f"{s.observations:,}",
            )
            for arm in arms
            for s in arm.scores
        ),
    )
