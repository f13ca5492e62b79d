"""The steps of a run: complete, balanced, the same for the same seed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_study, merge
from echoaudit.study.loader import LoadedStudy
from echoaudit.study.models import Config
from echoaudit.study.plan import Plan, describe, plan, slug, speakers

from .conftest import SKILLS, Write

SITES = [{"site": f"s{n}", "url": f"https://s{n}.example/"} for n in range(8)]


@pytest.fixture
def study(write: Write, config: Config) -> LoadedStudy:
    return load_study([Path("personas/fashion.yaml")], merge(config, {"sites": SITES}))


def planned(study: LoadedStudy, config: Config, **settings: object) -> Plan:
    return plan(study, merge(config, settings))


def test_waves_in_order(study: LoadedStudy, config: Config) -> None:
    sign_in = {"url": "https://a.example/", "secrets": "s.json"}
    waves = planned(study, config, sign_in=sign_in, rounds={"before": 2, "after": 1}).waves
    assert [(wave.name, wave.kind) for wave in waves] == [
        ("sign-in", "sign-in"),
        ("before-1", "visits"),
        ("before-2", "visits"),
        ("sessions", "sessions"),
        ("after-1", "visits"),
    ]


def test_enabling_in_the_browser_needs_a_store(study: LoadedStudy, config: Config) -> None:
    browser = {"conversation": {"enable": "browser"}}
    with pytest.raises(BadInput, match=r"enable: browser, but .* has no store; allowed"):
        planned(study, config, **browser)
    made = planned(study, config, **browser, store={"url": "https://s.example/dp/{id}"})
    aloud = planned(study, config)
    spoken = [[s.sentences for s in p.steps if s.kind == "session"] for p in (made, aloud)]
    assert [one + 2 for one in spoken[0]] == spoken[1]


def test_every_account_does_everything_once(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, rounds={"before": 1, "after": 2})
    ids = [step.id for step in made.steps]
    assert len(set(ids)) == len(ids)
    kinds = Counter((step.account.persona, step.kind) for step in made.steps)
    assert kinds == {
        ("fashion", "visit"): 3 * 3 * 8,
        ("vanilla", "visit"): 6 * 3 * 8,
        ("fashion", "idle"): 3,
        ("vanilla", "idle"): 6,
        ("fashion", "session"): 3 * 2,
    }


def test_step_ids_are_the_recordings_folders(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, rounds={"before": 1, "after": 1}, accounts={"treated": 1})
    ids = {step.id for step in made.steps if step.account.id == "fashion-1"}
    assert {"fashion-1/visits/b1-s0", "fashion-1/visits/a1-s7", "fashion-1/sessions/00-idle"} < ids
    assert {"01-style-check", "02-dress-me"} < {i.rpartition("/")[2] for i in ids} or {
        "02-style-check", "01-dress-me"} < {i.rpartition("/")[2] for i in ids}  # fmt: skip


def test_same_site_order_for_all_accounts_of_a_round(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, rounds={"before": 2, "after": 2})
    orders = []
    for wave in made.waves:
        if wave.kind == "visits":
            order = {tuple(s.site.site for s in track.steps if s.site) for track in wave.tracks}
            assert len(order) == 1
            orders += order
    assert len(set(orders)) == 4


def test_personas_are_spread_over_each_round(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, rounds={"before": 20, "after": 20}, accounts={"control": 6})
    for wave in made.waves:
        places = [n for n, t in enumerate(wave.tracks) if t.account.persona == "fashion"]
        assert max(places) - min(places) >= 3
        assert places[0] <= 3
        assert places[-1] >= 5
    firsts = Counter(wave.tracks[0].account.persona for wave in made.waves)
    assert set(firsts) == {"fashion", "vanilla"}


def test_every_account_is_done_with_a_block_of_sites_before_any_goes_on(
    study: LoadedStudy, config: Config
) -> None:
    made = planned(study, config, rounds={"before": 1, "after": 1, "block": 3})
    rounds = [wave for wave in made.waves if wave.kind == "visits"]
    assert [wave.name for wave in rounds] == [
        *("before-1.1", "before-1.2", "before-1.3"),
        *("after-1.1", "after-1.2", "after-1.3"),
    ]
    everybody = {track.account for track in rounds[0].tracks}
    for wave in rounds:
        assert {track.account for track in wave.tracks} == everybody
        assert len({tuple(step.site for step in track.steps) for track in wave.tracks}) == 1
    seen = [step.site.site for wave in rounds[:3] for step in wave.tracks[0].steps if step.site]
    assert sorted(seen) == sorted(site["site"] for site in SITES)
    assert [len(wave.tracks[0].steps) for wave in rounds[:3]] == [3, 3, 2]


def test_idle_comes_first_and_can_be_left_out(study: LoadedStudy, config: Config) -> None:
    wave = next(w for w in planned(study, config).waves if w.kind == "sessions")
    assert {track.steps[0].kind for track in wave.tracks} == {"idle"}
    without = planned(study, config, conversation={"idle": 0})
    (wave,) = (w for w in without.waves if w.kind == "sessions")
    assert {track.account.persona for track in wave.tracks} == {"fashion"}


def test_seed_alone_decides(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, seed=7)
    assert made == planned(study, config, seed=7)
    assert made != planned(study, config, seed=8)
    assert sorted(s.id.split("/")[1] for s in made.steps) == sorted(
        s.id.split("/")[1] for s in planned(study, config, seed=8).steps
    )


def test_more_rounds_leave_earlier_ones_as_they_were(study: LoadedStudy, config: Config) -> None:
    few = planned(study, config, rounds={"before": 1, "after": 1}).waves
    many = planned(study, config, rounds={"before": 1, "after": 5}).waves
    assert many[: len(few)] == few


def test_plan_is_the_same_in_another_process(study: LoadedStudy, config: Config) -> None:
    code = (
        "import json; from pathlib import Path; from echoaudit.study import *;"
        "from echoaudit.study.plan import plan; c = load_config(Path('configs/here.yaml'));"
        "print(json.dumps(plan(load_study([Path('personas')], c), c).to_json()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1
    here = plan(load_study([Path("personas/fashion.yaml")], config), config)
    assert json.loads(outputs.pop()) == here.to_json()


def test_only_the_first_skills_are_spoken(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config, conversation={"skills": 1, "utterances": 1, "enable": "none"})
    talks = [step for step in made.steps if step.kind == "session"]
    assert {step.skill.id for step in talks if step.skill} == {"A1"}
    assert {step.sentences for step in talks} == {1}


def test_persona_decides_its_own_number_of_accounts(write: Write, config: Config) -> None:
    write("personas/vanilla.yaml", "persona: vanilla\naccounts: 2\n")
    made = plan(load_study([Path("personas")], config), config)
    assert Counter(t.account.persona for t in made.waves[0].tracks) == {"fashion": 3, "vanilla": 2}


def test_no_sites(write: Write, config: Config) -> None:
    nowhere = merge(config, {"sites": []})
    study = load_study([Path("personas")], nowhere)
    with pytest.raises(BadInput, match="no sites"):
        plan(study, nowhere)
    made = plan(study, merge(nowhere, {"lab": {}}))
    assert [wave.name for wave in made.waves] == ["sessions"]
    assert "no pages are visited" in describe(made)[-1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Style Check",), "style-check"),
        (("../../etc/passwd",), "etc-passwd"),
        (("Café Crème / 5",), "cafe-creme-5"),
        (("着こなし", "B0-1"), "b0-1"),
        (("\u202e...", "///"), "skill"),
        (("x" * 300,), "x" * 40),
        (("CON\x00.txt",), "con-txt"),
    ],
)
def test_slugs_are_safe_folder_names(names: tuple[str, ...], expected: str) -> None:
    assert slug(*names) == expected


def test_skills_of_one_name_get_folders_of_their_own(write: Write, config: Config) -> None:
    write("skills/fashion.yaml", SKILLS.replace("name: Dress Me", "name: style   CHECK!"))
    made = plan(load_study([Path("personas")], config), config)
    talks = [step.id for step in made.steps if step.kind == "session"]
    assert len(set(talks)) == len(talks) == 6


def test_description_says_who_does_what(study: LoadedStudy, config: Config) -> None:
    lines = "\n".join(describe(planned(study, config, rounds={"before": 1, "after": 1})))
    assert "9 accounts, 144 visits, 9 idle sessions, 6 sessions, about 21 sentences" in lines
    assert "vanilla-6  16 visits, 1 idle session; no skills" in lines
    for account in ("fashion-1", "vanilla-6"):
        assert account in lines


def test_json_holds_every_step(study: LoadedStudy, config: Config) -> None:
    made = planned(study, config)
    text = json.loads(json.dumps(made.to_json()))
    steps = [s for w in text["waves"] for t in w["tracks"] for s in t["steps"]]
    assert [step["id"] for step in steps] == [step.id for step in made.steps]
    first = next(step for step in steps if step["kind"] == "visit")
    assert first["phase"] == "before"
    assert first["round"] == 1


# --- arms ---------------------------------------------------------------------------------------

ARMS = {
    "no-echo": "echo: false",
    "plain": "account: false",
    "web": "account: false\nbrowses: health\ncontrol: plain",
    "asked-out": "skills: ../skills/fashion.yaml\nopt_out: true",
}
PAGES = {
    "sign_in": {"url": "https://a.example/", "secrets": "s.json"},
    "opt_out": {"url": "https://a.example/ads"},
    "topics": {"health": [{"site": "vitals", "url": "https://vitals.example/"}]},
    "accounts": {"treated": 1, "control": 1},
    "rounds": {"before": 1, "after": 1},
}


@pytest.fixture
def arms(write: Write, config: Config) -> LoadedStudy:
    for name, keys in ARMS.items():
        write(f"personas/{name}.yaml", f"persona: {name}\n{keys}\n")
    return load_study([Path("personas")], merge(config, {"sites": SITES[:1]}))


def steps_of(made: Plan, persona: str) -> list[str]:
    return [s.id.partition("/")[2] for s in made.steps if s.account.persona == persona]


def test_each_arm_does_what_its_persona_has(arms: LoadedStudy, config: Config) -> None:
    made = planned(arms, config, **PAGES)
    rounds = ["visits/b1-s0", "visits/a1-s0"]
    assert steps_of(made, "vanilla") == ["sign-in", rounds[0], "sessions/00-idle", rounds[1]]
    assert steps_of(made, "no-echo") == ["sign-in", *rounds]
    assert steps_of(made, "plain") == rounds
    assert steps_of(made, "web") == [rounds[0], "visits/t1-vitals", rounds[1]]
    assert steps_of(made, "asked-out")[:2] == ["sign-in", "opt-out"]
    assert len(steps_of(made, "asked-out")) == 7


def test_topics_come_between_sessions_and_the_rounds_after(
    arms: LoadedStudy, config: Config
) -> None:
    waves = [wave.name for wave in planned(arms, config, **PAGES).waves]
    assert waves == ["sign-in", "before-1", "sessions", "topic-1", "after-1"]


def test_who_browses_is_treated(arms: LoadedStudy, config: Config) -> None:
    made = planned(arms, config, **{**PAGES, "accounts": {"treated": 2, "control": 1}})
    assert {s.account.id for s in made.steps if s.account.persona == "web"} == {"web-1", "web-2"}


def test_speakers_are_the_accounts_that_need_a_device(arms: LoadedStudy, config: Config) -> None:
    found = speakers(arms, merge(config, {"accounts": {"treated": 1, "control": 1}}))
    assert {account.persona for account in found} == {"fashion", "vanilla", "asked-out"}


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("topics", "no sites of topic 'health' in configuration 'here'"),
        ("opt_out", "persona 'asked-out' opts out, but configuration 'here' has no page for it"),
    ],
)
def test_a_treatment_without_its_page_is_refused(
    arms: LoadedStudy, config: Config, missing: str, message: str
) -> None:
    settings = {key: value for key, value in PAGES.items() if key != missing}
    with pytest.raises(BadInput, match=message):
        planned(arms, config, **settings)
