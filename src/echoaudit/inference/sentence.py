"""Conclusions in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.inference.conclusion import Effect, State, Test

if TYPE_CHECKING:
    from echoaudit.study.models import Claim

COMPARISON = {
    "value": "bids for {treated} were {ratio} times as high as for {control}",
    "rate": "bidders bid for {treated} {ratio} times as often as for {control}",
    "value-per-opportunity": "a chance to bid for {treated} brought {ratio} times as much as for "
    "{control}",
    "maximum": "the highest bids for {treated} were {ratio} times those for {control}",
}
METHOD = {
    "permutation": "label permutation",
    "pooled": "t test with pooled variance",
    "welch": "Welch's t test",
    "crawford-howell": "Crawford-Howell test of a single account",
}


def ratio(value: float) -> str:
    """A ratio with two decimals, or three figures when it is large."""
    return f"{value:.2f}" if value < 10 else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def p_value(p: float) -> str:
    """``p = 0.012`` or ``p < 0.0001``."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def verdict(
    state: State,
    reason: str | None,
    claim: Claim,
    accounts: tuple[int, int],
    found: tuple[Effect, Test] | None,
) -> str:
    """The sentence that stands for a conclusion."""
    if state == "insufficient":
        return f"There is not enough evidence: {reason}."
    assert found is not None
    effect, test = found
    words = COMPARISON[claim.measure].format(
        treated=claim.treated, control=claim.control, ratio=ratio(effect.ratio)
    )
    numbers = (
        f"95 % interval {ratio(effect.low)} to {ratio(effect.high)}; {_p(test, claim.direction)}, "
        f"{METHOD[test.method]}, {accounts[0]} against {accounts[1]} accounts"
    )
    if state == "supported":
        return f"{words[0].upper()}{words[1:]} ({numbers})."
    return f"No such difference was shown: {words} ({numbers}).{_missed(effect)}"


def _p(test: Test, direction: str) -> str:
    sides = "two-sided" if direction == "different" else "one-sided"
    found = f"{sides} {p_value(test.p)}"
    if test.family == 1:
        return found
    return f"{found}, after Holm over {test.family} claims {p_value(test.p_corrected)}"


def _missed(effect: Effect) -> str:
    if effect.detectable is None:
        return ""
    return f" A true ratio of {ratio(effect.detectable)} would have been found four times in five."
