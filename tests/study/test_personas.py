"""A persona has what is done with it, and the project's own personas make one study."""

from __future__ import annotations

from pathlib import Path

import pytest

from echoaudit.errors import BadInput
from echoaudit.study import load_config, load_persona, load_study

from .conftest import Write

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("skills: ../skills/fashion.yaml\necho: false", "skills without a speaker"),
        ("skills: ../skills/fashion.yaml\naccount: false", "skills without a speaker"),
        ("skills: ../skills/fashion.yaml\nbrowses: health", "a topic beside skills"),
        ("account: false\necho: true", "a speaker without an account"),
        ("account: false\nopt_out: true", "an account's choice without an account"),
        ("echo: no", "found 'no' for echo"),
    ],
)
def test_parts_that_do_not_fit_are_refused(write: Write, keys: str, message: str) -> None:
    path = write("personas/odd.yaml", f"persona: odd\n{keys}\n")
    with pytest.raises(BadInput, match=message):
        load_persona(path)


def test_the_projects_personas_are_nine_interests_and_shared_controls() -> None:
    config = load_config(ROOT / "configs/lab.yaml")
    study = load_study([ROOT / "personas"], config)
    talking = {p.persona.interest for p in study.personas if p.catalogue and not p.persona.opt_out}
    assert len(talking) == 9
    assert {claim.control for claim in study.claims} == {"vanilla", "plain-browser"}
    assert all(p.catalogue.interest == p.persona.interest for p in study.personas if p.catalogue)
