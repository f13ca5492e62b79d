"""What changed between two recordings of a study, such as before and after a policy's change.

Counted in accounts, with how many accounts were looked at: what nobody looked at is unknown, and
neither appeared nor vanished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd
from scipy import stats

from echoaudit.findings.looked import answered, captured, listened, opened, visited
from echoaudit.findings.settings import Setting, differing
from echoaudit.inference.change import EffectChange, effect_change
from echoaudit.inference.tests import holm
from echoaudit.outcomes.organisations import label

if TYPE_CHECKING:
    from collections.abc import Callable

    from echoaudit.findings import Findings
    from echoaudit.inference import Conclusion
    from echoaudit.recording import Recording

Tables = Mapping[str, pd.DataFrame]
AFTER = "after"
"""Phase of the data requests whose interests are compared."""
Direction = Literal["appeared", "vanished", "more accounts", "fewer accounts"]


class Share(NamedTuple):
    """Accounts that have something, of those that were looked at."""

    part: int
    whole: int

    def __str__(self) -> str:
        return f"{self.part} of {self.whole}"


@dataclass(frozen=True)
class Shift:
    """Something that other accounts have than before."""

    kind: str
    """``organisation``, ``endpoint``, ``role``, ``data type``, ``sync``, ``advertiser``,
    ``audio ad``, ``interest``."""
    persona: str
    what: str
    before: Share
    after: Share
    direction: Direction
    p: float
    """Two-sided Fisher's exact test on accounts."""
    p_holm: float
    """The same, corrected for everything of its kind that was seen in either recording."""


@dataclass(frozen=True)
class ClaimChange:
    """A claim that both studies judge."""

    claim: str
    before: Conclusion
    after: Conclusion
    effect: EffectChange | None
    """``None`` when either has no effect."""


@dataclass(frozen=True)
class Change:
    """Two recordings side by side."""

    settings: tuple[Setting, ...]
    """What they were made with that differs; what forbids a comparison comes first."""
    unknown: tuple[str, ...]
    """What only one of them looked at."""
    shifts: tuple[Shift, ...]
    claims: tuple[ClaimChange, ...]
    unmatched: tuple[str, ...]
    """Claims of one study only, or that compare something else there."""

    @property
    def comparable(self) -> bool:
        """Whether nothing forbids to compare them."""
        return not any(setting.forbids for setting in self.settings)


def change(recordings: tuple[Recording, Recording], found: tuple[Findings, Findings]) -> Change:
    """Compare the earlier recording with the later one, by the same analysis of both."""
    before, after = (one.tables for one in found)
    personas = sorted(_personas(before) & _personas(after))
    shifts: list[Shift] = []
    unknown: list[str] = []
    for kind, look in KINDS.items():
        rows, blind = _shifts(kind, look, before, after, personas)
        shifts += rows
        unknown += blind
    claims, unmatched = _claims(found[0].conclusions, found[1].conclusions)
    return Change(tuple(differing(*recordings)), tuple(unknown), tuple(shifts), claims, unmatched)


def _personas(tables: Tables) -> set[str]:
    return set(tables["delivery"]["persona"].astype(str))


def _shifts(
    kind: str, look: Look, before: Tables, after: Tables, personas: list[str]
) -> tuple[list[Shift], list[str]]:
    rows: list[tuple[str, str, Share, Share]] = []
    unknown: list[str] = []
    sides = [(look.seen(tables), look.looked_at(tables)) for tables in (before, after)]
    for persona in personas:
        wholes = [len(looked.get(persona, ())) for _, looked in sides]
        if not all(wholes):
            if any(wholes):
                which = "the later" if wholes[0] else "the earlier"
                unknown.append(f"{kind}s of {persona}: {which} recording did not look")
            continue
        counts = [seen.get(persona, {}) for seen, _ in sides]
        for what in sorted({*counts[0], *counts[1]}):
            shares = [
                Share(min(count.get(what, 0), whole), whole)
                for count, whole in zip(counts, wholes, strict=True)
            ]
            rows.append((persona, what, shares[0], shares[1]))
    p_values = [_fisher(a, b) for _, _, a, b in rows]
    found = [
        Shift(kind, persona, what, a, b, _direction(a, b), p, corrected)
        for (persona, what, a, b), p, corrected in zip(rows, p_values, holm(p_values), strict=True)
        if a.part * b.whole != b.part * a.whole
    ]
    order = {"appeared": 0, "vanished": 1, "more accounts": 2, "fewer accounts": 3}
    return sorted(found, key=lambda s: (s.persona, order[s.direction], s.what)), unknown


def _fisher(before: Share, after: Share) -> float:
    table = [[side.part, side.whole - side.part] for side in (before, after)]
    return float(stats.fisher_exact(table).pvalue)


def _direction(before: Share, after: Share) -> Direction:
    if not before.part:
        return "appeared"
    if not after.part:
        return "vanished"
    more = after.part * before.whole > before.part * after.whole
    return "more accounts" if more else "fewer accounts"


# --- what is looked for -----------------------------------------------------------------------


class Look(NamedTuple):
    """How one kind of thing is found, and which accounts were looked at for it."""

    rows: Callable[[Tables], pd.DataFrame]
    """Columns ``persona, account, what``."""
    base: Callable[[Tables], pd.DataFrame]
    """Columns ``persona, account``: whoever was looked at."""

    def seen(self, tables: Tables) -> dict[str, dict[str, int]]:
        """Accounts by persona and thing."""
        rows = self.rows(tables)
        counts = rows[rows["what"] != ""].groupby(["persona", "what"], sort=True)["account"]
        found: dict[str, dict[str, int]] = {}
        for (persona, what), own in counts:
            found.setdefault(str(persona), {})[str(what)] = int(own.nunique())
        return found

    def looked_at(self, tables: Tables) -> dict[str, set[str]]:
        """Accounts by persona."""
        groups = self.base(tables).groupby("persona", sort=True)["account"]
        return {str(persona): set(own.astype(str)) for persona, own in groups}


def _contacts(tables: Tables) -> pd.DataFrame:
    rows = tables["endpoints"]
    rows = rows[~rows["session"].isin(tables["excluded"]["session"])]
    return rows[rows["contacted"].fillna(False).astype(bool)]


def _hosts(tables: Tables) -> pd.DataFrame:
    rows = _contacts(tables)
    return rows.assign(what=rows["host"].astype(str))


def _organisations(tables: Tables) -> pd.DataFrame:
    rows = _contacts(tables)
    return rows.assign(what=_owners(rows))


def _owners(rows: pd.DataFrame) -> list[str]:
    three = (rows[name].astype(str) for name in ("organisation", "hosted_by", "domain"))
    return [label(*one) for one in zip(*three, strict=True)]


def _roles(tables: Tables) -> pd.DataFrame:
    rows = _contacts(tables)
    return rows.assign(what=rows["role"].astype(str) + " (" + rows["party"].astype(str) + ")")


def _data(tables: Tables) -> pd.DataFrame:
    rows = tables["data_types"]
    rows = rows[~rows["session"].isin(tables["excluded"]["session"])]
    owners = [o or h or a for o, h, a in zip(rows["organisation"].fillna(""),
              rows["host"].fillna(""), rows["address"].fillna(""), strict=True)]  # fmt: skip
    kinds = rows["data_type"].astype(str)
    return rows.assign(
        what=[f"{kind} to {owner}" for kind, owner in zip(kinds, owners, strict=True)]
    )


def _syncs(tables: Tables) -> pd.DataFrame:
    rows = tables["syncs"]
    return rows.assign(what=rows["source"].astype(str) + " to " + rows["target"].astype(str))


def _advertisers(tables: Tables) -> pd.DataFrame:
    rows = tables["ads"]
    return rows.assign(what=rows["advertiser"].fillna("").astype(str))


def _audio_ads(tables: Tables) -> pd.DataFrame:
    # A creative's id holds for one recording only; its brand is the same in both.
    rows = tables["audio_ads"]
    return rows.assign(what=rows["brand"].fillna("").astype(str))


def _interests(tables: Tables) -> pd.DataFrame:
    rows = tables["interests"]
    rows = rows[rows["request"].isin(_asked(tables)["request"])]
    return rows.assign(what=rows["interest"].astype(str) + " (" + rows["list"].astype(str) + ")")


def _asked(tables: Tables) -> pd.DataFrame:
    asked = answered(tables)
    return asked[asked["phase"] == AFTER]


KINDS: Mapping[str, Look] = {
    "organisation": Look(_organisations, captured),
    "endpoint": Look(_hosts, captured),
    "role": Look(_roles, captured),
    "data type": Look(_data, opened),
    "sync": Look(_syncs, visited),
    "advertiser": Look(_advertisers, visited),
    "audio ad": Look(_audio_ads, listened),
    "interest": Look(_interests, _asked),
}


# --- claims -----------------------------------------------------------------------------------


def _claims(
    before: tuple[Conclusion, ...], after: tuple[Conclusion, ...]
) -> tuple[tuple[ClaimChange, ...], tuple[str, ...]]:
    earlier, later = ({c.claim: c for c in side} for side in (before, after))
    shared = [name for name in earlier if name in later and _same(earlier[name], later[name])]
    changes = tuple(_claim(earlier[name], later[name]) for name in shared)
    return changes, tuple(sorted({*earlier, *later} - set(shared)))


def _same(one: Conclusion, other: Conclusion) -> bool:
    return _compared(one) == _compared(other)


def _compared(c: Conclusion) -> tuple[str | None, ...]:
    return c.outcome, c.measure, c.item, c.direction, c.treated.persona, c.control.persona


def _claim(before: Conclusion, after: Conclusion) -> ClaimChange:
    moved = None
    if before.effect is not None and after.effect is not None:
        moved = effect_change(before.effect, after.effect)
    return ClaimChange(before.claim, before, after, moved)
