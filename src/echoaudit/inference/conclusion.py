"""What inference concludes about one claim, as one immutable record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["supported", "not supported", "insufficient"]
ArmName = Literal["treated", "control"]
Method = Literal["permutation", "pooled", "welch", "crawford-howell", "fisher", "tost"]


@dataclass(frozen=True)
class AccountScore:
    """One account's part in a conclusion; levels and score are natural logarithms."""

    account: str
    before: float | None
    after: float
    score: float
    observations: int
    visits: tuple[str, ...] = ()
    """Ids of the visits whose bids it rests on; with slot and bidder they name each bid."""


@dataclass(frozen=True)
class Arm:
    """What one side of a claim rests on, and what it lost on the way."""

    persona: str
    accounts: tuple[str, ...]
    """Accounts whose scores were compared."""
    unscored: tuple[str, ...]
    """Accounts of the persona without enough comparable bids."""
    visits_planned: int
    visits_complete: int
    visits_with_bids: int
    bids: int
    no_bids: int
    failures: int
    """Requests without an answer: timeout, error, rejected, never answered. Never zeros."""
    utterances_planned: int
    utterances_delivered: int
    topic_visits_planned: int
    """Visits to the sites of a topic: the treatment of a persona that browses."""
    topic_visits_complete: int
    opt_outs_planned: int
    opt_outs_complete: int
    untreated: tuple[str, ...]
    """Accounts to which less than half of the sentences or topic visits was delivered."""
    scores: tuple[AccountScore, ...]

    @property
    def bid_rate(self) -> float | None:
        """Share of answered requests that brought a bid."""
        answered = self.bids + self.no_bids
        return self.bids / answered if answered else None


@dataclass(frozen=True)
class Effect:
    """The treated arm over the control arm, as a ratio."""

    ratio: float
    low: float
    """95 % interval (t distribution over accounts)."""
    high: float
    account_sd: float
    """Standard deviation of the accounts' scores around their arm's mean (log scale)."""
    degrees: float
    detectable: float | None
    """Ratio that the test would have found with probability 0.8; ``None``: hardly any."""


@dataclass(frozen=True)
class Test:
    """How p came about."""

    __test__ = False
    method: Method
    p: float
    p_corrected: float
    smallest_p: float
    """Smallest p that label permutation of this many accounts can give."""
    labelings: int
    exact: bool
    t_p: float | None
    """p of the t test, whichever test decided; ``None`` for sets, which have none."""
    family: int
    """Claims corrected for together."""
    correction: Literal["holm", "bh"] = "holm"
    equivalence_p: float | None = None
    """p of the two one-sided t tests that the ratio is within the smallest effect of interest."""


@dataclass(frozen=True)
class Sets:
    """What a claim about sets of things found; parts that its measure has not are ``None``."""

    things: int
    """Different things that the accounts of both arms had."""
    counts: tuple[tuple[str, int], ...]
    """Accounts and the number of things that each had."""
    between: float | None = None
    """Mean Jaccard distance of a treated and a control account."""
    within: float | None = None
    """Mean Jaccard distance of two accounts of one arm."""
    explained: float | None = None
    """Share of squared distances that the persona accounts for (R squared)."""
    own: tuple[str, ...] | None = None
    """Things of at least two treated accounts and no control, at most ``SHOWN`` of them."""
    own_count: int | None = None
    own_expected: float | None = None
    """As many as labels dealt at random give on average."""
    treated_with: int | None = None
    """Treated accounts that had the thing."""
    control_with: int | None = None
    difference: float | None = None
    """Share of treated accounts with it minus share of controls."""
    low: float | None = None
    """95 % interval of the difference."""
    high: float | None = None


@dataclass(frozen=True)
class SplitCheck:
    """The analysis repeated on all divisions of the controls: how large chance is there.

    No test: that about alpha of the divisions are rejected holds whatever the controls are.
    """

    splits: int
    rejected: int
    """Splits in which the t test on account scores calls a difference."""
    pooled_rejected: int | None
    """Splits in which a Mann-Whitney test on pooled bids would have called one; bids only."""
    ratios: tuple[float, ...]
    """The ratio of each split (at most 200 of them, evenly taken), in ascending order."""


@dataclass(frozen=True)
class Halves:
    """One division of the controls, fixed before the run, and the claim's own test of it."""

    by: str
    """How they are divided, in the order of their names: odd and even, or first and last."""
    accounts: tuple[int, int]
    """Accounts compared, of each half."""
    method: Method
    p: float
    """Two-sided."""
    smallest_p: float
    """Smallest p that label permutation of this many accounts can give."""
    able: bool
    """Whether so many accounts can be told apart at all at the level of the check."""
    ratio: float | None = None
    """One half over the other, of claims about ratios."""
    detectable: float | None = None
    """Ratio that would have been noticed with probability 0.8."""


@dataclass(frozen=True)
class ControlCheck:
    """Whether the controls differ among themselves: the A/A test."""

    halves: tuple[Halves, ...]
    """The divisions with two accounts on either side."""
    p: float | None
    """Smallest p of those that could be rejected, corrected for their number."""
    passed: bool | None
    """``None``: no power, as no division of so few controls could have been rejected."""


@dataclass(frozen=True)
class Diagnostics:
    """Checks beside the test; only ``controls`` can overturn a conclusion."""

    leave_one_out: tuple[float, float] | None
    """Lowest and highest ratio when any one account is left out."""
    baseline_ratio: float | None
    """The same ratio before the treatment; 1 when the arms began alike."""
    baseline_p: float | None
    splits: SplitCheck | None
    """All divisions of the controls: a description, no test."""
    controls: ControlCheck | None = None
    """``None`` where nothing was compared."""
    outliers: tuple[str, ...] = ()
    """Accounts whose score is far from their arm's others; shown, never dropped."""


@dataclass(frozen=True)
class Conclusion:
    """A claim, its state and everything it rests on."""

    claim: str
    outcome: str
    measure: str
    item: str | None
    direction: str
    family: str
    exploratory: bool
    """Whether it is a question rather than a prediction, or was stated after the run."""
    registered: bool
    """Whether it was stated before the run."""
    alpha: float
    smallest_effect: float
    state: State
    sentence: str
    reason: str | None
    """Why the evidence is insufficient."""
    needed: str | None
    """What would make it sufficient."""
    flawed: bool
    """Whether the evidence is not what was planned (treatment, observation, replication, controls),
    rather than sound but too little to decide."""
    treated: Arm
    control: Arm
    rounds_before: int
    rounds_after: int
    effect: Effect | None
    """Of claims about bids and counts."""
    sets: Sets | None
    """Of claims about sets of things."""
    test: Test | None
    diagnostics: Diagnostics

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``conclusions.json``."""
        return asdict(self)
