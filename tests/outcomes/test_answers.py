"""Who answered a sentence: each witness alone, together, and against each other."""

import base64
import json

import pytest
from captures_kit import ECHO, SERVER, START
from recordings_kit import Staged, event
from recordings_kit import record as record_steps

from echoaudit.findings.excluded import excluded_table
from echoaudit.outcomes import utterances

SKILLS = {
    "B07SHOES01": ("Shoe Talk", "shoe talk", "Acme Shoes, Inc."),
    "B07WINE001": ("Wine Pair", "wine pair", "Cellar Works"),
    "B07WINE002": ("Wine Pear", "wine pear", "Fruit Ltd"),
    "B07SHOES02": ("Shoe", "shoe", "Lace LLC"),
}
SHOES, PAIR, PEAR, SHOE = SKILLS
LATER = START + 20


def study(**more):
    skills = [
        {"id": id_, "name": name, "invocation": spoken, "vendor": vendor}
        for id_, (name, spoken, vendor) in SKILLS.items()
    ]
    return {"study": "alike", "personas": [{"catalogue": {"skills": skills}}], **more}


def turn(reply, *, purpose="converse", at=START + 1, speech=2.0, delivered=True):
    return {
        "purpose": purpose,
        "text": "Alexa, open it",
        "attempt": 1,
        "said": {"file": "said-01.flac", "started": at, "seconds": 2.0, "gain": 1.0},
        "heard": {"file": "heard-01.flac", "seconds": 3.0, "speech_seconds": speech, "text": reply},
        "delivered": delivered,
    }


def told(skill, at, directed=None):
    body = json.dumps({"event": "SpeechStarted", "token": f"amzn1.as-ct.v1#{skill}"}).encode()
    return {
        "kind": "http", "time": at, "client": ECHO, "client_port": 40000, "server": SERVER,
        "server_port": 443, "host": "avs.example", "url": "https://avs.example/v1/events",
        "headers": [["content-type", "application/json"]], "cut": False,
        "body": base64.b64encode(body).decode(),
        "answer": directed and base64.b64encode(json.dumps({"skill": directed}).encode()).decode(),
    }  # fmt: skip


def session(step, skill, *turns, ids=(), names=()):
    staged = Staged(step, skill=skill, names=names, transcript_json=list(turns))
    if ids:
        lines = [json.dumps(told(*one)) for one in ids]
        staged.files["proxy.jsonl"] = "\n".join(lines).encode() + b"\n"
    return staged


def judged(folder, *sessions):
    table = utterances.derive(record_steps(folder / "r", *sessions, study=study()))
    return table.set_index(["session", "turn"])


def verdict(row):
    return row.answered_by, row.answerer, row.basis, row.confidence


def one(folder, reply, skill=SHOES, **more):
    ids, names = more.pop("ids", ()), more.pop("names", ())
    step = "fashion-1/sessions/01-x"
    return judged(folder, session(step, skill, turn(reply, **more), ids=ids, names=names)).iloc[0]


def test_a_name_in_the_reply_names_the_skill(tmp_path):
    row = one(tmp_path, "Welcome to shoe talk.")
    assert verdict(row) == ("skill", SHOES, "words", "medium")
    assert (row.delivered, row.confounded) == (True, False)


def test_another_skills_name_is_confounding(tmp_path):
    row = one(tmp_path, "Welcome to wine pear. Here is a fruit.")
    assert (row.answered_by, row.confounded) == ("unknown", False), "pair and pear sound alike"
    row = one(tmp_path / "b", "Welcome to shoe talk.", skill=PAIR)
    assert verdict(row) == ("other skill", SHOES, "words", "medium")
    assert (row.delivered, row.confounded) == (True, True)


ORDINARY = [
    ("Tide", "The next high tide is at half past five."),
    ("The Bible", "It is the bible of bird watchers."),
    ("The Dog", "Welcome to the dog park. The dog is man's best friend."),
    ("August", "August the fifth will be sunny."),
    ("Patron", "He is the patron of all sailors."),
    ("Date Night", "How about a date night at home?"),
]


def catalogue(*names):
    skills = [
        {"id": f"B0SKILL{n}", "name": name, "invocation": name.lower(), "vendor": f"Maker{n} Ltd"}
        for n, name in enumerate(names)
    ]
    return {"study": "words", "personas": [{"catalogue": {"skills": skills}}]}


@pytest.mark.parametrize(("name", "reply"), ORDINARY)
def test_ordinary_words_of_a_reply_are_nobodys_name(tmp_path, name, reply):
    words = catalogue("Shoe Talk", name)
    step = "fashion-1/sessions/01-x"

    def said(folder, skill, *names):
        staged = session(step, skill, turn(reply), names=names)
        recording = record_steps(tmp_path / folder, staged, study=words)
        return utterances.derive(recording).iloc[0]

    row = said("other", "B0SKILL0")
    assert (*verdict(row), row.confounded, row.delivered) == ("unknown", "", "", "", False, True)
    assert verdict(said("meant", "B0SKILL1")) == ("skill", "B0SKILL1", "words", "low")
    own, others = (event(START + 3, "query", f"api.maker{n}.com") for n in (0, 1))
    assert verdict(said("own", "B0SKILL0", own)) == ("skill", "B0SKILL0", "contacts", "medium")
    row = said("others", "B0SKILL0", others)
    assert verdict(row) == ("other skill", "B0SKILL1", "words contacts", "high")


def test_a_skill_that_also_names_another_one_is_not_told_from_it(tmp_path):
    row = one(tmp_path, "Welcome to shoe talk. You may like wine pair too.", skill=PAIR)
    assert verdict(row) == ("unknown", "", "words", "low")


def test_names_that_sound_alike_need_more_than_words(tmp_path):
    row = one(tmp_path, "Welcome to wine pair.", skill=PEAR)
    assert verdict(row) == ("unknown", "", "words", "low")
    row = one(tmp_path / "b", "Welcome to wine pair.", skill=PEAR, ids=[(PAIR, START + 3)])
    assert verdict(row) == ("other skill", PAIR, "metadata", "high")


def test_a_directive_names_the_skill_that_speaks(tmp_path):
    row = one(tmp_path, "Here is a fact.", skill=PEAR, ids=[("", START + 3, PEAR)])
    assert verdict(row) == ("skill", PEAR, "directive", "high")
    row = one(tmp_path / "b", "Here is a fact.", skill=PEAR, ids=[(PEAR, START + 3, PEAR)])
    assert verdict(row) == ("skill", PEAR, "directive metadata", "high")


def test_a_directive_for_another_skill_than_was_asked_for_needs_a_third_witness(tmp_path):
    row = one(tmp_path, "Here is a fact.", skill=PEAR, ids=[(PEAR, START + 3, SHOES)])
    assert verdict(row) == ("unknown", "", "", "")
    row = one(tmp_path / "b", "Welcome to shoe talk", skill=PEAR, ids=[(PEAR, START + 3, SHOES)])
    assert verdict(row) == ("other skill", SHOES, "words", "medium")


def test_metadata_counts_in_the_sentences_own_time_only(tmp_path):
    table = judged(
        tmp_path,
        session(
            "fashion-1/sessions/01-x",
            PEAR,
            turn("Welcome to wine pair."),
            turn("Your tip of the day", at=LATER),
            ids=[(PAIR, START + 3), (PEAR, LATER + 3)],
        ),
    )
    assert [row.answered_by for row in table.itertuples()] == ["other skill", "skill"]


def test_metadata_of_two_skills_decides_nothing_alone(tmp_path):
    both = [(PAIR, START + 3), (PEAR, START + 4)]
    assert one(tmp_path, "Hello there", skill=PEAR, ids=both).answered_by == "unknown"
    also = [(SHOES, START + 3), (PEAR, START + 4)]
    row = one(tmp_path / "b", "Welcome to shoe talk", skill=PEAR, ids=also)
    assert verdict(row) == ("other skill", SHOES, "words", "medium")


def test_hosts_of_a_vendor_are_a_witness(tmp_path):
    shoes = [event(START + 3, "query", "api.acmeshoes.com")]
    row = one(tmp_path, "Here you are.", names=shoes)
    assert verdict(row) == ("skill", SHOES, "contacts", "medium")
    row = one(tmp_path / "b", "Welcome to shoe talk", names=shoes)
    assert verdict(row) == ("skill", SHOES, "words contacts", "high")
    row = one(tmp_path / "c", "Welcome to shoe talk", skill=PAIR, names=shoes)
    assert verdict(row) == ("other skill", SHOES, "words contacts", "high")
    cellar = [event(START + 3, "query", "api.cellarworks.com")]
    row = one(tmp_path / "d", "Welcome to shoe talk", names=cellar)
    assert verdict(row) == ("unknown", "", "words contacts", "low")


def test_the_platforms_refusal_is_no_delivery_whatever_the_runner_wrote(tmp_path):
    row = one(tmp_path, "Sorry, I don't know that one.")
    assert verdict(row) == ("platform", "", "words", "medium")
    assert row.delivered is False or not row.delivered
    row = one(tmp_path / "b", "Shoe talk is not enabled. You can say, enable shoe talk.",
              ids=[(SHOES, START + 3)])  # fmt: skip
    assert verdict(row) == ("platform", "", "words", "high")
    assert not row.delivered


def test_a_skill_may_be_sorry_too(tmp_path):
    row = one(tmp_path, "Sorry, I didn't get that.", ids=[(SHOES, START + 3)])
    assert verdict(row) == ("skill", SHOES, "metadata", "high")
    assert row.delivered


def test_silence_is_nobody_unless_the_device_acted(tmp_path):
    row = one(tmp_path, "", speech=0.0, delivered=False)
    assert verdict(row) == ("nobody", "", "silence", "high")
    assert not row.delivered
    row = one(tmp_path / "b", "", speech=0.0, delivered=False, ids=[(SHOES, START + 3)])
    assert (row.answered_by, row.delivered) == ("skill", True)


def test_enabling_is_the_platforms_answer_about_a_skill(tmp_path):
    row = one(tmp_path, "Ok, shoe talk is enabled.", purpose="enable")
    assert verdict(row) == ("platform", SHOES, "words", "medium")
    assert (row.delivered, row.confounded) == (True, False)
    row = one(tmp_path / "b", "Ok, shoe talk is enabled.", purpose="enable", skill=PAIR)
    assert (row.answered_by, row.confounded) == ("other skill", True)


def test_a_name_inside_the_meant_one_is_not_another_skill(tmp_path):
    assert one(tmp_path, "Welcome to shoe talk").answered_by == "skill"
    assert one(tmp_path / "b", "This is about your shoe", skill=SHOE).answerer == SHOE


def test_a_reply_without_a_name_is_known_by_another_account(tmp_path):
    tip = "Red goes with cheese and white goes with fish."
    table = judged(
        tmp_path,
        session("fashion-1/sessions/01-x", PAIR, turn(tip), ids=[(PAIR, START + 3)]),
        session("fashion-2/sessions/01-x", PEAR, turn(tip.replace("fish", "dish"))),
        session("fashion-3/sessions/01-x", PEAR, turn("Good morning to you all.")),
    )
    assert verdict(table.loc["fashion-2/sessions/01-x"].iloc[0]) == (
        "other skill", PAIR, "known-reply", "low",
    )  # fmt: skip
    assert table.loc["fashion-3/sessions/01-x"].iloc[0].answered_by == "unknown"


def test_stopping_is_not_judged(tmp_path):
    row = one(tmp_path, "", purpose="stop", speech=0.0)
    assert verdict(row) == ("", "", "", "")


def test_sessions_are_left_out_by_a_stated_rule_only(tmp_path):
    recording = record_steps(
        tmp_path / "r",
        session("fashion-1/sessions/01-x", PAIR, turn("Welcome to shoe talk.")),
        session("fashion-1/sessions/02-y", SHOES, turn("Welcome to shoe talk.")),
        study=study(),
    )
    table = utterances.derive(recording)
    assert excluded_table(study(), table).empty
    (row,) = excluded_table(study(exclude=["confounded"]), table).to_dict("records")
    assert (row["session"], row["sentences"], row["others"]) == (
        "fashion-1/sessions/01-x", 1, SHOES,
    )  # fmt: skip
