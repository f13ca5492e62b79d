"""``diff`` and ``check`` as a user and a program meet them."""

from __future__ import annotations

from cli_kit import Stranger

from echoaudit.errors import ExitCode

RULES = """
rules:
  - {rule: all-said, table: delivery, share: {part: utterances_delivered, of: utterances_planned},
     at_least: 1}
  - {rule: nobody, about: "a hermit \\e[31m", table: endpoints, count: organisation, at_most: 0}
"""


def test_check_says_what_was_expected_and_found_and_fails(stranger: Stranger) -> None:
    recording = str(stranger.recording())
    stranger.write("own.yaml", RULES.replace("\\e[31m", ""))
    said = stranger.in_fork("check", recording, "--rules", "own.yaml")
    assert (said.code, said.err) == (ExitCode.DIFFERENT, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("ok") and lines[2].startswith("FAILED  nobody - a hermit")
    assert lines[3].strip().startswith("expected at most 0 organisation in endpoints; found ")
    assert "Amazon" in lines[4] and lines[-1] == "1 of 2 rules passed"
    told = stranger.in_fork("check", recording, "--rules", "own.yaml", "--json")
    assert told.code == ExitCode.DIFFERENT and told.json["passed"] is False
    assert [rule["state"] for rule in told.json["rules"]] == ["passed", "failed"]


def test_rules_with_a_fault_are_bad_input(stranger: Stranger) -> None:
    recording = str(stranger.recording())
    stranger.write("own.yaml", "rules:\n  - {rule: a, tabel: bids}\n")
    line = stranger.refused("check", recording, "--rules", "own.yaml")
    assert "own.yaml:2:15: unknown key 'tabel'" in line
    assert "nope.yaml" in stranger.refused("check", recording, "--rules", "nope.yaml")


def test_diff_of_a_recording_with_itself(stranger: Stranger) -> None:
    recording = str(stranger.recording())
    said = stranger.in_fork("diff", recording, recording)
    assert (said.code, said.err) == (ExitCode.OK, "")
    assert said.out.startswith("Comparable")
    assert "fashion-above-vanilla: still supported" in said.out
    assert "Nothing appeared or vanished" in said.out
    told = stranger.in_fork("diff", recording, recording, "--json").json
    assert told["comparable"] and told["shifts"] == []
    assert told["claims"][0]["effect_change"]["ratio"] == 1
    assert "personas" in stranger.refused("diff", recording, "personas")
