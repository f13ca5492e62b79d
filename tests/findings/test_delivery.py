"""What each account was meant to hear, visit and decline, and what of it happened."""

import pandas as pd

from echoaudit.findings.steps import delivery_table
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
