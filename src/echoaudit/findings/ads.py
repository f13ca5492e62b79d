"""Ads on pages: each creative with who saw it, and what each persona was shown where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from echoaudit.findings.people import personas_of, shares, treated
from echoaudit.outcomes.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

AD_CREATIVES = Schema(
    "ad_creatives",
    "Creatives on pages: who saw each after the treatment, and whether it is one persona's own.",
    (
        Column("creative", "string", "The creative (table `ads`)."),
        Column("advertiser", "string", "Whose it is; empty when unknown."),
        Column("impressions", "int", "How often it was shown after the treatment."),
        Column("accounts", "int", "Accounts that were shown it after the treatment."),
        Column("accounts_before", "int", "Accounts that were shown it before or in a topic."),
        Column("personas", "string", "Accounts of each persona that saw it: `fashion 2 of 3`."),
        Column("sites", "int", "Sites it was shown on."),
        Column("bidders", "string", "Who bid for it, comma-separated."),
        Column("channels", "string", "`publisher`, `platform` or both, space-separated."),
        Column("party", "string", "`platform`: its own products; `vendor`: of an installed skill."),
        Column("interests", "string", "Interests of the study that its words fit."),
        Column("exclusive_to", "string", "The only persona that saw it, in two accounts at least."),
        Column(
            "p", "float", "Chance that so many accounts fall into one treated persona; 1 if not."
        ),
        Column("p_adjusted", "float", "Corrected for all ads (Benjamini and Hochberg)."),
        Column("exclusive", "bool", "Whether it is called the persona's own."),
        Column("landing", "string", "Where it leads, without query."),
        Column("text", "string", "What it says, the longest reading."),
    ),
)
CHANNELS = Schema(
    "ad_channels",
    "Ads on pages by persona, phase and channel.",
    (
        Column("persona", "string", "The persona."),
        Column("phase", "string", "`before` or `after` the treatment, or `topic`, which is one."),
        Column("channel", "string", "`publisher`, or `platform` on the platform's own pages."),
        Column("accounts", "int", "Accounts that were shown ads there."),
        Column("visits", "int", "Visits with ads."),
        Column("slots", "int", "Slots that Prebid asked bids for, in all visits of that phase."),
        Column("ads", "int", "Ads shown."),
        Column("creatives", "int", "Different creatives among them."),
        Column("advertisers", "int", "Different advertisers among them."),
        Column("platform_ads", "int", "Ads for the platform's own products."),
        Column("vendor_ads", "int", "Ads of vendors of installed skills."),
        Column("fitting_ads", "int", "Ads whose words fit the persona's own interest."),
        Column("exclusive", "int", "Creatives called this persona's own."),
    ),
)


def ad_creatives_table(
    ads: pd.DataFrame, steps: pd.DataFrame, study: Mapping[str, Any]
) -> pd.DataFrame:
    """One row per creative.

    The labels that are permuted are those of all accounts that finished a visit after the
    treatment, whether or not they were shown any ad.
    """
    from echoaudit.findings.interests import fitting, interests_of
    from echoaudit.inference.exclusivity import exclusive

    persona_of = _visitors(steps)
    after = ads[(ads["phase"] == "after") & ads["account"].isin(list(persona_of))]
    known = [name for name in treated(study) if name in set(persona_of.values())]
    shown = {str(c): frozenset(map(str, own["account"])) for c, own in after.groupby("creative")}
    judged = {one.ad: one for one in exclusive(shown, persona_of, known)}
    interests = interests_of(study)
    rows = []
    for creative, all_ in ads.groupby("creative", sort=True):
        own = all_[all_["phase"] == "after"]
        one = judged.get(str(creative))
        text = _longest(all_["text"])
        words = f"{text} {_longest(all_['landing'])}"
        rows.append(
            {
                "creative": creative,
                "advertiser": _longest(all_["advertiser"]),
                "impressions": len(own),
                "accounts": own["account"].nunique(),
                "accounts_before": all_[all_["phase"] != "after"]["account"].nunique(),
                "personas": ", ".join(shares(own, persona_of)),
                "sites": all_["site"].nunique(),
                "bidders": ",".join(sorted(set(all_["bidder"]) - {""})),
                "channels": " ".join(sorted(set(all_["channel"]))),
                "party": _longest(all_["party"]),
                "interests": "; ".join(fitting(words, interests)),
                "exclusive_to": one.persona if one else "",
                "p": one.p if one else None,
                "p_adjusted": one.adjusted if one else None,
                "exclusive": bool(one and one.claimed),
                "landing": _longest(all_["landing"]),
                "text": text,
            }
        )
    return AD_CREATIVES.conform(rows)


def ad_channels_table(
    ads: pd.DataFrame, ad_creatives: pd.DataFrame, bids: pd.DataFrame, study: Mapping[str, Any]
) -> pd.DataFrame:
    """One row per persona, phase and channel in which ads were shown."""
    slots = bids.groupby(["persona", "phase"])[["visit", "slot"]].apply(
        lambda own: len(own.drop_duplicates())
    )
    fits = dict(zip(ad_creatives["creative"], ad_creatives["interests"], strict=True))
    interest_of = {str(p.get("persona")): str(p.get("interest") or "") for p in personas_of(study)}
    mine = ad_creatives[ad_creatives["exclusive"].fillna(False).astype(bool)]
    rows = []
    for key, own in ads.groupby(["persona", "phase", "channel"], sort=True):
        persona, phase, channel = map(str, key)
        interest = interest_of.get(persona, "")
        fitting = [interest != "" and interest in fits[c].split("; ") for c in own["creative"]]
        exclusive = mine[mine["exclusive_to"] == persona]["creative"]
        rows.append(
            {
                "persona": persona,
                "phase": phase,
                "channel": channel,
                "accounts": own["account"].nunique(),
                "visits": own["visit"].nunique(),
                "slots": int(slots.get((persona, phase), 0)) if channel == "publisher" else None,
                "ads": len(own),
                "creatives": own["creative"].nunique(),
                "advertisers": own[own["advertiser"] != ""]["advertiser"].nunique(),
                "platform_ads": int((own["party"] == "platform").sum()),
                "vendor_ads": int((own["party"] == "vendor").sum()),
                "fitting_ads": sum(fitting),
                "exclusive": int(own[own["creative"].isin(exclusive)]["creative"].nunique()),
            }
        )
    return CHANNELS.conform(rows)


def _visitors(steps: pd.DataFrame) -> dict[str, str]:
    """Persona of each account that finished a visit after the treatment."""
    done = steps[(steps["kind"] == "visit") & (steps["phase"] == "after")]
    done = done[done["state"] == "complete"]
    pairs = done[["account", "persona"]].drop_duplicates()
    return {str(a): str(p) for a, p in zip(pairs["account"], pairs["persona"], strict=True)}


def _longest(values: pd.Series[str]) -> str:
    texts = sorted({str(value) for value in values.dropna()}, key=lambda text: (-len(text), text))
    return texts[0] if texts else ""
