"""What each account was meant to hear, visit and decline, and what of it happened."""

import pandas as pd

from echoaudit.findings.steps import _consent, _names, delivery_table, planned_sentences
from echoaudit.outcomes.utterances import TABLE as UTTERANCES


def step(kind, phase, state, account="web-1"):
    persona = account.rpartition("-")[0]
    return {
        "step": f"{account}/{kind}-{phase}", "account": account, "persona": persona, "kind": kind,
        "phase": phase, "state": state, "sentences": None,
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


def test_what_was_never_said_is_planned_all_the_same():
    session = {"kind": "session", "account": "fashion-1", "persona": "fashion", "phase": None}
    steps = pd.DataFrame(
        [
            {**session, "step": "a", "state": "complete", "sentences": 4},
            {**session, "step": "b", "state": "missing", "sentences": 3},
        ]
    )
    said = [("converse", "a#1", True), ("answer", "a#2", False), ("converse", "a#3", False)]
    blank = dict.fromkeys(UTTERANCES.names)
    rows = [
        {**blank, "account": "fashion-1", "purpose": purpose, "sentence": sentence,
         "delivered": delivered}
        for purpose, sentence, delivered in said
    ]  # fmt: skip
    (row,) = delivery_table(steps, UTTERANCES.conform(rows)).to_dict("records")
    counts = [row[f"utterances_{what}"] for what in ("planned", "said", "delivered")]
    assert counts == [4 + 3 + 1, 3, 1], "an answer comes to what is planned"


def test_what_a_session_is_meant_to_say_is_known_from_the_study_and_the_configuration():
    skills = [{"id": "B01", "utterances": ["a", "b", "c"]}, {"id": "B02"}, "B03"]
    study = {"personas": [{"persona": "fashion", "catalogue": {"skills": skills}}, {}]}
    talk = {"utterances": 2, "enable": "voice"}
    assert planned_sentences(study, {"conversation": talk}) == {("fashion", "B01"): 4}
    talk["enable"] = "browser"
    assert planned_sentences(study, {"conversation": talk}) == {("fashion", "B01"): 2}
    assert planned_sentences(study, {}) == planned_sentences(None, None) == {}


def test_a_visits_banner_and_ad_tags_are_told_and_anything_else_is_nothing():
    told = {"policy": "reject", "state": "done", "cmp": "onetrust", "seconds": 0.5, "clicks": 1}
    assert _consent(told) == {
        "consent_policy": "reject", "consent": "done", "cmp": "onetrust", "consent_s": 0.5
    }  # fmt: skip
    assert set(_consent(None).values()) == set(_consent([told]).values()) == {None}
    assert _names(["googletag", "apstag", 3]) == "apstag,googletag"
    assert _names("apstag") is None
