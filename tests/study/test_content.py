"""The personas, skills, configurations and schemas that come with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from echoaudit.study import load_catalogue, load_config, load_study, merge, schemas
from echoaudit.study.plan import plan
from echoaudit.study.schemas import written

ROOT = Path(__file__).parents[2]
KINDS = {"personas": "persona", "skills": "catalogue", "configs": "config"}
FILES = [path for folder in KINDS for path in sorted((ROOT / folder).glob("*.yaml"))]


def test_fashion_on_the_lab_makes_a_plan() -> None:
    config = load_config(ROOT / "configs/lab.yaml")
    study = load_study([ROOT / "personas/fashion.yaml"], config)
    site = {"site": "news", "url": "https://news.example/"}
    made = plan(study, merge(config, {"sites": [site]}))
    accounts = {step.account.id for step in made.steps}
    assert accounts == {f"fashion-{n}" for n in (1, 2, 3)} | {f"vanilla-{n}" for n in range(1, 7)}
    spoken = {step.skill.id for step in made.steps if step.skill}
    assert len(spoken) == 5


@pytest.mark.parametrize("path", sorted((ROOT / "skills").glob("*.yaml")), ids=lambda p: p.stem)
def test_catalogues_are_real_and_can_be_said(path: Path) -> None:
    catalogue = load_catalogue(path)
    assert len(catalogue.skills) >= 5
    for skill in catalogue.skills:
        assert skill.id.startswith("B0")
        assert len(skill.id) == 10
        for utterance in skill.utterances:
            assert utterance.startswith("Alexa, ")
            assert utterance.endswith((".", "?"))
        assert _letters(skill.invocation) in _letters(skill.utterances[0])


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def test_raspberry_pi_is_complete() -> None:
    config = load_config(ROOT / "configs/raspberry-pi.yaml")
    study = load_study([ROOT / "personas/fashion.yaml"], config)
    accounts = {step.account.id for step in plan(study, config).steps}
    assert accounts == set(config.devices)
    assert config.lab is None
    assert config.sign_in is not None
    assert len(config.sites) >= 2


@pytest.mark.parametrize("name", sorted(schemas()))
def test_committed_schema_is_up_to_date(name: str) -> None:
    committed = (ROOT / f"configs/schemas/{name}.schema.json").read_text(encoding="utf-8")
    fix = "python -m echoaudit.study"
    assert committed == written(schemas()[name]), f"out of date; run: {fix}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_editors_accept_what_the_loader_accepts(path: Path) -> None:
    kind = KINDS[path.parent.name]
    schema = schemas()[kind]
    Draft202012Validator.check_schema(schema)
    assert not list(Draft202012Validator(schema).iter_errors(_as_an_editor_reads(path)))
    first = path.read_text(encoding="utf-8").splitlines()[0]
    reference = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / reference).resolve() == ROOT / f"configs/schemas/{kind}.schema.json"


def _as_an_editor_reads(path: Path) -> Any:
    """YAML 1.2 values: dates are text, as in JSON."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


def test_schema_refuses_what_the_loader_refuses() -> None:
    validator = Draft202012Validator(schemas()["config"])
    for wrong in (
        {"config": "Here"},
        {"config": "here", "speekr": {}},
        {"config": "here", "speaker": {"gain": 9}},
        {"config": "here", "devices": {"nobody": {"mac": "fc:65:de:00:00:01"}}},
    ):
        assert not validator.is_valid(wrong)
