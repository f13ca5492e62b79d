"""What each account was meant to hear, visit and decline, and what of it happened."""

import pandas as pd

from echoaudit.findings.steps import (
    _consent,
    _names,
    delivery_table,
    planned_sentences,
    steps_table,
)
from echoaudit.outcomes.utterances import TABLE as UTTERANCES
from echoaudit.recording import Recording, write_json
from echoaudit.report.coverage import _streams, _unplayed


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


def stream(account, plays, sounding):
    step = f"{account}/streams/01-pandora"
    turns = [{"purpose": "play", "text": "Alexa, play it.", "delivered": d} for d in plays]
    files = [{"file": "stream-01.flac", "sounding": sounding}]
    record = {"service": "pandora", "planned": 600.0, "seconds": 600.0, "files": files}
    files = {"transcript.json": turns, "stream.json": record, "session.json": {"started": 1.0}}
    return step, files


def test_a_stream_that_never_played_is_not_complete(tmp_path):
    streams = [stream("a-1", [False, False], 2.0), stream("a-2", [False, True], 500.0)]
    steps = [{"id": step, "kind": "stream", "persona": "a"} for step, _ in streams]
    late = {"id": "a-3/streams/01-pandora", "kind": "stream", "persona": "a", "account": "a-3",
            "service": "pandora", "seconds": 600.0}  # fmt: skip
    with Recording.create(
        tmp_path / "r", study_files={}, study_hash="5" * 64, study={}, config={}, tools={},
        plan={"waves": [{"tracks": [{"steps": [*steps, late]}]}]},
    ) as recording:  # fmt: skip
        for step, files in streams:
            with recording.step(step, "stream") as folder:
                for name, value in files.items():
                    write_json(folder / name, value)
        table = steps_table(recording)
    columns = ["state", "reason", "service", "seconds_planned", "seconds_heard"]
    silent, played, missing = table[columns].astype(object).values.tolist()
    assert silent == ["silent", "asked for 2 times, and nothing played", "pandora", 600.0, 2.0]
    assert played[0] == "complete"
    assert played[2:] == ["pandora", 600.0, 500.0]
    assert (missing[0], *missing[2:4]) == ("missing", "pandora", 600.0)
    (notice,) = _unplayed(table)
    assert notice.loud
    assert "1 of 2 parts of streams to a never played (pandora)" in notice.text
    (meter,) = _streams(table)
    assert (meter.part, meter.whole, meter.good) == (8, 30, False)
    early = table.assign(state="complete")
    (notice,) = _unplayed(early.assign(seconds_heard=100.0))
    assert "5 minutes of 30 minutes" in notice.text
    assert _unplayed(early.assign(seconds_heard=500.0)) == []


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
