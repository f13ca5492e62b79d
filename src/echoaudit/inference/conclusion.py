"""What inference concludes about one claim, as one immutable record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["supported", "not supported", "insufficient"]
ArmName = Literal["treated", "control"]


@dataclass(frozen=True)
class AccountScore:
    """One account's part in a conclusion; levels and score are natural logarithms."""

    account: str
    before: float | None
    after: float
    score: float
    observations: int


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
    method: Literal["permutation", "pooled", "welch", "crawford-howell"]
    p: float
    p_corrected: float
    smallest_p: float
    """Smallest p that label permutation of this many accounts can give."""
    labelings: int
    exact: bool
    t_p: float
    """p of the t test, whichever test decided."""
    family: int
    """Claims corrected for together (Holm)."""


@dataclass(frozen=True)
class SplitCheck:
    """The analysis repeated on the controls alone, where there is nothing to find."""

    splits: int
    rejected: int
    """Splits in which the t test on account scores calls a difference."""
    pooled_rejected: int
    """Splits in which a Mann-Whitney test on pooled bids would have called one."""
    ratios: tuple[float, ...]
    """The ratio of each split (at most 200 of them, evenly taken), in ascending order."""
    passed: bool


@dataclass(frozen=True)
class Diagnostics:
    """Checks beside the test; only ``splits`` can overturn a conclusion."""

    leave_one_out: tuple[float, float] | None
    """Lowest and highest ratio when any one account is left out."""
    baseline_ratio: float | None
    """The same ratio before the treatment; 1 when the arms began alike."""
    baseline_p: float | None
    splits: SplitCheck | None


@dataclass(frozen=True)
class Conclusion:
    """A claim, its state and everything it rests on."""

    claim: str
    outcome: str
    measure: str
    direction: str
    alpha: float
    smallest_effect: float
    state: State
    sentence: str
    reason: str | None
    """Why the evidence is insufficient."""
    needed: str | None
    """What would make it sufficient."""
    treated: Arm
    control: Arm
    rounds_before: int
    rounds_after: int
    effect: Effect | None
    test: Test | None
    diagnostics: Diagnostics

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``conclusions.json``."""
        return asdict(self)
