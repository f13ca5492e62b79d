"""Effects of all claims with their intervals."""

from __future__ import annotations

from echoaudit.inference import Conclusion
from echoaudit.inference.conclusion import Effect
from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Column, Figure, Key, Table
from echoaudit.report.text import NOTHING, count, p_value, ratio

ONE, SEVERAL = 440.0, 720.0
"""Widths: of one claim's figure half the page, of several all of it, so that names have room."""
LEFT, TOP, ROW, FOOT = 12.0, 14.0, 56.0, 46.0
NAME = {ONE: 34, SEVERAL: 62}
"""Characters of a claim's name that fit beside its numbers."""
MEASURES = {
    "value": "price of a bid",
    "rate": "how often a bid comes",
    "value-per-opportunity": "worth of a chance to bid",
    "maximum": "highest bid",
    "partners": "partners’ bids over others’",
    "count": "number per account",
}


def forest(conclusions: list[Conclusion], colours: dict[str, str]) -> Figure | None:
    """One row per claim that has an effect; ``None`` when none has."""
    rows = [(c, c.effect) for c in conclusions if c.effect is not None]
    if not rows:
        return None
    base = TOP + ROW * len(rows)
    width = SEVERAL if len(rows) > 1 else ONE
    canvas = Canvas(width, base + FOOT, "Effects with their 95 % intervals")
    scale = _scale([effect for _, effect in rows], width)
    axes.below(canvas, scale, (TOP, base), axes.times, "treated persona over control")
    canvas.line((scale(1), TOP), (scale(1), base), "reference")
    for i, (conclusion, effect) in enumerate(rows):
        colour = colours[conclusion.treated.persona]
        _row((canvas, scale), TOP + ROW * i, conclusion, effect, colour)
    return Figure(
        id="effects",
        title=_title([c for c, _ in rows]),
        description=(
            "Dot: how many times the control's value. Line: 95 % interval from the differences "
            "between accounts. Diamond: the smallest true effect that this number of accounts "
            "would have found four times in five. 1× means no difference."
        ),
        drawing=canvas.markup(),
        wide=len(rows) > 1,
        table=_table(rows),
        keys=(
            Key("effect with interval", "ink", "dot"),
            Key("smallest detectable effect", "ink", "diamond"),
        ),
    )


def _scale(effects: list[Effect], width: float) -> Log:
    ends = [1.0, *(e.ratio for e in effects), *(e.detectable for e in effects if e.detectable)]
    near, far = min(ends) / 3, max(ends) * 3
    ends += [max(e.low, near) for e in effects] + [min(e.high, far) for e in effects]
    return Log.around(ends, LEFT + 8, width - LEFT - 8)


def _row(
    drawing: tuple[Canvas, Log], top: float, conclusion: Conclusion, effect: Effect, colour: str
) -> None:
    canvas, scale = drawing
    y = top + 36
    name = f"{conclusion.treated.persona} / {conclusion.control.persona}"
    label = f"{name}: {MEASURES[conclusion.measure]}"
    canvas.text((LEFT, top + 17), label, "label halo", limit=NAME[canvas.width])
    numbers = f"{ratio(effect.ratio)}  ({ratio(effect.low)} to {ratio(effect.high)})"
    canvas.text((canvas.width - LEFT, top + 17), numbers, "value halo", "end")
    canvas.line((scale(effect.low), y), (scale(effect.high), y), f"interval s-{colour}")
    for end in (effect.low, effect.high):
        canvas.line((scale(end), y - 5), (scale(end), y + 5), f"interval s-{colour}")
    canvas.circle((scale(effect.ratio), y), 6, f"f-{colour}", f"{name}: {ratio(effect.ratio)}")
    if effect.detectable:
        canvas.diamond((scale(effect.detectable), y), 5.5, "detectable", ratio(effect.detectable))


def _title(conclusions: list[Conclusion]) -> str:
    supported = [c for c in conclusions if c.state == "supported"]
    if len(conclusions) > 1:
        return f"{len(supported)} of {count(len(conclusions), 'claim')} hold"
    only, effect = conclusions[0], conclusions[0].effect
    assert effect is not None
    if only.state == "insufficient":
        return "The measured difference cannot carry a verdict"
    reach = f"the interval reaches from {ratio(effect.low)} to {ratio(effect.high)}"
    if supported:
        gets = f"{only.treated.persona} gets {ratio(effect.ratio)} what {only.control.persona} gets"
        return f"{gets}; {reach}"
    return f"No difference was shown; {reach}"


def _table(rows: list[tuple[Conclusion, Effect]]) -> Table:
    labels = ("effect", "from", "to", "p", "p corrected", "smallest possible p", "detectable")
    return Table(
        "Effects (ratio), 95 % intervals and tests",
        (Column("claim"), Column("state"), *(Column(label, numeric=True) for label in labels)),
        tuple(
            (
                c.claim,
                c.state,
                ratio(e.ratio),
                ratio(e.low),
                ratio(e.high),
                p_value(c.test.p if c.test else None),
                p_value(c.test.p_corrected if c.test else None),
                p_value(c.test.smallest_p if c.test else None),
                ratio(e.detectable) if e.detectable else NOTHING,
            )
            for c, e in rows
        ),
    )
