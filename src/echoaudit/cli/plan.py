"""``echoaudit plan``: what a study would find, and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from echoaudit.cli import options
from echoaudit.errors import BadInput, ExitCode

if TYPE_CHECKING:
    from echoaudit.inference.planning import Design, Variances
    from echoaudit.report.parts import Section, Table
    from echoaudit.study import LoadedStudy
    from echoaudit.study.cost import Cost, Pace
    from echoaudit.study.models import Config

SHOWN = 5
"""Designs in the figure."""
EFFECTS = (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)


@click.command("plan", short_help="Power and cost of a study before it runs.")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PERSONA..."
)
@options.config
@click.option(
    "--effect",
    type=click.FloatRange(1, 1000, min_open=True),
    default=1.5,
    show_default=True,
    help="Ratio that is to be found.",
)
@click.option(
    "--power",
    "wanted",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Chance of finding it.",
)
@click.option(
    "--pilot",
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Read variances and pace from a recording.",
)
@click.option(
    "--account-sd", type=click.FloatRange(0, 10), help="Spread of accounts' change, log scale."
)
@click.option("--bid-sd", type=click.FloatRange(0, 10), help="Spread of single bids, log scale.")
@click.option(
    "--bids-per-visit", type=click.FloatRange(0, 10_000, min_open=True), help="Bids a visit brings."
)
@click.option("--sites", type=click.IntRange(1, 100_000), help="Sites, when none are configured.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Of the simulation: the same gives the same figures.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write figure and tables.")
@options.as_json
def command(
    paths: tuple[Path, ...],
    config_path: Path,
    settings: tuple[str, ...],
    effect: float,
    wanted: float,
    pilot: Path | None,
    account_sd: float | None,
    bid_sd: float | None,
    bids_per_visit: float | None,
    sites: int | None,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> int:
    """Tell how many accounts, controls, sites and rounds PERSONA files or a study need.

    Power is simulated from variances: those of a pilot recording (--pilot), stated ones, or
    assumed ones. Cost follows from the steps that the study would have. Nothing is run.
    """
    from echoaudit.study import load_config, load_study

    if output is not None:
        options.require_writable(output)
    written = load_config(config_path, options.parse_settings(settings))
    study = load_study(paths, written)
    config = _placed(study, written, sites)
    variances, pace = _known(pilot, config)
    stated = {"change": account_sd, "bid": bid_sd, "bids_per_visit": bids_per_visit}
    given = {name: value for name, value in stated.items() if value is not None}
    if given:
        variances = replace(variances, **given)  # type: ignore[arg-type]
    question = Question(study, config, variances, pace, effect, wanted, seed)
    found = answer(question)
    basis = _basis(variances, tuple(given), pilot)
    if output is not None:
        _write(output, question, found, basis)
    lines = _lines(question, found, basis, output)
    options.show(as_json, _plain(question, found), lines)
    return ExitCode.OK


@dataclass(frozen=True)
class Question:
    """What is asked."""

    study: LoadedStudy
    config: Config
    variances: Variances
    pace: Pace
    effect: float
    wanted: float
    seed: int

    @property
    def sites(self) -> int:
        """Sites of a round."""
        return len(self.study.sites or self.config.sites)

    @property
    def personas(self) -> int:
        """Predictions of the study, which are corrected for together."""
        stated = [c for c in self.study.claims if not c.exploratory and c.outcome == "bids"]
        return max(1, len(stated))


@dataclass(frozen=True)
class Option:
    """A design with its power and cost."""

    treated: int
    control: int
    power: float
    cost: Cost


@dataclass(frozen=True)
class Answer:
    """What the simulation found."""

    asked: Option
    """The study as it is configured."""
    options: tuple[Option, ...]
    """Other numbers of accounts, cheapest on the clock first."""
    sites: tuple[tuple[int, float], ...]
    """Sites and power, all else as configured."""
    rounds: tuple[tuple[int, float], ...]
    """Rounds after the treatment and power, all else as configured."""
    curves: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

    def cheapest(self, wanted: float) -> Option | None:
        """The cheapest design that suffices."""
        return next((one for one in self.options if one.power >= wanted), None)


def answer(question: Question) -> Answer:
    """Simulate the study as configured, and with other numbers of accounts, sites and rounds."""
    from echoaudit.inference import planning

    rounds, variances = question.config.rounds, question.variances
    sd = variances.score(question.sites, rounds.before, rounds.after)
    accounts = question.config.accounts

    def power(design: Design, spread: float, effect: float) -> float:
        return planning.power(design, spread, effect, question.seed)

    def design(treated: int, control: int) -> Design:
        return planning.Design(treated, control, question.personas, _alpha(question))

    def option(treated: int, control: int) -> Option:
        found = power(design(treated, control), sd, question.effect)
        return Option(treated, control, found, _cost(question, treated, control))

    asked = option(accounts.treated, accounts.control)
    tried = [
        option(treated, treated * multiple)
        for treated in planning.TREATED
        for multiple in planning.MULTIPLES
        if treated * multiple <= 50
    ]
    tried.sort(key=lambda one: (one.cost.clock, one.cost.speech, one.treated, one.control))
    own = design(accounts.treated, accounts.control)
    by_sites = tuple(
        (n, power(own, variances.score(n, rounds.before, rounds.after), question.effect))
        for n in sorted({*planning.SITES, question.sites})
    )
    by_rounds = tuple(
        (n, power(own, variances.score(question.sites, rounds.before, n), question.effect))
        for n in sorted({*planning.ROUNDS, rounds.after})
    )
    shown = [(accounts.treated, accounts.control), (2, 4), (3, 6), (5, 10), (10, 20)]
    effects = sorted({*EFFECTS, question.effect})
    curves = tuple(
        (f"{k} + {m}", tuple((e, power(design(k, m), sd, e)) for e in effects))
        for k, m in list(dict.fromkeys(shown))[:SHOWN]
    )
    return Answer(asked, tuple(tried), by_sites, by_rounds, curves)


def _alpha(question: Question) -> float:
    return next((c.alpha for c in question.study.claims if not c.exploratory), 0.05)


def _cost(question: Question, treated: int, control: int) -> Cost:
    """Of the study with so many accounts, whatever its personas' files say."""
    from echoaudit.study.cost import cost
    from echoaudit.study.plan import plan

    accounts = question.config.accounts.model_copy(update={"treated": treated, "control": control})
    config = question.config.model_copy(update={"accounts": accounts})
    personas = tuple(
        replace(one, persona=one.persona.model_copy(update={"accounts": None}))
        for one in question.study.personas
    )
    return cost(plan(replace(question.study, personas=personas), config), config, question.pace)


def _placed(study: LoadedStudy, config: Config, sites: int | None) -> Config:
    """The configuration with the sites of its lab's world, or as many as are asked for."""
    from echoaudit.study import merge
    from echoaudit.study.models import Site

    if sites is not None:
        names = [f"site-{n}" for n in range(1, sites + 1)]
        made = tuple(Site(site=name, url=f"https://{name}.example/") for name in names)
        return config.model_copy(update={"sites": made})
    if config.lab is not None:
        from echoaudit.lab import startup

        return merge(config, startup.overlay(study, config, Path("lab")))
    if not study.sites and not config.sites:
        raise BadInput(
            "no sites in the study or the configuration; allowed: sites there, or a number of "
            "them; example: --sites 20",
            file="--sites",
        )
    return config


def _known(pilot: Path | None, config: Config) -> tuple[Variances, Pace]:
    """Variances and pace of the pilot, else the assumed ones."""
    from echoaudit.inference import planning
    from echoaudit.study.cost import assumed_pace, measured_pace

    if pilot is None:
        return planning.ASSUMED, assumed_pace(config)
    from echoaudit.findings import tables
    from echoaudit.recording import Recording

    recording = Recording.open(pilot)
    found = tables.tables(recording, ["bids", "steps", "utterances"])
    variances = planning.pilot(found["bids"]) if len(found["bids"]) else None
    if variances is None:
        raise BadInput(
            "cannot tell how accounts differ: no persona with enough accounts that have bids; "
            "allowed: a recording with at least 3 accounts of a persona; example: --account-sd "
            "0.14 instead",
            file=pilot,
        )
    steps = found["steps"].dropna(subset=["started", "ended"])
    listed = zip(steps["step"], steps["kind"], steps["ended"] - steps["started"], strict=True)
    planned = found["utterances"].groupby("session").size().to_dict()
    pace = measured_pace(
        [(str(i), str(kind), float(s)) for i, kind, s in listed],
        {str(session): int(number) for session, number in planned.items()},
        assumed_pace(config),
    )
    return variances, pace


# --- what is shown ------------------------------------------------------------------------------


def _plain(question: Question, found: Answer) -> dict[str, Any]:
    enough = found.cheapest(question.wanted)
    return {
        "effect": question.effect,
        "wanted_power": question.wanted,
        "personas": question.personas,
        "sites": question.sites,
        "rounds": question.config.rounds.model_dump(),
        "seed": question.seed,
        "variances": asdict(question.variances),
        "pace": asdict(question.pace),
        "configured": asdict(found.asked),
        "cheapest": enough and asdict(enough),
        "designs": [asdict(one) for one in found.options],
        "sites_and_power": [list(pair) for pair in found.sites],
        "rounds_and_power": [list(pair) for pair in found.rounds],
        "curves": {name: [list(point) for point in points] for name, points in found.curves},
    }


def _verdict(question: Question, found: Answer) -> list[str]:
    asked, enough = found.asked, found.cheapest(question.wanted)
    claims = f" each of {question.personas} personas" if question.personas > 1 else ""
    lines = [
        f"As configured, {asked.treated} accounts with the persona and {asked.control} controls "
        f"find a ratio of {question.effect:g}{' for' + claims if claims else ''} with a chance of "
        f"{asked.power:.1%}."
    ]
    if enough is None:
        lines.append(f"No design tried reaches {question.wanted:.0%}.")
    else:
        lines.append(
            f"The cheapest design that reaches {question.wanted:.0%} is {enough.treated} + "
            f"{enough.control}: {enough.cost.clock:.1f} hours, with {enough.cost.speech:.1f} of "
            f"speech and {enough.cost.crawl:.1f} of crawl."
        )
    for what, pairs in (("sites", found.sites), ("rounds after the treatment", found.rounds)):
        most = max(power for _, power in pairs)
        number = next((n for n, power in pairs if power >= question.wanted), None)
        lines.append(
            f"With the accounts as configured, {number} {what} are enough."
            if number is not None
            else f"More {what} do not help: even {pairs[-1][0]} give {most:.0%}; more accounts do."
        )
    return lines


def _basis(v: Variances, given: Sequence[str], pilot: Path | None) -> str:
    """Where the variances are from, in words."""
    source = (
        f"a pilot of {v.accounts} accounts, {pilot}" if pilot is not None else "assumed, no pilot"
    )
    if given:
        source += f"; stated: {', '.join(given)}"
    spread = ""
    if v.change_low is not None and v.change_high is not None:
        spread = f" (scores in the pilot {v.change_low:.3f} to {v.change_high:.3f}, 80 % interval)"
    return (
        f"Variances ({source}): change of accounts {v.change:.3f}{spread}, single bids "
        f"{v.bid:.2f}, {v.bids_per_visit:.1f} bids a visit."
    )


def _lines(question: Question, found: Answer, basis: str, output: Path | None) -> list[str]:
    lines = [*_verdict(question, found), basis, ""]
    table = _designs(question, found)
    widths = [
        max(len(str(row[n])) for row in ([c.label for c in table.columns], *table.rows))
        for n in range(len(table.columns))
    ]
    for row in ([c.label for c in table.columns], *table.rows):
        lines.append(
            "  ".join(f"{cell!s:>{width}}" for cell, width in zip(row, widths, strict=True))
        )
    return [*lines, "", f"figure and tables: {output}"] if output else lines


def _designs(question: Question, found: Answer) -> Table:
    from echoaudit.report.parts import Column, Table

    rows = [found.asked, *(one for one in found.options if one.control <= 30)]
    return Table(
        f"Designs for a ratio of {question.effect:g}, as configured first, then by time",
        (
            Column("accounts"),
            *(
                Column(label, numeric=True)
                for label in ("power", "hours", "speech h", "crawl h", "sentences", "visits")
            ),
        ),
        tuple(
            (
                f"{one.treated} + {one.control}",
                f"{one.power:.1%}",
                f"{one.cost.clock:.1f}",
                f"{one.cost.speech:.1f}",
                f"{one.cost.crawl:.1f}",
                f"{one.cost.sentences:,}",
                f"{one.cost.visits:,}",
            )
            for one in rows
        ),
        note=(
            "Hours: on the clock, with as many speakers and browsers at once as the configuration "
            "allows. Speech and crawl: of all speakers and all browsers together."
        ),
    )  # fmt: skip


def _section(question: Question, found: Answer) -> Section:
    from echoaudit.report.parts import Column, Section, Table
    from echoaudit.report.planning import Curve, curves

    def numbers(name: str, pairs: tuple[tuple[int, float], ...]) -> Table:
        return Table(
            f"Power by {name}",
            (Column(name), Column("power", numeric=True)),
            tuple((f"{n:,}", f"{power:.0%}") for n, power in pairs),
        )

    lines = [Curve(name, points) for name, points in found.curves]
    return Section(
        id="plan",
        title="What the study would find, and what it would cost",
        short="Plan",
        lead=_verdict(question, found)[0],
        figures=(curves(lines, question.wanted, question.effect),),
        tables=(
            _designs(question, found),
            numbers("sites", found.sites),
            numbers("rounds after the treatment", found.rounds),
        ),
    )


def _write(output: Path, question: Question, found: Answer, basis: str) -> None:
    from echoaudit.findings.store import write_text
    from echoaudit.report.planning import page

    facts = [
        f"{question.sites} sites",
        f"rounds: {question.config.rounds.before} before, {question.config.rounds.after} after",
        f"seed {question.seed}",
    ]
    words = [*_verdict(question, found)[1:], basis]
    title = f"Plan of {question.study.name}"
    write_text(output, page("plan", title, facts, words, _section(question, found)))
