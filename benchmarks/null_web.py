"""False claims about bids and ads where nothing is targeted.

    python benchmarks/null_web.py [--replays 200] [--worlds 20] [--seed 1] [RECORDING]

Without a RECORDING, worlds without targeting are made up by seeds: the lab's own bidders decide
every bid of ``worlds/null.yaml`` for accounts of two personas and their control, without a browser,
and the ad of the highest bid is shown, out of so many that most are seen by few. Each replay deals
the persona labels out anew among the accounts and judges as a study does: claims about worth and
rate of bids for both personas (Holm), and ads called one persona's own (Benjamini and Hochberg).
Printed are the replays with any false claim; the exit code is 1 when more than 5 % have one. With a
RECORDING, its bids and ads are dealt out.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from echoaudit.findings.ads import ad_creatives_table
from echoaudit.findings.steps import STEPS, delivery_table
from echoaudit.inference import conclude_all
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
    rng = random.Random(wanted.seed)
    source = _recorded(wanted.recording) if wanted.recording else _worlds(wanted)
    false: Counter[str] = Counter()
    for number in range(wanted.replays):
        tables = source[number * len(source) // wanted.replays]
        false.update(_false(_dealt(tables, rng)))
    for what in ("bids", "ads"):
        share = false[what] / wanted.replays
        print(f"false claims about {what}: {false[what]} of {wanted.replays} replays ({share:.1%})")
    return int(any(false[what] > MOST * wanted.replays for what in ("bids", "ads")))


def _recorded(folder: Path) -> list[Tables]:
    import echoaudit

    with_all = echoaudit.open(folder)
    return [Tables(with_all.bids, with_all.ads, with_all.steps, with_all.recording.study)]


def _worlds(wanted: argparse.Namespace) -> list[Tables]:
    null = load_world("null")
    many = tuple(Ad(ad=f"a{n}", advertiser=f"a{n}.example", text="Buy") for n in range(ADS))
    worlds = (
        null.file.model_copy(update={"seed": seed, "ads": many})
        for seed in range(wanted.seed, wanted.seed + wanted.worlds)
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


def _false(tables: Tables) -> Iterator[str]:
    treated = [p["persona"] for p in tables.study["personas"] if p.get("catalogue")]
    control = next(p["persona"] for p in tables.study["personas"] if not p.get("catalogue"))
    claims = [
        Claim(claim=f"{name}-{measure}", measure=measure, treated=name, control=control)
        for name in treated
        for measure in ("value", "rate")
    ]
    delivery = delivery_table(tables.steps, utterances.TABLE.empty())
    found = conclude_all(claims, {"bids": tables.bids, "delivery": delivery})
    if any(conclusion.state == "supported" for conclusion in found):
        yield "bids"
    if ad_creatives_table(tables.ads, tables.steps, tables.study)["exclusive"].any():
        yield "ads"


if __name__ == "__main__":
    sys.exit(main())
