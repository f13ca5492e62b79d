"""Conclusions in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoaudit.inference.conclusion import Effect, Sets, State, Test

if TYPE_CHECKING:
    from echoaudit.inference.examine import Examined

COMPARISON = {
    "value": "bids for {treated} were {ratio} times as high as for {control}",
    "rate": "bidders bid for {treated} {ratio} times as often as for {control}",
    "value-per-opportunity": "a chance to bid for {treated} brought {ratio} times as much as for "
    "{control}",
    "maximum": "the highest bids for {treated} were {ratio} times those for {control}",
    "partners": "the bids of the platform's partners over those of others were {ratio} times as "
    "high for {treated} as for {control}",
    "count": "accounts of {treated} had {ratio} times as many {things} as those of {control}",
}
THINGS = {
    "endpoints": "hosts contacted by their speakers",
    "trackers": "advertising or tracking hosts contacted by their speakers",
    "organisations": "organisations contacted by their speakers",
    "syncs": "pairs of parties that exchanged identifiers",
    "audio-ads": "audio ads per hour",
    "creatives": "different audio ads",
    "ads": "different ads on pages",
    "advertisers": "advertisers on pages",
    "interests": "interests by the platform's own account",
}
"""What an outcome's things are called."""
METHOD = {
    "permutation": "label permutation",
    "pooled": "t test with pooled variance",
    "welch": "Welch's t test",
    "crawford-howell": "Crawford-Howell test of a single account",
    "fisher": "Fisher's exact test on accounts",
    "tost": "two one-sided t tests",
}
CORRECTION = {"holm": "Holm", "bh": "Benjamini and Hochberg"}


def ratio(value: float) -> str:
    """A ratio with two decimals, or three figures when it is large."""
    return f"{value:.2f}" if value < 10 else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def p_value(p: float) -> str:
    """``p = 0.012`` or ``p < 0.0001``."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def verdict(state: State, reason: str | None, examined: Examined, test: Test | None) -> str:
    """The sentence that stands for a conclusion; ``test`` is corrected for its family."""
    if state == "insufficient":
        return f"There is not enough evidence: {reason}."
    assert test is not None
    basis = f"{METHOD[test.method]}, {_accounts(examined)}"
    numbers = f"{_p(test, examined)}, {basis}"
    if examined.effect is None:
        assert examined.sets is not None
        words = _about_sets(examined, examined.sets)
    else:
        effect = examined.effect
        words = _about_ratio(examined, effect)
        numbers = f"95 % interval {ratio(effect.low)} to {ratio(effect.high)}; {numbers}"
    told = f"{words} ({numbers})"
    if state == "supported":
        return f"{told[0].upper()}{told[1:]}."
    if examined.claim.direction == "equivalent":
        return f"It was not shown that they are alike: {told}."
    missed = _missed(examined.effect) if examined.effect else ""
    return f"No such difference was shown: {told}.{missed}"


def compared(
    about: tuple[str, str], personas: tuple[str, str], value: float, margin: float | None = None
) -> str:
    """A ratio in words.

    Args:
        about: outcome and measure.
        personas: treated and control.
        value: the ratio.
        margin: of an equivalence claim.
    """
    outcome, measure = about
    words = COMPARISON[measure].format(
        treated=personas[0],
        control=personas[1],
        ratio=ratio(value),
        things=THINGS.get(outcome, ""),
    )
    if margin is None:
        return words
    return f"{words}, to be within {ratio(1 / margin)} and {ratio(margin)} times"


def _about_ratio(examined: Examined, effect: Effect) -> str:
    claim = examined.claim
    return compared(
        (claim.outcome, claim.measure),
        (claim.treated, claim.control),
        effect.ratio,
        claim.smallest_effect if claim.direction == "equivalent" else None,
    )


def _about_sets(examined: Examined, found: Sets) -> str:
    claim = examined.claim
    things = THINGS[claim.outcome]
    if claim.measure == "distance":
        within = f", {found.within:.2f} within one persona" if found.within is not None else ""
        return (
            f"the {things} of an account of {claim.treated} and one of {claim.control} had a mean "
            f"Jaccard distance of {found.between:.2f}{within}"
        )
    if claim.measure == "exclusive":
        return (
            f"{found.own_count} of {found.things} {things} were had by at least two accounts of "
            f"{claim.treated} and none of {claim.control}, {found.own_expected:.1f} by chance"
        )
    what = f"{claim.item} among their {things}" if claim.item else f"any {things}"
    return (
        f"{found.treated_with} of {len(examined.treated.accounts)} accounts of {claim.treated} "
        f"and {found.control_with} of {len(examined.control.accounts)} of {claim.control} had "
        f"{what}"
    )


def _accounts(examined: Examined) -> str:
    treated, control = len(examined.treated.accounts), len(examined.control.accounts)
    return f"{treated} against {control} accounts"


def _p(test: Test, examined: Examined) -> str:
    claim = examined.claim
    whole = claim.measure in ("distance", "exclusive") or claim.direction == "equivalent"
    sides = "" if whole else "two-sided " if claim.direction == "different" else "one-sided "
    found = f"{sides}{p_value(test.p)}"
    if test.family == 1:
        return found
    method = CORRECTION[test.correction]
    return f"{found}, after {method} over {test.family} claims {p_value(test.p_corrected)}"


def _missed(effect: Effect) -> str:
    if effect.detectable is None:
        return ""
    return f" A true ratio of {ratio(effect.detectable)} would have been found four times in five."
