"""Several studies of one claim: each effect, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from echoaudit.inference.sentence import CORRECTION
from echoaudit.report.digest import Digest
from echoaudit.report.endpoints import shade
from echoaudit.report.figures import axes
from echoaudit.report.figures.canvas import Canvas
from echoaudit.report.figures.scales import Log
from echoaudit.report.parts import Cell, Column, Figure, Key, Meter, Section, Table
from echoaudit.report.planning import page
from echoaudit.report.text import NOTHING, count, listed, p_value, ratio, share

if TYPE_CHECKING:
    from echoaudit.inference.meta import Pooled

MOST_CONTACTS = 300
WIDTH, LEFT, RIGHT, TOP, ROW, FOOT = 440.0, 12.0, 428.0, 14.0, 50.0, 46.0


def render(pooled: Sequence[Pooled], studies: Mapping[str, Digest]) -> str:
    """The page as HTML without script; ``studies`` are in the order of their recordings."""
    figures = tuple(f for n, one in enumerate(pooled) if (f := _forest(one, n)) is not None)
    section = Section(
        id="pooled",
        title="What the studies say together",
        short="Pooled",
        lead=(
            "Each study is analysed on its own; then the effects of claims that several of them "
            "make are pooled as random effects, for studies differ in more than chance. p values "
            "are corrected for all claims of a family that are pooled. A claim that any of the "
            "pooled studies made as a question, or after its run, is exploratory: the data that "
            "suggested it cannot confirm it."
        ),
        figures=figures,
        tables=(_claims(pooled), *(_studies(one) for one in pooled)),
    )
    words = [
        f"{one.state.upper()}{' (exploratory)' * one.exploratory}: {one.sentence}" for one in pooled
    ]
    if not pooled:
        words = ["No claim is made by two of the studies: nothing can be pooled."]
    others = [_coverage(studies), _contacts(studies)]
    return page("studies", f"{len(studies)} studies", list(studies), words, section, *others)


def _coverage(studies: Mapping[str, Digest]) -> Section:
    """Shares of what was planned, a column per study."""
    labels = list(dict.fromkeys(m.label for one in studies.values() for m in one.coverage))
    measured = {
        name: {meter.label: meter for meter in one.coverage} for name, one in studies.items()
    }
    return Section(
        id="coverage",
        title="What was planned, and what happened, by study",
        short="Coverage",
        tables=(
            Table(
                "Coverage of each study",
                (Column("what"), *(Column(name, numeric=True) for name in studies)),
                tuple(
                    (label, *(_part(measured[name].get(label)) for name in studies))
                    for label in labels
                ),
            ),
        ),
    )


def _part(meter: Meter | None) -> str:
    if meter is None or not meter.whole:
        return NOTHING
    return f"{meter.part:,} of {meter.whole:,} ({share(meter.part, meter.whole)})"


def _contacts(studies: Mapping[str, Digest]) -> Section:
    """Who was contacted and who received what, a column per study."""
    keys = {(c.persona, c.organisation, c.party) for one in studies.values() for c in one.contacts}
    everywhere = [
        organisation
        for organisation in sorted({key[1] for key in keys})
        if all(organisation in {c.organisation for c in one.contacts} for one in studies.values())
    ]
    lead = (
        f"{count(len({key[1] for key in keys}), 'organisation')} in all; in every study: "
        f"{listed(everywhere, 12)}."
        if keys
        else "No contact of an Echo was captured in any of the studies."
    )
    return Section(
        id="contacts",
        title="Who received what, by study",
        short="Contacts",
        lead=lead,
        tables=(_reached(studies), _received(studies)),
    )


def _reached(studies: Mapping[str, Digest]) -> Table:
    places: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    parties: dict[tuple[str, str], set[str]] = {}
    for name, one in studies.items():
        for c in one.contacts:
            places.setdefault((c.persona, c.organisation), {})[name] = (c.accounts, c.whole)
            parties.setdefault((c.persona, c.organisation), set()).add(c.party)
    whole = {(name, c.persona): c.whole for name, one in studies.items() for c in one.contacts}
    rows: list[tuple[Cell, ...]] = [
        (
            organisation,
            "/".join(sorted(parties[persona, organisation])),
            persona,
            *(
                shade(*places[persona, organisation].get(name, (0, whole.get((name, persona), 0))))
                for name in studies
            ),
        )
        for persona, organisation in list(places)[:MOST_CONTACTS]
    ]
    return Table(
        "Organisations contacted: accounts of a persona whose Echo did",
        (
            Column("organisation"),
            Column("party"),
            Column("persona"),
            *(Column(name, centred=True) for name in studies),
        ),
        tuple(rows),
        note=f"The first {MOST_CONTACTS} of {len(places):,}; each study's report has all."
        if len(places) > MOST_CONTACTS
        else None,
    )


def _received(studies: Mapping[str, Digest]) -> Table:
    owners = sorted({(r.party, r.organisation) for one in studies.values() for r in one.data})

    def cells(party: str, organisation: str) -> Iterator[str]:
        for one in studies.values():
            kinds = [
                r.kinds for r in one.data if (r.party, r.organisation) == (party, organisation)
            ]
            yield listed(list(kinds[0]), 12) if kinds else NOTHING

    opened = "; ".join(
        f"{name}: {one.opened[0]:,} of {count(one.opened[1], 'device')}"
        for name, one in studies.items()
    )
    return Table(
        "Personal data that organisations were sent, where traffic could be decrypted",
        (Column("organisation"), Column("party"), *(Column(name) for name in studies)),
        tuple((organisation, party, *cells(party, organisation)) for party, organisation in owners),
        note=f"Decrypted were {opened}. Of the others nothing is known here.",
    )


def _name(one: Pooled) -> str:
    item = f" ({one.item})" if one.item else ""
    return f"{one.treated} / {one.control}: {one.measure} of {one.outcome}{item}"


def _claims(pooled: Sequence[Pooled]) -> Table:
    labels = ("ratio", "from", "to", "next study from", "to", "p", "corrected")
    later = ("p at any time", "corrected", "I²")
    return Table(
        "Claims over all studies",
        (
            Column("claim"),
            Column("state"),
            Column("studies", numeric=True),
            *(Column(label, numeric=True) for label in labels),
            Column("for claims of"),
            *(Column(label, numeric=True) for label in later),
        ),
        tuple(
            (
                f"{_name(one)} (exploratory)" if one.exploratory else _name(one),
                one.state,
                f"{one.pooled} of {len(one.studies)}",
                *(_ratio(v) for v in (one.ratio, one.low, one.high, one.low_next, one.high_next)),
                p_value(one.p),
                p_value(one.p_corrected),
                f"{one.claims} of {one.family}, {CORRECTION[one.correction]}",
                p_value(one.anytime_p),
                p_value(one.anytime_p_corrected),
                share(one.heterogeneity.i2, 1) if one.heterogeneity else NOTHING,
            )
            for one in pooled
        ),
        note=(
            "Next study: where the true ratio of another such study lies, with 95 %. Corrected: "
            "for the claims of the family that are pooled; it decides. p at any time holds "
            "although studies were added one by one, in the order of their beginning, and looked "
            "at each time; it is corrected by Holm’s method. I²: share "
            "of the variance that is due to differences between studies."
        ),
    )


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else ratio(value)


def _studies(one: Pooled) -> Table:
    return Table(
        _name(one),
        (
            Column("study"),
            Column("state"),
            *(Column(label, numeric=True) for label in ("ratio", "from", "to", "weight")),
            Column("left out because"),
        ),
        tuple(
            (
                s.study,
                s.state,
                _ratio(s.ratio),
                _ratio(s.low),
                _ratio(s.high),
                NOTHING if s.weight is None else share(s.weight, 1),
                s.left_out or "",
            )
            for s in one.studies
        ),
    )


def _forest(one: Pooled, number: int) -> Figure | None:
    """Effects of the studies and the pooled one; ``None`` when nothing was pooled."""
    if one.ratio is None or one.low is None or one.high is None:
        return None
    rows = [
        (s.study, s.ratio, s.low, s.high, s.left_out is None)
        for s in one.studies
        if s.ratio is not None and s.low is not None and s.high is not None
    ]
    base = TOP + ROW * (len(rows) + 1)
    canvas = Canvas(WIDTH, base + FOOT, f"Effects of {len(rows)} studies, and pooled")
    values = [1.0, one.ratio, *(r for _, r, *_ in rows)]
    near, far = min(values) / 3, max(values) * 3
    ends = [max(low, near) for _, _, low, _, _ in rows] + [min(h, far) for *_, h, _ in rows]
    scale = Log.around([*values, *ends], LEFT + 8, RIGHT - 8)
    axes.below(canvas, scale, (TOP, base), axes.times, "treated persona over control")
    canvas.line((scale(1), TOP), (scale(1), base), "reference")
    shown = [*rows, ("pooled", one.ratio, one.low, one.high, True)]
    for place, (name, value, low, high, used) in enumerate(shown):
        top = TOP + ROW * place
        colour = "p2" if name == "pooled" and place == len(rows) else "p1" if used else "pc"
        canvas.text(
            (LEFT, top + 15), name if used else f"{name} (left out)", "label halo", limit=34
        )
        numbers = f"{ratio(value)}  ({ratio(low)} to {ratio(high)})"
        canvas.text((RIGHT, top + 15), numbers, "value halo", "end")
        canvas.line((scale(low), top + 32), (scale(high), top + 32), f"interval s-{colour}")
        canvas.circle((scale(value), top + 32), 6, f"f-{colour}", f"{name}: {ratio(value)}")
    return Figure(
        id=f"pooled-{number}",
        title=f"{_name(one)}: {ratio(one.ratio)} over {one.pooled} studies ({one.state})",
        description=(
            "Dots: how many times the control's value, by study and pooled. Lines: 95 % intervals. "
            "1× means no difference."
        ),
        drawing=canvas.markup(),
        table=_studies(one),
        keys=(Key("a study", "p1", "dot"), Key("pooled", "p2", "dot")),
        wide=len(rows) > 3,
    )
