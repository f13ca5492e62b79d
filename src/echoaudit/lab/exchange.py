"""What bidders decide: whether to bid, how much, and which ad; a pure function of the truth."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

from echoaudit.lab.world import World
from echoaudit.lab.world_model import Ad, ShopAd

CENTS = 4
"""Digits of a price in dollars."""
LEAST = 10.0**-CENTS


@dataclass(frozen=True)
class Occasion:
    """One bidder asked for one slot of one page view."""

    bidder: str
    site: str
    slot: str
    account: str | None
    """Whose browser it truly is; None for a browser without an account."""
    known_as: str | None
    """The account that the bidder learns from the platform through a cookie sync."""
    turn: int
    """How often this account met this bidder, site and slot before."""


@dataclass(frozen=True)
class Decision:
    """What the bidder answers."""

    answer: Literal["bid", "no-bid", "late"]
    cpm: float
    """US dollars for a thousand impressions; 0 without a bid."""
    lift: float
    """Factor that the browser's interests had on the price."""
    ad: Ad | None


def decide(world: World, occasion: Occasion, interests: list[str]) -> Decision:
    """The answer of a bidder; the same for the same world and occasion.

    Args:
        world: the planted truth.
        occasion: who is asked for what.
        interests: what the bidder knows of the browser, itself or from the platform.
    """
    bidder = world.bidders[occasion.bidder]
    moment = _chance(world, occasion, "moment")
    if moment.random() >= bidder.bid_rate:
        return Decision("no-bid", 0.0, 1.0, None)
    lift, interest = world.lift(occasion.bidder, interests)
    cpm = max(LEAST, round(price(world, occasion) * lift, CENTS))
    answer: Literal["bid", "late"] = "late" if moment.random() < bidder.late_rate else "bid"
    return Decision(answer, cpm, lift, _ad(world, occasion.bidder, interest, moment))


def price(world: World, occasion: Occasion) -> float:
    """What the bid is without any lift: log-normal around the bidder's median."""
    noise = world.file.noise
    cell = _normal(world, "cell", occasion.bidder, occasion.site, occasion.slot)
    account = 0.0 if occasion.account is None else _normal(world, "account", occasion.account)
    moment = _chance(world, occasion, "price").gauss(0, 1)
    logs = noise.cell * cell + noise.account * account + noise.bid * moment
    return world.bidders[occasion.bidder].cpm * math.exp(logs)


def _ad(world: World, bidder: str, interest: str | None, chance: random.Random) -> Ad:
    mine = [ad for ad in world.file.ads if not ad.bidders or bidder in ad.bidders]
    fitting = [ad for ad in mine if interest is not None and ad.interest == interest]
    return chance.choice(fitting or [ad for ad in mine if ad.interest is None])


def shop_ad(world: World, account: str, slot: str, turn: int, interests: list[str]) -> ShopAd:
    """The platform's choice for a slot of its own home page; the same for the same occasion.

    Args:
        world: the planted truth.
        account: who is signed in.
        slot: where.
        turn: how often this account was shown this slot before.
        interests: what the platform takes the account to be interested in.
    """
    ads = world.file.platform.shop_ads
    known = interests if world.file.targeting else []
    fitting = [ad for ad in ads if ad.interest in known]
    words = (str(world.file.seed), "shop", account, slot, str(turn))
    chance = random.Random("|".join(words))
    return chance.choice(fitting or [ad for ad in ads if ad.interest is None])


def _normal(world: World, *what: str) -> float:
    return random.Random("|".join([str(world.file.seed), *what])).gauss(0, 1)


def _chance(world: World, occasion: Occasion, purpose: str) -> random.Random:
    who = occasion.account or "nobody"
    cell = (who, occasion.bidder, occasion.site, occasion.slot, str(occasion.turn))
    return random.Random("|".join([str(world.file.seed), purpose, *cell]))
