"""False claims about bids and ads where nothing is targeted.

    python benchmarks/null_web.py [--replays 200] [--worlds 20] [--seed 1] [RECORDING]

Without a RECORDING, worlds without targeting are made up by seeds: the lab's own bidders decide
every bid of ``worlds/null.yaml`` for accounts of two personas and their control, without a browser,
and the ad of the highest bid is shown, out of so many that most are seen by few. Each replay deals
the persona labels out anew among the accounts and judges as a study does: claims about worth and
rate of bids for both personas (Holm), and ads called one persona's own (Benjamini and Hochberg).
What was dealt out counts as treated, or no claim would be tested. Printed are the states of the
claims and the replays with any false one: rejected, even where a check of the controls withheld the
verdict. The exit code is 1 when more than 5 % have one, and when a claim about bids could not be
judged, for then its absence says nothing. With a RECORDING, its bids and ads are dealt out.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from echoaudit.findings.ads import ad_creatives_table
from echoaudit.findings.steps import STEPS, delivery_table
from echoaudit.inference import Conclusion, conclude_all
from echoaudit.lab.exchange import Occasion, decide
from echoaudit.lab.world import World, load_world
from echoaudit.lab.world_model import Ad
from echoaudit.outcomes import ads, bids, utterances
from echoaudit.study.models import Claim

SIZES = {"fashion": 3, "wine": 3, "vanilla": 6}
"""Accounts of each persona: the default plan."""
ROUNDS = {"before": 2, "after": 3}
ADS = 150
"""Creatives of a world."""
MOST = 0.05
JUDGED = {"supported", "not supported", "insufficient: controls differ among themselves"}
"""States of a claim that was tested; its controls differ by chance now and then."""


@dataclass(frozen=True)
class Tables:
    """What accounts were offered and shown, and whose they are."""

    bids: pd.DataFrame
    ads: pd.DataFrame
    steps: pd.DataFrame
    study: Mapping[str, Any]


def main() -> int:
    """Print the share of replays with false claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", nargs="?", type=Path)
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    source = _recorded(wanted.recording) if wanted.recording else worlds(wanted.worlds, wanted.seed)
    found = replays(source, wanted.replays, wanted.seed)
    for state, number in sorted(found.states.items()):
        print(f"claims about bids {state}: {number}")
    for what in ("bids", "ads"):
        share = found.false[what] / wanted.replays
        print(
            f"false claims about {what}: {found.false[what]} of {wanted.replays} replays "
            f"({share:.1%})"
        )
    return int(not found.holds)


@dataclass(frozen=True)
class Replayed:
    """What became of the claims of all replays."""

    replays: int
    states: Counter[str]
    """Claims about bids by state; why, of those that are insufficient."""
    false: Counter[str]
    """Replays with a false claim about bids, and about ads."""

    @property
    def holds(self) -> bool:
        """Whether every claim was judged, and few replays have a false one."""
        few = all(self.false[what] <= MOST * self.replays for what in ("bids", "ads"))
        return few and bool(self.states) and set(self.states) <= JUDGED


def replays(source: Sequence[Tables], number: int, seed: int) -> Replayed:
    """Deal out the labels of each source in turn, and judge."""
    rng = random.Random(seed)
    found = Replayed(number, Counter(), Counter())
    for replay in range(number):
        dealt = _dealt(source[replay * len(source) // number], rng)
        conclusions = _about_bids(dealt)
        found.states.update(map(_state, conclusions))
        if any(c.test is not None and c.test.p_corrected <= c.alpha for c in conclusions):
            found.false["bids"] += 1
        if ad_creatives_table(dealt.ads, dealt.steps, dealt.study)["exclusive"].any():
            found.false["ads"] += 1
    return found


def _state(conclusion: Conclusion) -> str:
    reason = (conclusion.reason or "").partition(":")[0]
    return f"{conclusion.state}: {reason}" if reason else conclusion.state


def _recorded(folder: Path) -> list[Tables]:
    import echoaudit

    with_all = echoaudit.open(folder)
    return [Tables(with_all.bids, with_all.ads, with_all.steps, with_all.recording.study)]


def worlds(number: int, seed: int) -> list[Tables]:
    """What accounts are offered and shown in so many worlds without targeting."""
    null = load_world("null")
    many = tuple(Ad(ad=f"a{n}", advertiser=f"a{n}.example", text="Buy") for n in range(ADS))
    worlds = (
        null.file.model_copy(update={"seed": seed, "ads": many})
        for seed in range(seed, seed + number)
    )
    return [_tables(replace(null, file=file)) for file in worlds]


def _tables(world: World) -> Tables:
    accounts = [(f"{p}-{n}", p) for p, size in SIZES.items() for n in range(1, size + 1)]
    visits = [
        {"account": account, "persona": persona, "phase": phase, "round": number,
         "site": site.site, "visit": f"{account}/visits/{phase[0]}{number}-{site.site}"}
        for account, persona in accounts
        for phase, rounds in ROUNDS.items() for number in range(1, rounds + 1)
        for site in world.file.publishers if site.topic is None
    ]  # fmt: skip
    offered = [row for visit in visits for row in _bids(world, visit)]
    blank = dict.fromkeys(STEPS.names)
    steps = STEPS.conform(
        {**blank, **{k: v for k, v in visit.items() if k != "visit"}, "step": visit["visit"],
         "kind": "visit", "state": "complete"}
        for visit in visits
    )  # fmt: skip
    study = {"personas": [{"persona": name, "interest": None, "catalogue": {"skills": []}
                           if name != "vanilla" else None} for name in SIZES]}  # fmt: skip
    return Tables(bids.TABLE.conform(offered), ads.TABLE.conform(_shown(offered)), steps, study)


def _bids(world: World, visit: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    site = next(p for p in world.file.publishers if p.site == visit["site"])
    turn = visit["round"] + (ROUNDS["before"] if visit["phase"] == "after" else 0)
    blank = dict.fromkeys(bids.TABLE.names)
    for slot in site.slots:
        for bidder in site.bidders:
            account = str(visit["account"])
            made = decide(world, Occasion(bidder, site.site, slot.slot, account, account, turn), [])
            price = made.cpm if made.answer == "bid" else None
            yield {**blank, **visit, "slot": slot.slot, "bidder": bidder, "server": "",
                   "state": {"late": "timeout"}.get(made.answer, made.answer), "forced": False,
                   "cpm": price, "cpm_usd": price, "currency": "USD",
                   "creative": made.ad.ad if made.ad else ""}  # fmt: skip


def _shown(offered: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in offered:
        slot = (row["visit"], row["slot"])
        if row["cpm"] is not None and row["cpm"] > best.get(slot, {"cpm": 0.0})["cpm"]:
            best[slot] = row
    blank = {**dict.fromkeys(ads.TABLE.names), "channel": "publisher", "bidder": "", "party": "",
             "advertiser": "", "landing": "", "text": ""}  # fmt: skip
    for place, row in enumerate(best.values()):
        kept = {name: row[name] for name in ads.TABLE.names if name in row and name != "bidder"}
        yield {**blank, **kept, "index": place}


def _dealt(tables: Tables, rng: random.Random) -> Tables:
    """The same accounts under names of other personas, drawn at random."""
    who = sorted(set(tables.steps["account"]))
    drawn = dict(zip(who, rng.sample(who, len(who)), strict=True))
    persona_of = dict(zip(tables.steps["account"], tables.steps["persona"], strict=True))

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        names = table["account"].map(drawn)
        return table.assign(account=names, persona=names.map(persona_of))

    return Tables(renamed(tables.bids), renamed(tables.ads), renamed(tables.steps), tables.study)


def _about_bids(tables: Tables) -> list[Conclusion]:
    treated = [p["persona"] for p in tables.study["personas"] if p.get("catalogue")]
    control = next(p["persona"] for p in tables.study["personas"] if not p.get("catalogue"))
    claims = [
        Claim(claim=f"{name}-{measure}", measure=measure, treated=name, control=control)
        for name in treated
        for measure in ("value", "rate")
    ]
    delivery = delivery_table(tables.steps, utterances.TABLE.empty())
    spoken = delivery["persona"].isin(treated).astype(int)
    delivery = delivery.assign(utterances_planned=spoken, utterances_delivered=spoken)
    return conclude_all(claims, {"bids": tables.bids, "delivery": delivery})


if __name__ == "__main__":
    sys.exit(main())
