"""A user's rules: what holds, what does not, what nobody can tell, and what is no rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from golden_kit import golden

from echoaudit import findings
from echoaudit.errors import BadInput
from echoaudit.findings.rules import Judgement, judge, read_rules

CLAIMS = ["fashion-above-vanilla"]
EXAMPLE = Path(__file__).parents[2] / "configs" / "rules" / "example.yaml"


@pytest.fixture(scope="module")
def found() -> findings.Findings:
    return golden()


def judged(found: findings.Findings, folder: Path, *lines: str) -> Judgement:
    path = folder / "rules.yaml"
    path.write_text("rules:\n  - rule: r\n" + "".join(f"    {line}\n" for line in lines))
    (one,) = judge(read_rules(path, CLAIMS), found)
    return one


def test_the_example_holds_for_the_recorded_lab_run(found: findings.Findings) -> None:
    states = {one.rule: one.state for one in judge(read_rules(EXAMPLE, CLAIMS), found)}
    assert len(states) == 6 and set(states.values()) == {"passed"}


def test_too_many_are_named_and_exceptions_are_not_counted(
    found: findings.Findings, tmp_path: Path
) -> None:
    where = ("table: endpoints", "where: {persona: [fashion], contacted: ['true']}")
    one = judged(found, tmp_path, *where, "count: host", "at_most: 0")
    hosts = set(found.tables["endpoints"].query("persona == 'fashion' and contacted")["host"])
    assert (one.state, set(one.values)) == ("failed", hosts)
    assert f"found {len(hosts)}"[6:] in one.found and "1 of 1 accounts" in one.found
    for pattern in ("Amazon", "Ama*"):
        left = judged(found, tmp_path, *where, "count: host", "at_most: 0",
                      f"except: {{organisation: ['{pattern}']}}")  # fmt: skip
        assert 0 < len(left.values) < len(hosts)
    assert judged(found, tmp_path, *where, "at_least: 1").state == "passed"


def test_what_nobody_looked_at_does_not_pass(found: findings.Findings, tmp_path: Path) -> None:
    voice = ("table: data_types", "where: {data_type: [voice recording]}", "at_most: 0")
    assert judged(found, tmp_path, *voice).state == "unknown"
    opened = found.tables["decrypted"].assign(exchanges=3)
    looked = replace(found, tables={**found.tables, "decrypted": opened})
    assert judged(looked, tmp_path, *voice).state == "passed"
    nobody = ("table: endpoints", "where: {persona: [nobody]}", "at_most: 0")
    assert judged(found, tmp_path, *nobody).state == "unknown"


def test_interests_are_unknown_until_a_request_of_the_phase_is_answered(
    found: findings.Findings, tmp_path: Path
) -> None:
    rule = ("table: interests", "where: {phase: [after], interest: [Shoes]}", "at_most: 0")
    assert judged(found, tmp_path, *rule).state == "unknown"
    asked = pd.DataFrame(
        [("fashion-1", "fashion", "before", True, "answered"),
         ("fashion-1", "fashion", "after", True, "none sent")],
        columns=["account", "persona", "phase", "latest", "state"],
    )  # fmt: skip
    for state, expected in (("none sent", "unknown"), ("answered", "passed")):
        asked.loc[1, "state"] = state
        one = judged(
            replace(found, tables={**found.tables, "data_requests": asked}), tmp_path, *rule
        )
        assert one.state == expected
    assert one.found == "0 (looked at 1 of 4 accounts)"


def test_shares_add_up_and_a_share_of_nothing_is_unknown(
    found: findings.Findings, tmp_path: Path
) -> None:
    share = ("table: delivery", "share: {part: utterances_delivered, of: utterances_planned}")
    assert judged(found, tmp_path, *share, "at_least: 0.9").state == "passed"
    worse = found.tables["delivery"].assign(utterances_delivered=1)
    worse.loc[worse["persona"] == "vanilla", "utterances_delivered"] = 0
    low = replace(found, tables={**found.tables, "delivery": worse})
    one = judged(low, tmp_path, *share, "at_least: 0.9")
    assert (one.state, one.found) == ("failed", "33.3% (1 of 3)")
    vanilla = "where: {persona: [vanilla]}"
    assert judged(found, tmp_path, *share, vanilla, "at_least: 0.9").state == "unknown"


def test_missing_values_are_empty_texts(found: findings.Findings, tmp_path: Path) -> None:
    bids = found.tables["bids"]
    missing = int(bids["cpm_usd"].isna().sum())
    assert missing and pd.api.types.is_float_dtype(bids["cpm_usd"])
    one = judged(found, tmp_path, "table: bids", 'where: {cpm_usd: [""]}', f"at_most: {missing}")
    assert one.state == "passed" and one.found.startswith(f"{missing} ")


def test_a_claim_is_held_against_its_state(found: findings.Findings, tmp_path: Path) -> None:
    claim = "claim: fashion-above-vanilla"
    assert judged(found, tmp_path, claim, "state: [supported]").state == "passed"
    one = judged(found, tmp_path, claim, "state: [not supported, insufficient]")
    assert (one.state, one.found) == ("failed", "supported")
    assert one.expected == "fashion-above-vanilla not supported or insufficient"


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        (["tabel: bids"], 3, "unknown key 'tabel'.*did you mean 'table'"),
        (["table: bid", "at_most: 0"], 3, "found 'bid' for table; allowed: .*bids"),
        (["table: bids", "count: hst", "at_most: 0"], 4, "found 'hst' for a column of bids"),
        (["table: bids", "where: {hst: [x]}", "at_most: 0"], 4, "'hst' for a column of bids"),
        (["table: bids", "where: {site: x}", "at_most: 0"], 4, "found 'x' for .*a list"),
        (["table: bids", "share: {part: site, of: cpm}", "at_most: 1"], 4, "'site' for a column"),
        (["table: bids"], 2, "neither at_most nor at_least"),
        (["at_most: 3"], 2, "found neither for r; allowed: either table or claim"),
        (["table: bids", "claim: fashion-above-vanilla"], 2, "found both for r"),
        (["claim: other", "state: [supported]"], 3, "'other' for claim; allowed: fashion-above"),
        (["claim: fashion-above-vanilla"], 2, "no 'state' for the claim"),
        (["claim: fashion-above-vanilla", "state: [true]"], 4, "supported, not supported or"),
        (["table: bids", "at_most: -1"], 4, "found -1"),
        (["table: bids", "at_most: 0", "state: [supported]"], 5, "'state' with a table"),
    ],
)
def test_a_fault_is_one_line_with_its_place(
    lines: list[str], line: int, words: str, found: findings.Findings, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=words) as fault:
        judged(found, tmp_path, *lines)
    assert str(fault.value).startswith(f"{tmp_path}/rules.yaml:{line}:")
