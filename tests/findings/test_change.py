"""Two recordings of a study: what changed, and when that must not be asked at all."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from golden_kit import GOLDEN, golden
from scipy import stats

from echoaudit import findings
from echoaudit.findings.change import change
from echoaudit.inference.change import effect_change
from echoaudit.inference.conclusion import Effect
from echoaudit.recording import Recording


@dataclass
class Made:
    """What a recording says of itself, changed at will."""

    info: dict[str, Any]
    study: Any


@pytest.fixture(scope="module")
def found() -> findings.Findings:
    return golden()


def made(**config: Any) -> Made:
    recording = Recording.open(GOLDEN)
    info = copy.deepcopy(dict(recording.info))
    for name, value in config.items():
        info["config"][name] |= value
    return Made(info, copy.deepcopy(recording.study))


def changed(found: findings.Findings, later: findings.Findings, after: Made | None = None) -> Any:
    return change((made(), after or made()), (found, later))  # type: ignore[arg-type]


def with_tables(found: findings.Findings, **tables: pd.DataFrame) -> findings.Findings:
    return replace(found, tables={**found.tables, **tables})


def test_a_recording_has_not_changed_from_itself(found: findings.Findings) -> None:
    same = changed(found, found)
    assert same.comparable and same.settings == same.shifts == same.unmatched == ()
    (claim,) = same.claims
    assert claim.effect.ratio == pytest.approx(1) and claim.effect.p == pytest.approx(1)


def test_a_new_contact_is_counted_in_accounts_of_each_persona(found: findings.Findings) -> None:
    rows = found.tables["endpoints"]
    new = rows[rows["contacted"] & (rows["persona"] == "vanilla")].head(1)
    new = new.assign(host="ads.new.example", organisation="Newcomer", role="tracking")
    later = with_tables(found, endpoints=pd.concat([rows, new]))
    shifts = {(s.kind, s.what): s for s in changed(found, later).shifts}
    whole = found.tables["captures"].query("persona == 'vanilla'")["account"].nunique()
    for key in (("endpoint", "ads.new.example"), ("organisation", "Newcomer")):
        shift = shifts[key]
        assert (shift.persona, shift.direction) == ("vanilla", "appeared")
        assert (shift.before, shift.after) == ((0, whole), (1, whole))
        expected = stats.fisher_exact([[0, whole], [1, whole - 1]]).pvalue
        assert shift.p == pytest.approx(expected) and shift.p_holm >= shift.p
    back = {(s.kind, s.what): s.direction for s in changed(later, found).shifts}
    assert back["endpoint", "ads.new.example"] == "vanished"


def test_advertisers_of_ads_on_pages_are_compared(
    found: findings.Findings,
) -> None:
    names = ("persona", "account", "advertiser")
    seen = [("fashion", "fashion-1", "shop.example"), ("vanilla", "vanilla-1", "")]
    earlier = with_tables(found, ads=pd.DataFrame([], columns=names, dtype="string"))
    later = with_tables(found, ads=pd.DataFrame(seen, columns=names, dtype="string"))
    (shift,) = changed(earlier, later).shifts
    assert (shift.kind, shift.what, shift.after) == ("advertiser", "shop.example", (1, 1))


def told(*rows: tuple[str, str, bool]) -> dict[str, pd.DataFrame]:
    """Interests by account, phase, and whether the request is the latest; vanilla has none."""
    requests = [
        {"request": f"{account}-{phase}-{latest}", "account": account, "phase": phase,
         "persona": account.split("-")[0], "latest": latest, "state": "answered"}
        for account, phase, latest in (*rows, ("vanilla-1", "after", True))
    ]  # fmt: skip
    interests = [{**one, "interest": "Shoes", "list": "platform"} for one in requests[: len(rows)]]
    columns = {"data_requests": requests, "interests": interests}
    return {name: pd.DataFrame(found, columns=[*requests[0], "interest", "list"])
            for name, found in columns.items()}  # fmt: skip


def test_interests_are_those_of_the_latest_request_after_the_treatment(
    found: findings.Findings,
) -> None:
    before = told(("fashion-1", "before", True), ("fashion-1", "after", False))
    requests = before["data_requests"]
    before["data_requests"] = pd.concat(
        [requests, requests.iloc[1:2].assign(request="again", latest=True)]
    )
    earlier = with_tables(found, **before)
    later = with_tables(found, **told(("fashion-1", "after", True)))
    (shift,) = changed(earlier, later).shifts
    assert (shift.kind, shift.persona, shift.what) == ("interest", "fashion", "Shoes (platform)")
    assert (shift.before, shift.after, shift.direction) == ((0, 1), (1, 1), "appeared")
    nobody = changed(found, later)
    assert nobody.shifts == ()
    assert "interests of fashion: the earlier recording did not look" in nobody.unknown


def test_what_was_not_looked_at_has_not_vanished(found: findings.Findings) -> None:
    blind = with_tables(
        found,
        captures=found.tables["captures"].assign(status="missing"),
        endpoints=found.tables["endpoints"].head(0),
    )
    result = changed(found, blind)
    assert not [s for s in result.shifts if s.kind in ("endpoint", "organisation", "role")]
    assert "endpoints of fashion: the later recording did not look" in result.unknown
    assert not [text for text in result.unknown if text.startswith("data types")]


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (made(lab={"world": "worlds/null.yaml"}), "lab.world"),
        (made(gateway={"policy": "trusting"}), "gateway.policy"),
    ],
)
def test_settings_that_forbid_a_comparison_are_said_first(
    after: Made, what: str, found: findings.Findings
) -> None:
    after.info["config"]["browser"]["page_timeout"] = 99.0
    result = changed(found, found, after)
    assert not result.comparable
    first, second = result.settings
    assert (first.what, first.forbids) == (what, True)
    assert (second.what, second.forbids) == ("browser.page_timeout", False)


def test_other_personas_sites_and_versions_forbid_a_comparison(found: findings.Findings) -> None:
    after = made()
    after.info["tools"]["chromium"] = "Chromium 200"
    after.info["software"]["version"] = "9"
    persona = after.study["personas"][0]
    persona["catalogue"]["skills"][0]["utterances"] = ["Alexa, other words."]
    after.study["personas"][1]["persona"] = "silent"
    after.study["sites"] = [{"site": "elsewhere", "url": "https://elsewhere.example/"}]
    differ = {s.what for s in changed(found, found, after).settings if s.forbids}
    assert {"version of chromium", "recorded by", "persona silent", "persona vanilla"} <= differ
    assert "site elsewhere" in differ
    assert any(what.startswith("skill ") for what in differ)


def test_what_an_older_version_did_not_state_forbids_nothing(found: findings.Findings) -> None:
    after = made()
    after.study["personas"][0]["mood"] = "calm"
    (setting,) = changed(found, found, after).settings
    assert (setting.what, setting.before, setting.forbids) == (
        "mood of persona fashion",
        "nothing",
        False,
    )
    before = made()
    before.study["personas"][0]["mood"] = "cross"
    (setting,) = change((before, after), (found, found)).settings  # type: ignore[arg-type]
    assert setting.forbids


def test_a_claim_about_something_else_is_not_compared(found: findings.Findings) -> None:
    other = replace(found, conclusions=(replace(found.conclusions[0], measure="rate"),))
    result = changed(found, other)
    assert result.claims == () and result.unmatched == (found.conclusions[0].claim,)


def effect(ratio: float, error: float, degrees: float) -> Effect:
    half = float(stats.t.ppf(0.975, degrees)) * error
    low, high = (math.exp(math.log(ratio) + sign * half) for sign in (-1, 1))
    return Effect(ratio, low, high, 0.1, degrees, None)


def test_the_change_of_an_effect_is_a_welch_test_of_two_log_ratios() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.2, 0.1, 7), rng.normal(0.6, 0.3, 5)
    one, two = (
        effect(math.exp(x.mean()), float(stats.sem(x)), len(x) - 1) for x in (first, second)
    )
    found = effect_change(one, two)
    reference = stats.ttest_ind(second, first, equal_var=False)
    low, high = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.degrees == pytest.approx(reference.df, rel=1e-9)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((low, high), rel=1e-9)


def test_effects_without_error_are_equal_or_not() -> None:
    assert effect_change(effect(2, 0, 3), effect(2, 0, 3)).p == 1
    assert effect_change(effect(2, 0, 3), effect(3, 0, 3)).p == 0
