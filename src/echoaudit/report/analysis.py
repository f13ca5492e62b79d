"""How claims were judged, in words: a sentence for each measure and each test that was used."""

from __future__ import annotations

from collections.abc import Sequence

from echoaudit.inference import Conclusion
from echoaudit.inference.scores import MIN_OBSERVATIONS
from echoaudit.inference.sentence import CORRECTION
from echoaudit.inference.tests import EXACT_LABELINGS
from echoaudit.report.text import count

SCORED = {
    "value": "of the logarithms of bids’ prices on account and cell (site, slot, bidder, kind of "
    "auction and round)",
    "rate": "of bids (1) and no-bids (0) on account and cell (site, slot, bidder, kind of auction "
    "and round), as a logarithm",
    "value-per-opportunity": "of prices, 0 for a no-bid, on account and cell (site, slot, bidder, "
    "kind of auction and round), as a logarithm",
    "maximum": "of the logarithm of each slot’s highest bid on account and cell (site, slot, kind "
    "of auction and round)",
    "partners": "as for the value of a bid, of the bids of the platform’s partners less of those "
    "of bidders to whom nobody who is told by the platform was seen to send identifiers",
}
"""The fit behind each measure of bids."""
SETS = {
    "count": "An account’s number of different things (hosts, ads, pairs of parties and the like; "
    "of audio ads, those heard per hour) is compared as log(count + 1/2), which a zero has, too, "
    "less the same before the treatment where there is a baseline.",
    "distance": "How unlike accounts’ sets of things are is the Jaccard distance (1 minus the "
    "things shared over the things of either). Its test is a permutational analysis of variance: "
    "the squared distances inside the personas under permuted labels of accounts.",
    "exclusive": "A thing is a persona’s own when at least two of its accounts had it and no "
    "control did. The number of such things is compared with that under permuted labels of "
    "accounts.",
    "accounts": "The accounts that had a thing at all are compared by Fisher’s exact test, with "
    "Newcombe’s interval of the difference of shares.",
}
"""What is compared by each measure of sets, and how where one test alone goes with it."""
EDGE = (
    "The interval has two sides whatever the claim says and comes from the t distribution, while p "
    "is one-sided when the claim names a direction, and mostly of permuted labels: at the edge the "
    "interval may hold 1 though p is below the level, or the other way round. p decides"
)


def analysis(conclusions: Sequence[Conclusion]) -> list[str]:
    """Paragraphs on what was compared, by which tests, and how p values were corrected."""
    if not conclusions:
        return ["No claim was stated, so nothing was tested."]
    return [
        _compared(conclusions), *_tests(conclusions), *_controls(conclusions),
        *_families(conclusions),
    ]  # fmt: skip


def _compared(conclusions: Sequence[Conclusion]) -> str:
    """The unit, and what each measure makes of an account."""
    found = [
        "The unit of analysis is the account, since what a persona does is done to accounts and "
        "what one account gets is not independent."
    ]
    bids = [c for c in conclusions if c.outcome == "bids"]
    fits = [f"for {name}, {fit}" for name, fit in SCORED.items() if _any(bids, name)]
    if fits:
        baseline = (
            "the score after the treatment minus the score before"
            if bids[0].rounds_before
            else "the score after the treatment, for there was no baseline"
        )
        found.append(
            "Of bids, an account’s score is its effect in a least-squares fit: "
            f"{'; '.join(fits)}. Compared is {baseline}. Accounts with fewer than "
            f"{MIN_OBSERVATIONS} comparable observations in a phase are left out and counted. "
            "Timeouts, errors and rejected bids are neither bids nor zeros."
        )
        if _any(bids, "rate") or _any(bids, "value-per-opportunity"):
            found.append(
                "An account without any bid in a phase counts as if it had half a bid there, for "
                "zero has no logarithm."
            )
    others = [c for c in conclusions if c.outcome != "bids"]
    found += [words for name, words in SETS.items() if _any(others, name)]
    return " ".join(found)


def _any(conclusions: Sequence[Conclusion], measure: str) -> bool:
    return any(c.measure == measure for c in conclusions)


def _tests(conclusions: Sequence[Conclusion]) -> list[str]:
    """How scores and counts are tested; of other sets it stands with the measure."""
    scored = [c for c in conclusions if c.effect is not None and c.test is not None]
    methods = {c.test.method for c in scored if c.test is not None}
    parts = []
    if "permutation" in methods:
        parts.append(
            "Scores and counts were compared by permuting the accounts’ labels with the "
            "studentised difference of means"
        )
    if any(c.test is not None and c.test.method == "permutation" for c in conclusions):
        parts.append(
            f"Labels were permuted in all ways up to {EXACT_LABELINGS:,}, else at random; a "
            "recording is one block, in which any account could have had any persona"
        )
    if methods & {"pooled", "welch"}:
        parts.append(
            "Where the number of accounts is too small for permutation to reach the level asked, "
            "a t test decided, which assumes normal scores"
        )
    if "crawford-howell" in methods:
        parts.append(
            "A single account was compared with the controls by Crawford and Howell’s t test"
        )
    if "tost" in methods:
        parts.append(
            "That personas are alike was judged by two one-sided t tests that the ratio is above "
            "one over the claim’s margin and below the margin"
        )
    if scored:
        parts += [
            "Effects are ratios of geometric means with 95 % intervals from the t distribution "
            "over accounts; a claim’s p is one-sided when the claim names a direction",
            EDGE,
        ]
    return [". ".join(parts) + "."] if parts else []


def _controls(conclusions: Sequence[Conclusion]) -> list[str]:
    """How controls were compared with each other."""
    checks = [c.diagnostics.controls for c in conclusions if c.diagnostics.controls is not None]
    if not checks:
        return []
    failed = sum(check.passed is False for check in checks)
    unable = sum(check.passed is None for check in checks)
    return [
        "The controls of each claim were compared with each other by its own test, in two "
        "divisions fixed before the run (odd against even accounts, the first half against the "
        f"last), each at a tenth of the claim’s level. Of {count(len(checks), 'check')} {failed} "
        f"failed, which withholds the verdict, and {unable} had no power with so few controls."
    ]


def _families(conclusions: Sequence[Conclusion]) -> list[str]:
    """How p values are corrected, family by family, and which claims are no predictions."""
    families = {
        (c.family, c.exploratory, c.registered): (c.test.family, c.test.correction, c.alpha)
        for c in conclusions
        if c.test is not None and c.test.family > 1
    }
    found = [
        f"p values of the {size} claims of family {name} are corrected by "
        f"{CORRECTION[correction]}’s method; each claim is judged at {alpha:g}."
        for (name, _, _), (size, correction, alpha) in families.items()
    ]
    questions = sum(c.exploratory for c in conclusions)
    if questions:
        found.append(
            f"{count(questions, 'claim')} of {len(conclusions)} are exploratory: questions rather "
            "than predictions, to be confirmed by another study."
        )
    later = sum(not c.registered for c in conclusions)
    if later:
        found.append(f"{count(later, 'claim')} of them were stated after the run.")
    return found
