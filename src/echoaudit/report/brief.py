"""The answers that a reader comes for, in sentences, and the words that they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from echoaudit.inference import Conclusion
from echoaudit.inference.scores import BID_STATES
from echoaudit.report.data_types import owner
from echoaudit.report.endpoints import owners
from echoaudit.report.text import count, listed, p_value, ratio, share

Tables = Mapping[str, pd.DataFrame]
MOST = 6
"""Claims or names that a sentence lists."""

TERMS = (
    ("account", "One signed-in customer with an Echo and a browser of its own. What a persona does "
     "is done to whole accounts, so results count accounts, not bids."),
    ("control", "A persona to which nothing is done; the others are compared with it."),
    ("effect", "How many times the control’s value the treated persona’s value is. 1× means no "
     "difference."),
    ("95 % interval", "Values of the effect that fit what was seen; of such intervals, 95 in 100 "
     "hold the true effect."),
    ("p", "If the personas were treated alike, how often chance alone would give a difference at "
     "least as large. Small means that chance is an unlikely cause."),
    ("smallest possible p", "The least that p can be with so many accounts, however large the "
     "difference: more accounts would allow less."),
    ("detectable", "A true effect of this size would have been found four times in five; a "
     "smaller one may well have been missed."),
    ("supported", "The difference claimed was found, and chance is an unlikely cause."),
    ("not supported", "It was looked for with enough accounts and not found. That is not proof of "
     "no difference."),
    ("insufficient", "Too little was recorded to say either."),
    ("bid", "What an advertiser offers to pay for showing one advertisement to this browser, "
     "per thousand views (CPM)."),
)  # fmt: skip
"""Words of the verdicts, and what they mean."""


def brief(
    tables: Tables, conclusions: Sequence[Conclusion], accounts: Mapping[str, int]
) -> list[tuple[str, list[str]]]:
    """Questions in the order a reader asks them, each with its answers."""
    return [
        ("Which claims hold?", [_claims(conclusions)]),
        ("How sure is that?", list(_sure(conclusions)) or ["Nothing was concluded."]),
        ("Based on how much?", [_basis(tables, accounts)]),
        ("Who received what?", list(_received(tables))),
    ]


def _claims(conclusions: Sequence[Conclusion]) -> str:
    if not conclusions:
        return "The study states no claim."
    by_state = {
        state: [_name(c) for c in conclusions if c.state == state]
        for state in ("supported", "not supported", "insufficient")
    }
    holding = by_state["supported"]
    first = f"{len(holding)} of {count(len(conclusions), 'claim')}"
    words = [f"{first} hold{'s' * (len(holding) == 1)}"]
    words[0] += f": {listed(holding, MOST)}" if holding else ""
    for state, what in (("not supported", "not supported"), ("insufficient", "not decided")):
        if by_state[state]:
            words.append(f"{what}: {listed(by_state[state], MOST)}")
    return "; ".join(words) + "."


def _sure(conclusions: Sequence[Conclusion]) -> Iterator[str]:
    for c in conclusions[:MOST]:
        yield f"{_name(c)}: {_how_sure(c)}."
    if len(conclusions) > MOST:
        yield f"{len(conclusions) - MOST:,} more claims are below."


def _name(c: Conclusion) -> str:
    return f"{c.claim} (exploratory)" if c.exploratory else c.claim


def _how_sure(c: Conclusion) -> str:
    if c.state == "insufficient" or c.test is None:
        return f"cannot be told, for {c.reason or 'nothing could be compared'}"
    p = p_value(c.test.p_corrected)
    p = f"p {p}, asked was {c.alpha:g}" if p.startswith("<") else f"p = {p}, asked was {c.alpha:g}"
    reach = f"{ratio(c.effect.low)} to {ratio(c.effect.high)}" if c.effect else ""
    likely = f"; the true effect is likely {reach}" if reach else ""
    if c.direction == "equivalent":
        alike = "are alike" if c.state == "supported" else "may differ"
        return f"the personas {alike} within {ratio(c.smallest_effect)} ({p}){likely}"
    if c.state == "supported":
        return f"chance alone is an unlikely cause ({p}){likely}"
    found = c.effect.detectable if c.effect else None
    missed = f"; an effect of {ratio(found)} would have been found four times in five"
    return f"chance alone may give this ({p}){likely}" + (missed if found else "")


def _basis(tables: Tables, accounts: Mapping[str, int]) -> str:
    steps, delivery, bids = tables["steps"], tables["delivery"], tables["bids"]
    people = listed([f"{number} {persona}" for persona, number in sorted(accounts.items())], 12)
    parts = [f"{count(sum(accounts.values()), 'account')} ({people})"]
    finished = int((steps["state"] != "missing").sum())
    parts.append(f"{finished:,} of {count(len(steps), 'planned step')}")
    to_say = int(delivery["utterances_planned"].sum())
    if to_say:
        heard = int(delivery["utterances_delivered"].sum())
        parts.append(f"{share(heard, to_say)} of {count(to_say, 'planned sentence')} answered")
    planned = int(delivery["visits_planned"].sum())
    if planned:
        complete = int(delivery["visits_complete"].sum())
        number = int(bids["state"].isin(BID_STATES).sum())
        parts.append(f"{share(complete, planned)} of {count(planned, 'page load')} complete")
        parts.append(count(number, "bid"))
    return ", ".join(parts) + "."


def _received(tables: Tables) -> Iterator[str]:
    yield _contacted(tables["endpoints"], tables["attribution"], tables["excluded"])
    yield _sent(tables["data_types"], tables["decrypted"], tables["excluded"])
    platform = tables["parties"].loc[tables["parties"]["party"] == "platform", "domain"]
    syncs = tables["syncs"]
    if len(syncs):
        giving = syncs.loc[syncs["target"].isin(platform), "source"].nunique()
        taking = syncs.loc[syncs["source"].isin(platform), "target"].nunique()
        yield (
            f"Identifiers of browsers: {count(giving, 'party', 'parties')} sent their own to the "
            f"platform, and {count(taking, 'party', 'parties')} received the platform’s."
        )


def _contacted(endpoints: pd.DataFrame, attribution: pd.DataFrame, excluded: pd.DataFrame) -> str:
    there = endpoints[endpoints["contacted"].fillna(False).astype(bool)]
    there = there[~there["session"].isin(excluded["session"])]
    if there.empty:
        return "Traffic of Echos: none was captured."
    third = there[there["party"] == "third"]
    due = attribution[(attribution["verdict"] == "skill") & (attribution["party"] == "third")]
    names = sorted(set(owners(third)))
    certain = sorted(set(owners(due)))
    return (
        f"Traffic of Echos: {count(len(set(owners(there))), 'organisation')}, of them "
        + (f"third parties: {listed(names, MOST)}" if names else "no third party")
        + ("; for certain due to a skill: " + listed(certain, MOST) if names else "")
        + "."
    )


def _sent(found: pd.DataFrame, decrypted: pd.DataFrame, excluded: pd.DataFrame) -> str:
    opened = decrypted[decrypted["status"] != "sealed"]
    if opened.empty:
        return "What was in that traffic: unknown, for no device let itself be decrypted."
    own = found[~found["session"].isin(excluded["session"])]
    others = own[own["party"] != "platform"]
    spoken = own[own["data_type"] == "voice recording"]
    voice = sorted({owner(row) for _, row in spoken.iterrows()})
    spoken_to = listed(voice, MOST) if voice else "nobody"
    kinds = sorted({str(kind) for kind in others["data_type"]})
    looked = opened["account"].nunique()
    return (
        f"What was in it, in the {looked:,} of {count(decrypted['account'].nunique(), 'device')} "
        f"that could be decrypted: voice recordings went to {spoken_to}; "
        f"others than the platform received {listed(kinds, 11)}."
    )
