"""What each account was meant to hear, visit and decline, and what of it happened."""

import pandas as pd

from echoaudit.findings.steps import _consent, _names, delivery_table
from echoaudit.outcomes.utterances import TABLE as UTTERANCES


def step(kind, phase, state, account="web-1"):
    persona = account.rpartition("-")[0]
    return {
        "step": f"{account}/{kind}-{phase}", "account": account, "persona": persona, "kind": kind,
        "phase": phase, "state": state,
    }  # fmt: skip


def test_visits_to_a_topic_and_opt_outs_are_counted_apart_from_the_rounds():
    steps = pd.DataFrame(
        [
            step("visit", "before", "complete"),
            step("visit", "topic", "complete"),
            step("visit", "topic", "failed"),
            step("visit", "after", "missing"),
            step("opt-out", None, "missing", "shy-1"),
            step("opt-out", None, "complete", "shy-2"),
        ]
    )
    found = delivery_table(steps, UTTERANCES.empty()).set_index("account")
    kinds = ("visits", "topic_visits", "opt_outs")
    counts = {
        account: [(row[f"{kind}_complete"], row[f"{kind}_planned"]) for kind in kinds]
        for account, row in found.iterrows()
    }
    assert counts == {
        "web-1": [(1, 2), (1, 2), (0, 0)],
        "shy-1": [(0, 0), (0, 0), (0, 1)],
        "shy-2": [(0, 0), (0, 0), (1, 1)],
    }


def test_a_visits_banner_and_ad_tags_are_told_and_anything_else_is_nothing():
    told = {"policy": "reject", "state": "done", "cmp": "onetrust", "seconds": 0.5, "clicks": 1}
    assert _consent(told) == {
        "consent_policy": "reject", "consent": "done", "cmp": "onetrust", "consent_s": 0.5
    }  # fmt: skip
    assert set(_consent(None).values()) == set(_consent([told]).values()) == {None}
    assert _names(["googletag", "apstag", 3]) == "apstag,googletag"
    assert _names("apstag") is None
