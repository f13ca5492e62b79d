"""Rules that a user states of a recording's findings, and whether they hold.

A rule is about the rows of a table, about a share, or about a claim. What cannot be told because
nobody looked is unknown, and does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from echoaudit.findings.looked import LOOKED
from echoaudit.findings.tables import schemas
from echoaudit.study import load_as
from echoaudit.study.models import ClaimName, Strict, Text
from echoaudit.study.typed import Problem

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.findings import Findings
    from echoaudit.outcomes.schema import Schema

ClaimState = Literal["supported", "not supported", "insufficient"]
RuleState = Literal["passed", "failed", "unknown"]
Values = tuple[
    Annotated[
        str,
        StringConstraints(max_length=500),
        Field(examples=["fashion"], json_schema_extra={"patternErrorMessage": "text"}),
    ],
    ...,
]
SHOWN = 10
"""Values that are named when a rule fails."""


class ShareOf(Strict):
    """Two columns of numbers, each added up."""

    part: Text = Field(examples=["utterances_delivered"])
    """What was done."""
    of: Text = Field(examples=["utterances_planned"])
    """What was meant to be done."""


class Rule(Strict):
    """What must hold."""

    rule: ClaimName = Field(examples=["no-trackers"])
    """The rule's name."""
    about: Text | None = Field(default=None, examples=["Only the platform may track."])
    """Why, in words."""
    table: Text | None = Field(default=None, examples=["endpoints"])
    """The table of findings whose rows are counted."""
    where: dict[Text, Values] = Field(default={}, examples=[{"persona": ["fashion"]}])
    """Only rows with one of these values in each of these columns; `*` stands for anything."""
    except_: dict[Text, Values] = Field(
        default={}, alias="except", examples=[{"organisation": ["Amazon"]}]
    )
    """Without rows that have one of these values in any of these columns."""
    count: Text | None = Field(default=None, examples=["host"])
    """Count the different values of this column; absent: rows."""
    share: ShareOf | None = Field(default=None, examples=[{"part": "x", "of": "y"}])
    """Not a count, but the sum of one column by that of another."""
    at_most: float | None = Field(default=None, ge=0, examples=[0])
    """The highest number that passes."""
    at_least: float | None = Field(default=None, ge=0, examples=[1])
    """The lowest number that passes."""
    claim: ClaimName | None = Field(default=None, examples=["fashion-above-vanilla"])
    """A claim of the study."""
    state: tuple[ClaimState, ...] = Field(default=(), examples=[["not supported"]])
    """States of the claim that pass."""


class Rules(Strict):
    """A file of rules."""

    rules: tuple[Rule, ...] = Field(min_length=1, max_length=1000)
    """What must hold, all of it."""


@dataclass(frozen=True)
class Judgement:
    """A rule and what was found."""

    rule: str
    about: str | None
    state: RuleState
    expected: str
    found: str
    values: tuple[str, ...] = ()
    """What was counted, in order, when it was too much."""


def read_rules(path: Path, claims: Sequence[str]) -> tuple[Rule, ...]:
    """Read a file of rules for a study with these claims.

    Raises:
        BadInput: at the first fault, with its line: among others a table, column or claim that
            there is not, a rule that is about nothing or about two things.
    """
    found = load_as(Rules, path, check=lambda rules: list(_problems(rules, claims)))
    return found.rules


def judge(rules: Sequence[Rule], found: Findings) -> list[Judgement]:
    """Hold findings against rules, in their order."""
    return [_claim(rule, found) if rule.claim else _table(rule, found.tables) for rule in rules]


# --- what a rule may be -----------------------------------------------------------------------


def _problems(rules: Rules, claims: Sequence[str]) -> Iterator[Problem]:
    known = schemas()
    names: set[str] = set()
    for i, rule in enumerate(rules.rules):
        if rule.rule in names:
            found = f"found {rule.rule!r} a second time"
            yield Problem(("rules", i, "rule"), found, "each name once", "rule: another-name")
        names.add(rule.rule)
        if (rule.claim is None) == (rule.table is None):
            found = f"found {'neither' if rule.claim is None else 'both'} for {rule.rule}"
            yield Problem(("rules", i), found, "either table or claim", "table: endpoints")
        elif rule.claim is not None:
            yield from _claim_problems(i, rule, claims)
        elif rule.table not in known:
            names_of = ", ".join(sorted(known))
            found = f"found {rule.table!r} for table"
            yield Problem(("rules", i, "table"), found, names_of, "table: endpoints")
        else:
            yield from _table_problems(i, rule, known[rule.table])


def _claim_problems(i: int, rule: Rule, claims: Sequence[str]) -> Iterator[Problem]:
    if rule.claim not in claims:
        allowed = ", ".join(claims) or "none, the study states no claim"
        yield Problem(
            ("rules", i, "claim"), f"found {rule.claim!r} for claim", allowed, "claim: NAME"
        )
    if not rule.state:
        found = f"no 'state' for the claim of {rule.rule}"
        allowed = "supported, not supported, insufficient"
        yield Problem(("rules", i), found, allowed, "state: [supported]")
    for key in ("where", "except", "count", "share", "at_most", "at_least"):
        if getattr(rule, "except_" if key == "except" else key) not in (None, {}):
            yield Problem(
                ("rules", i, key), f"{key!r} with a claim", "it with a table", "state: [supported]"
            )


def _table_problems(i: int, rule: Rule, schema: Schema) -> Iterator[Problem]:
    if rule.at_most is None and rule.at_least is None:
        found = f"neither at_most nor at_least for {rule.rule}"
        yield Problem(("rules", i), found, "one of them, or both", "at_most: 0")
    if rule.state:
        found = "'state' with a table"
        yield Problem(("rules", i, "state"), found, "it with a claim", "claim: NAME")
    if rule.share is not None and rule.count is not None:
        yield Problem(("rules", i, "count"), "both count and share", "one of them", "count: host")
    numbers = [c.name for c in schema.columns if c.dtype in ("int", "float")]
    named: list[tuple[tuple[str | int, ...], str, list[str]]] = [
        *((("where", name), name, schema.names) for name in rule.where),
        *((("except", name), name, schema.names) for name in rule.except_),
    ]
    if rule.count is not None:
        named.append((("count",), rule.count, schema.names))
    if rule.share is not None:
        named += [(("share", "part"), rule.share.part, numbers)]
        named += [(("share", "of"), rule.share.of, numbers)]
    for place, name, columns in named:
        if name not in columns:
            found = f"found {name!r} for a column of {schema.name}"
            yield Problem(("rules", i, *place), found, ", ".join(columns), columns[0])


# --- whether it holds -------------------------------------------------------------------------


def _claim(rule: Rule, found: Findings) -> Judgement:
    conclusion = next(c for c in found.conclusions if c.claim == rule.claim)
    passed: RuleState = "passed" if conclusion.state in rule.state else "failed"
    expected = f"{rule.claim} {' or '.join(rule.state)}"
    return Judgement(rule.rule, rule.about, passed, expected, conclusion.state)


def _table(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> Judgement:
    assert rule.table is not None
    table = tables[rule.table]
    rows = table[_kept(table, rule)]
    if rule.share is not None:
        return _share(rule, rows, rule.share)
    seen = _looked_at(rule, tables)
    values = _values(rows, rule)
    number = len(values) if rule.count else len(rows)
    what = rule.count or "row"
    expected = f"{_bounds(rule, '{:g}')} {what} in {rule.table}"
    if seen is not None and not seen[0]:
        return Judgement(rule.rule, rule.about, "unknown", expected, "nobody looked: no evidence")
    found = f"{number}" + (f" (looked at {seen[0]} of {seen[1]} accounts)" if seen else "")
    state = _within(number, rule)
    too_many = rule.at_most is not None and number > rule.at_most
    return Judgement(rule.rule, rule.about, state, expected, found, values if too_many else ())


def _share(rule: Rule, rows: pd.DataFrame, share: ShareOf) -> Judgement:
    part, whole = float(rows[share.part].sum()), float(rows[share.of].sum())
    expected = f"{_bounds(rule, '{:.1%}')} of {share.of} is {share.part}"
    if not whole:
        found = f"{share.of} is 0: nothing to take a share of"
        return Judgement(rule.rule, rule.about, "unknown", expected, found)
    found = f"{part / whole:.1%} ({part:g} of {whole:g})"
    return Judgement(rule.rule, rule.about, _within(part / whole, rule), expected, found)


def _kept(table: pd.DataFrame, rule: Rule) -> pd.Series[bool]:
    import pandas as pd

    kept = pd.Series(True, index=table.index)
    for column, values in rule.where.items():
        kept &= _matches(table[column], values)
    for column, values in rule.except_.items():
        kept &= ~_matches(table[column], values)
    return kept


def _matches(column: pd.Series[Any], patterns: Values) -> pd.Series[bool]:
    import pandas as pd

    texts = [_text(value) for value in column]
    return pd.Series(
        [any(fnmatchcase(text, pattern) for pattern in patterns) for text in texts],
        index=column.index,
        dtype=bool,
    )


def _text(value: Any) -> str:
    """A cell as a rule writes it; what is missing is empty."""
    import pandas as pd

    if pd.isna(value):
        return ""
    # numpy's truth values are no bool of Python's.
    return str(value).lower() if str(value) in ("True", "False") else str(value)


def _values(rows: pd.DataFrame, rule: Rule) -> tuple[str, ...]:
    if rule.count is None:
        return ()
    return tuple(sorted({_text(value) for value in rows[rule.count]}))


def _looked_at(rule: Rule, tables: Mapping[str, pd.DataFrame]) -> tuple[int, int] | None:
    """Accounts with evidence for the table, and all that the rule is about."""
    if rule.table is None or rule.table not in LOOKED:
        return None
    about = [name for name in ("persona", "account", "phase") if name in rule.where]
    counts = []
    for rows in (LOOKED[rule.table](tables), tables["delivery"]):
        for column in (name for name in about if name in rows):
            rows = rows[_matches(rows[column], rule.where[column])]  # noqa: PLW2901
        counts.append(int(rows["account"].nunique()))
    return counts[0], counts[1]


def _within(number: float, rule: Rule) -> RuleState:
    low = rule.at_least is None or number >= rule.at_least
    high = rule.at_most is None or number <= rule.at_most
    return "passed" if low and high else "failed"


def _bounds(rule: Rule, form: str) -> str:
    bounds = (("at least", rule.at_least), ("at most", rule.at_most))
    return " and ".join(f"{word} {form.format(n)}" for word, n in bounds if n is not None)
