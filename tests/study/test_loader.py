"""What a user writes becomes a study, or one line that says where it is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from echoaudit.errors import BadInput, ExitCode
from echoaudit.study import (
    load_as,
    load_catalogue,
    load_config,
    load_persona,
    load_study,
    restore_study,
)
from echoaudit.study.models import Config, Persona

from .conftest import FASHION, SKILLS, Write

PERSONA = Path("personas/fashion.yaml")


def refused(text: str | bytes, write: Write, name: str = "personas/fashion.yaml") -> str:
    path = write(name, text)
    loads = {"configs": load_config, "skills": load_catalogue, "personas": load_persona}
    with pytest.raises(BadInput) as refusal:
        loads[path.parts[0]](path)
    assert refusal.value.exit_code == ExitCode.BAD_INPUT == 2
    message = str(refusal.value)
    assert "\n" not in message
    assert "; allowed: " in message
    assert "; example: " in message
    return message


# --- good studies -----------------------------------------------------------------------------


def test_persona_brings_catalogue_and_control(write: Write, config: Config) -> None:
    study = load_study([PERSONA], config)
    assert study.name == "fashion"
    assert [(p.name, p.treated) for p in study.personas] == [("fashion", True), ("vanilla", False)]
    assert study.personas[0].catalogue is not None
    assert [skill.id for skill in study.personas[0].catalogue.skills] == ["A1", "A2"]
    assert study.personas[0].catalogue.source.date == date(2017, 1, 1)
    assert study.sites == config.sites


def test_default_claim_for_each_persona_with_a_control(write: Write, config: Config) -> None:
    claim, *questions = load_study([PERSONA], config).claims
    assert (claim.claim, claim.outcome, claim.measure) == ("fashion-above-vanilla", "bids", "value")
    assert (claim.treated, claim.control, claim.direction) == ("fashion", "vanilla", "higher")
    assert (claim.family, claim.correction, claim.exploratory) == ("main", "holm", False)
    assert {(q.family, q.correction, q.exploratory) for q in questions} == {
        ("questions", "bh", True)
    }
    assert [(q.outcome, q.measure) for q in questions] == [
        ("bids", "rate"),
        ("bids", "value-per-opportunity"),
        ("bids", "maximum"),
        ("syncs", "distance"),
    ]


def test_who_listens_to_streams_is_asked_about_ads(write: Write, config: Config) -> None:
    write(str(PERSONA), FASHION + "streams: [{service: pandora, hours: 1}]\n")
    last = load_study([PERSONA], config).claims[-1]
    assert (last.outcome, last.measure) == ("creatives", "exclusive")


def test_files_are_kept_as_given_and_hashed(write: Write, config: Config) -> None:
    text = "# a comment\n" + FASHION
    write("personas/fashion.yaml", text)
    study = load_study([PERSONA], config)
    assert sorted(study.files) == [
        "personas/fashion.yaml", "personas/vanilla.yaml", "skills/fashion.yaml",
    ]  # fmt: skip
    assert study.files["personas/fashion.yaml"] == text.encode()
    write("personas/fashion.yaml", text + "# another\n")
    assert load_study([PERSONA], config).hash != study.hash


def test_hash_does_not_depend_on_where_or_how_files_are_named(write: Write, config: Config) -> None:
    relative = load_study([PERSONA], config)
    absolute = load_study([PERSONA.absolute(), Path("personas/vanilla.yaml")], config)
    folder = load_study([Path("personas")], config)
    assert relative.hash == absolute.hash == folder.hash
    assert relative.claims == absolute.claims == folder.claims


def test_recorded_files_restore_the_same_study(write: Write, config: Config) -> None:
    study = load_study([PERSONA], config)
    for path in study.files:
        Path(path).unlink()
    restored = restore_study(study.files, config)
    assert restored.to_json() == study.to_json()
    assert restored.hash == study.hash


def test_restoring_never_leaves_the_recorded_files(write: Write, config: Config) -> None:
    write("secret.yaml", SKILLS)
    study = load_study([PERSONA], config)
    hostile = {**study.files, "personas/fashion.yaml": FASHION.replace("skills/fashion", "secret")
               .replace("../secret", "../../../../secret").encode()}  # fmt: skip
    with pytest.raises(BadInput, match="no file"):
        restore_study(hostile, config)


def test_study_file_states_claims_and_sites(write: Write, config: Config) -> None:
    write(
        "study.yaml",
        "study: autumn\npersonas: [personas]\nsites: [{site: own, url: 'https://own.example/'}]\n"
        "claims:\n- {claim: mine, treated: fashion, control: vanilla, measure: rate}\n",
    )
    study = load_study([Path("study.yaml")], config)
    assert (study.name, study.sites[0].site) == ("autumn", "own")
    assert [(claim.claim, claim.measure) for claim in study.claims] == [("mine", "rate")]
    restored = restore_study(study.files, config)
    assert (restored.hash, restored.claims) == (study.hash, study.claims)


@pytest.mark.parametrize("text", ["no", "12:30", "0x10", "null", "2017-01-01", "1e3"])
def test_text_stays_text(text: str, write: Write) -> None:
    write("personas/fashion.yaml", "persona: fashion\nskills: ../skills/fashion.yaml\n")
    write("skills/fashion.yaml", SKILLS.replace("name: Dress Me", f"name: {text}"))
    catalogue = load_persona(PERSONA).catalogue
    assert catalogue is not None
    assert catalogue.skills[1].name == text


def test_catalogue_of_unreadable_names(write: Write) -> None:
    write("skills/fashion.yaml", SKILLS.replace("Dress Me\n", '"Kleid \\u202e \\U0001F457"\n'))
    assert load_catalogue(Path("skills/fashion.yaml")).skills[1].name == "Kleid \u202e 👗"


def test_paths_start_from_the_file_and_folders_from_the_command(write: Write) -> None:
    write(
        "configs/here.yaml",
        "config: here\nlab: {world: worlds/mine.yaml}\n"
        "sign_in: {url: 'https://a.example/', secrets: ../secrets.json}\n"
        "gateway: {block: [lists/a.txt, /etc/b.txt]}\nfolders: {recordings: out}\n",
    )
    config = load_config(Path("configs/here.yaml"))
    assert config.sign_in is not None
    assert config.lab is not None
    assert config.sign_in.secrets == Path("secrets.json")
    assert config.lab.world == "configs/worlds/mine.yaml"
    assert config.gateway.block == (Path("configs/lists/a.txt"), Path("/etc/b.txt"))
    assert config.folders.recordings == Path("out")


def test_file_extends_another(write: Write) -> None:
    write("base.yaml", "persona: base\naccounts: 3\ninterest: x\n")
    path = write("top.yaml", "based_on: base.yaml\npersona: top\n")
    persona = load_as(Persona, path, extends="based_on")
    assert (persona.persona, persona.accounts) == ("top", 3)
    write("base.yaml", "based_on: top.yaml\npersona: base\n")
    with pytest.raises(BadInput, match="itself"):
        load_as(Persona, path, extends="based_on")


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("persona: fashion\nskils: x\n", "2:1", "'skils' (did you mean 'skills'?)"),
        ("persona: a\npersona: b\n", "2:1", "'persona' a second time, first in line 1"),
        ("persona: Fashion Week\n", "1:10", "lower-case letters, digits and hyphens"),
        ("persona: a\naccounts: three\n", "2:11", "a whole number from 1 to 50"),
        ("persona: a\naccounts: '3'\n", "2:11", "found the text '3'"),
        ("persona: a\naccounts: 300\n", "2:11", "found 300 for accounts"),
        ("persona: a\naccounts: true\n", "2:11", "found 'true'"),
        ("persona: a\naccounts: 1_0\n", "2:11", "found '1_0'"),
        ("persona: a\ninterest:\n  - x\n", "3:3", "found a list for interest"),
        ("interest: x\n", "1:1", "no 'persona'"),
        ("persona: a\n\tinterest: x\n", "2:1", "a tab"),
        ("persona: &x a\n", "1:10", "anchor &x"),
        ("persona: *x\n", "1:10", "alias *x"),
        ("persona: !!python/name:os.system a\n", "1:10", "tag 'tag:yaml.org"),
        ("", "1:1", "an empty file"),
        ("# only a comment\n", "1:1", "an empty file"),
        ("---\npersona: a\n---\npersona: b\n", "3:1", "a second document"),
        ("- a\n", "1:1", "found a list"),
        ("persona: a\ninterest: Fashion: Style\n", "2:18", "not YAML"),
        ("persona: a\ninterest: [x\n", "3:1", "not YAML"),
        (b"persona: a\ninterest: caf\xe9\n", "2:14", "byte 0xe9"),
        ("persona: \x07\n", "1:10", "U+0007"),
        ('persona: a\ninterest: "\\e[31mred"\n', "2:11", "one line of"),
        ('persona: a\ninterest: "\\ud800"\n', "2:11", "one line of"),
        ("persona: a\ninterest: |\n  two\n  lines\n", "2:11", "one line of"),
        ("? [a]\n: b\n", "1:3", "a list or table as a key"),
        (FASHION.replace("skills/f", "skills/x"), "2:9", "no file 'skills/xashion.yaml'"),
        (FASHION.replace("../skills", "/etc"), "2:9", "a path relative to this file"),
        (FASHION.replace("control: vanilla", "control: fashion"), "3:10", "its own control"),
    ],
)  # fmt: skip
def test_persona_faults(text: str | bytes, place: str, words: str, write: Write) -> None:
    message = refused(text, write)
    assert message.startswith(f"personas/fashion.yaml:{place}: ")
    assert words in message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("config: c\nspeaker:\n  gain: loud\n", "3:9", "a number from 0 to 4"),
        ("config: c\nspeaker:\n  gain: .nan\n", "3:9", "a number from 0 to 4"),
        ("config: c\nspeaker: {gian: 1}\n", "2:11", "(did you mean 'gain'?)"),
        ("config: c\nspeaker:\n", "2:9", "found nothing for speaker"),
        ("config: c\nspeaker: {engine: flight}\n", "2:19", "espeak-ng, piper, gtts or files"),
        ("config: c\nbrowser: {headless: yes}\n", "2:21", "true or false"),
        ("config: c\nbrowser: {window: [1, 2, 3]}\n", "2:19", "a list of 2"),
        ("config: c\nsites: [{site: a, url: 'ftp://a/'}]\n", "2:24", "begins with http://"),
        ("config: c\nsites:\n- {site: a, url: 'http://a/'}\n- {site: a, url: 'http://b/'}\n",
         "4:10", "site 'a' a second time"),
        ("config: c\ndevices: {x: {mac: 'aa:bb:cc:dd:ee:ff'}}\n", "2:11", "the account's number"),
        ("config: c\ndevices: {x-1: {mac: 'AA:bb:cc:dd:ee:ff'}}\n", "2:22", "hexadecimal"),
        ("config: c\ndevices:\n  x-1: {mac: 'aa:bb:cc:dd:ee:ff'}\n"
         "  x-2: {mac: 'aa:bb:cc:dd:ee:ff'}\n",
         "4:14", "device address 'aa:bb:cc:dd:ee:ff' a second time"),
        ("config: c\ndevices: {x-1: {mac: 'aa:bb:cc:dd:ee:ff'}}\ngateway: {trusting: [x-2]}\n",
         "3:22", "account 'x-2' has no device (did you mean 'x-1'?)"),
        ("config: c\ngateway: {address: 300.1.1.1/24}\n", "2:20", "an IPv4 address"),
        ("config: c\ngateway: {dns: [9.9.9.9, dns.example]}\n", "2:26", "an IP address"),
        ("config: c\nseed: 99999999999999999999\n", "2:7", "a whole number from 0"),
    ],
)  # fmt: skip
def test_configuration_faults(text: str, place: str, words: str, write: Write) -> None:
    message = refused(text, write, "configs/here.yaml")
    assert message.startswith(f"configs/here.yaml:{place}: ")
    assert words in message


def test_catalogue_faults_name_the_skill(write: Write) -> None:
    twice = SKILLS.replace("id: A2", "id: A1")
    assert "9:9: skill id 'A1' a second time" in refused(twice, write, "skills/fashion.yaml")
    lost = SKILLS.replace("    name: Dress Me\n", "")
    assert "9:5: no 'name' in skills[1]" in refused(lost, write, "skills/fashion.yaml")
    silent = SKILLS.replace('["Alexa, open Dress Me."]', "[]")
    assert "found an empty list for skills[1].utterances" in refused(
        silent, write, "skills/fashion.yaml"
    )


def test_other_faults_are_counted(write: Write) -> None:
    message = refused("persona: Fashion\naccounts: 99\n", write)
    assert message.startswith("personas/fashion.yaml:1:10: ")
    assert message.endswith("(1 more fault)")


def test_alias_bomb_is_refused_at_its_first_anchor(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "1:5: anchor &a0" in refused("\n".join(lines), write)


def test_depth_and_size_are_bounded(write: Write) -> None:
    assert "more than 20 levels" in refused("persona: " + "[" * 5000, write)
    message = refused(b"persona: a\n#" + b"x" * 4 * 1024 * 1024, write)
    assert "more than 4194304 bytes" in message


def test_numbers_too_long_for_python_are_faults(write: Write) -> None:
    assert "a whole number" in refused("persona: a\naccounts: " + "9" * 5000 + "\n", write)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["personas/fasion.yaml"], "no such file (did you mean 'fashion.yaml'?)"),
        (["skills/fashion.yaml"], "found a catalogue; allowed: a persona"),
        (["configs"], "found a config; allowed: a persona"),
        (["study.yaml", "personas"], "a study among others"),
        (["/dev/null"], "not a file"),
        ([], "no persona"),
    ],
)
def test_wrong_arguments(paths: list[str], words: str, write: Write, config: Config) -> None:
    write("study.yaml", "study: s\npersonas: [personas]\n")
    with pytest.raises(BadInput) as refusal:
        load_study([Path(path) for path in paths], config)
    assert words in str(refusal.value)


def test_folder_without_personas(write: Write, config: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="empty folder"):
        load_study([Path("empty")], config)


def test_control_must_be_found(write: Write, config: Config) -> None:
    write("personas/fashion.yaml", FASHION.replace("vanilla", "vanila"))
    with pytest.raises(BadInput, match=r"fashion.yaml:3:10: .*did you mean 'vanilla'"):
        load_study([PERSONA], config)
    write("personas/vanila.yaml", "persona: plain\n")
    with pytest.raises(BadInput, match=r"fashion.yaml:3:10: .*no persona: vanila"):
        load_study([PERSONA], config)


def test_two_files_of_one_persona(write: Write, config: Config) -> None:
    write("personas/again.yaml", FASHION)
    with pytest.raises(BadInput, match=r"personas/fashion.yaml:1:10: .*already in .*again.yaml"):
        load_study([Path("personas")], config)


@pytest.mark.parametrize(
    ("study", "words"),
    [
        ("claims: [{claim: x, treated: fashoin, control: vanilla}]", "did you mean 'fashion'"),
        ("claims: [{claim: x, treated: fashion, control: fashion}]", "compared with itself"),
        ("claims: [{claim: x, treated: fashion, control: vanilla},"
         " {claim: x, treated: fashion, control: vanilla}]", "claim 'x' a second time"),
        ("claims: [{claim: x, treated: fashion, control: vanilla, outcome: bid}]", "allowed: bids"),
        ("claims: [{claim: x, treated: fashion, control: vanilla, outcome: syncs}]",
         "measure value of syncs; allowed: count, distance"),
        ("claims: [{claim: x, treated: fashion, control: vanilla, outcome: syncs,"
         " measure: distance}]", "direction higher of measure distance; allowed: different"),
        ("claims: [{claim: x, treated: fashion, control: vanilla, outcome: syncs, measure: count,"
         " direction: equivalent}]", "equivalent of measure count, for which there is no test"),
        ("claims: [{claim: x, treated: fashion, control: vanilla, item: a.io}]", "an item for"),
        ("claims: [{claim: x, treated: fashion, control: vanilla},"
         " {claim: y, treated: fashion, control: vanilla, correction: bh}]",
         "correction bh in family 'main', where x has holm"),
        ("sites: [{site: a, url: 'https://a/'}, {site: b, url: 'https://a/'}]", "url 'https://a/'"),
    ],
)  # fmt: skip
def test_study_faults(study: str, words: str, write: Write, config: Config) -> None:
    path = write("study.yaml", f"study: s\npersonas: [personas]\n{study}\n")
    with pytest.raises(BadInput) as refusal:
        load_study([path], config)
    assert str(refusal.value).startswith("study.yaml:3:")
    assert words in str(refusal.value)


def test_study_naming_a_missing_file(write: Write, config: Config) -> None:
    path = write("study.yaml", "study: s\npersonas:\n  - personas/fashon.yaml\n")
    with pytest.raises(BadInput, match=r"study.yaml:3:5: no file 'personas/fashon.yaml'"):
        load_study([path], config)
