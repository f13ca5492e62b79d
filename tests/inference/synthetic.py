"""Bids of a simulated study, as the outcome ``bids`` lists them."""

import numpy as np
import pandas as pd

BIDDERS = ("appnexus", "ix", "openx", "pubmatic", "rubicon")


def accounts(treated, control):
    return [(f"fashion-{i + 1}", "fashion") for i in range(treated)] + [
        (f"vanilla-{i + 1}", "vanilla") for i in range(control)
    ]


def make_bids(
    seed,
    *,
    treated=3,
    control=6,
    lift=1.0,
    account_sd=0.2,
    sites=6,
    slots=2,
    before=2,
    after=3,
    bid_share=0.6,
    noise=0.5,
    treated_bid_share=None,
):
    """Log-normal bids with account, site, bidder and round effects, and half of them missing."""
    rng = np.random.default_rng(seed)
    who = accounts(treated, control)
    rounds = [("before", r + 1) for r in range(before)] + [("after", r + 1) for r in range(after)]
    shape = (len(who), len(rounds), sites, slots, len(BIDDERS))
    a, r, s, slot, b = (axis.ravel() for axis in np.indices(shape))
    is_treated = np.array([persona == "fashion" for _, persona in who])[a]
    is_after = np.array([phase == "after" for phase, _ in rounds])[r]
    log = (
        -1.0
        + rng.normal(0, account_sd, len(who))[a]
        + rng.normal(0, account_sd / 2, (len(who), len(BIDDERS)))[a, b]
        + rng.normal(0, account_sd / 2, (len(who), 2))[a, is_after.astype(int)]
        + rng.normal(0, 0.5, (sites, slots))[s, slot]
        + rng.normal(0, 0.5, len(BIDDERS))[b]
        + rng.normal(0, 0.1, len(rounds))[r]
        + rng.normal(0, noise, a.size)
        + np.log(lift) * (is_treated & is_after)
    )
    share = np.where(
        is_treated & is_after & (treated_bid_share is not None),
        treated_bid_share or bid_share,
        bid_share,
    )
    bid = rng.random(a.size) < share
    names = np.array([account for account, _ in who])[a]
    phases = np.array([phase for phase, _ in rounds])[r]
    numbers = np.array([number for _, number in rounds])[r]
    site = np.char.add("site-", (s + 1).astype(str))
    visit = [
        f"{n}/visits/{p[0]}{i}-{w}" for n, p, i, w in zip(names, phases, numbers, site, strict=True)
    ]
    return pd.DataFrame(
        {
            "visit": visit,
            "account": names,
            "persona": np.where(is_treated, "fashion", "vanilla"),
            "phase": phases,
            "round": numbers,
            "site": site,
            "slot": np.char.add("slot-", (slot + 1).astype(str)),
            "bidder": np.array(BIDDERS)[b],
            "forced": False,
            "state": np.where(bid, "bid", "no-bid"),
            "cpm_usd": np.where(bid, np.exp(log), np.nan),
        }
    )


def make_delivery(treated=3, control=6, *, delivered=10, visits=30):
    rows = []
    for account, persona in accounts(treated, control):
        planned = 10 if persona == "fashion" else 0
        rows.append(
            {
                "account": account,
                "persona": persona,
                "utterances_planned": planned,
                "utterances_delivered": min(delivered, planned),
                "topic_visits_planned": 0,
                "topic_visits_complete": 0,
                "opt_outs_planned": 0,
                "opt_outs_complete": 0,
                "visits_planned": visits,
                "visits_complete": visits,
            }
        )
    return pd.DataFrame(rows)
