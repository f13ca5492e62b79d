"""What is likely to go wrong with a catalogue is found before it is spoken."""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.skills import lint
from echoaudit.skills.sounds import Sound, alike

ROOT = Path(__file__).parents[2]
HEAD = "catalogue: wine\ninterest: {}\nsource: {{kind: a test, date: 2017-01-01}}\nskills:\n"


def catalogue(folder: Path, *skills: str, interest: str = "Wine & Beverages") -> Path:
    path = folder / "wine.yaml"
    path.write_text(HEAD.format(interest) + "".join(f"  - {{{skill}}}\n" for skill in skills))
    return path


def skill(number: int, invocation: str, said: str = "Alexa, open it.") -> str:
    return f'id: B{number}, name: One, invocation: "{invocation}", utterances: ["{said}"]'


def rules(path: Path) -> list[str]:
    return [finding.rule for finding in lint([path])]


def test_the_projects_own_catalogues_are_clean() -> None:
    assert lint(sorted((ROOT / "skills").glob("*.yaml"))) == ()


@pytest.mark.parametrize(
    ("skills", "rule"),
    [
        ([skill(1, "wine mate"), skill(1, "beer")], "duplicate id"),
        ([skill(1, "wine mate"), skill(2, "Wine  Mate")], "same invocation"),
        ([skill(1, "wine mate"), skill(2, "wine maid")], "sounds alike"),
        ([skill(1, "dog fact"), skill(2, "dog facts")], "sounds alike"),
        ([skill(1, "wine", "open wine")], "wake word"),
        ([skill(1, "wine", "Alexandria, open wine")], "wake word"),
        ([skill(1, "wine", "Alexa, ask for [colour]")], "unsayable"),
        ([skill(1, "wine", "Alexa, go to www.wine.example")], "unsayable"),
        ([skill(1, "wine", "Alexa, pour \U0001f377")], "unsayable"),
        ([skill(1, "wine", "Alexa, one\\ntwo")], "newline"),
        ([skill(1, "wine", "Alexa, one  two")], "blanks"),
    ],
)
def test_each_rule_finds_its_fault(tmp_path: Path, skills: list[str], rule: str) -> None:
    assert rule in rules(catalogue(tmp_path, *skills))


def test_a_mistyped_interest_is_told_from_another(tmp_path: Path) -> None:
    (finding,) = lint([catalogue(tmp_path, skill(1, "wine"), interest="Wine & Beverage")])
    assert str(finding).endswith("interest: 'Wine & Beverage' (did you mean 'Wine & Beverages'?)")
    assert rules(catalogue(tmp_path, skill(1, "wine"), interest="Games & Trivia")) == []


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("b. m. w.", "bmw", True),
        ("smart zen", "smartzen", True),
        ("date night", "data night", True),
        ("cat facts", "car facts", False),
        ("beer trivia", "wine trivia", False),
        ("chicago bikeshare", "columbus bikeshare", False),
    ],
)
def test_names_that_sound_alike(first: str, second: str, same: bool) -> None:
    assert alike(Sound.of(first), Sound.of(second)) is same
    assert alike(Sound.of(second), Sound.of(first)) is same
