"""Looking at results while a study goes on, without more false claims: an e-process.

A block is a set of accounts made and crawled together, such as one recording. Under the hypothesis
that labels of accounts are exchangeable in each block, the e-value of a block has mean 1 whatever
the scores, so the product over blocks is a martingale and, by Ville's inequality, ever exceeds
1/alpha with a probability of at most alpha: one may look after each block and stop when one likes.
A p value that is computed anew at each look has no such guarantee.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echoaudit.inference.tests import EXACT_LABELINGS, Direction, Floats, labelings

TILTS = (1.0, 2.0, 4.0)
"""How strongly a difference is rewarded; the process is the mean over them, for no single one
suits small and large differences."""


@dataclass(frozen=True)
class EProcess:
    """Evidence after each block."""

    values: tuple[float, ...]

    @property
    def anytime_p(self) -> float:
        """A p value that holds however often one has looked: one over the largest evidence."""
        return min(1.0, 1.0 / max(self.values, default=1.0))


def e_values(treated: Floats, controls: Floats, direction: Direction) -> Floats:
    """The e-value of one block for each of ``TILTS``.

    The tilted difference of means in units of the block's own spread, over its mean when labels
    are dealt anew; all labelings, or the random ones of ``tests.labelings`` with the observed one
    among them, under which the mean is still at most 1. An arm without accounts tells nothing: 1.
    """
    k, m = len(treated), len(controls)
    tilts = np.array(TILTS)
    if not k or not m:
        return np.ones(len(tilts))
    scores = np.concatenate([treated, controls])
    centred = scores - scores.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread <= 1e-12:
        return np.ones(len(tilts))
    own = np.zeros((1, k + m))
    own[0, :k] = 1.0
    observed, permuted = (
        _difference(centred / spread, labels) for labels in (own, labelings(k + m, k))
    )
    signs = {"higher": (1.0,), "lower": (-1.0,), "different": (1.0, -1.0)}[direction]
    random = math.comb(k + m, k) > EXACT_LABELINGS
    each = [_tilted(s * observed, s * permuted, tilts, random=random) for s in signs]
    return np.asarray(np.mean(each, axis=0))


def _difference(scores: Floats, labels: Floats) -> Floats:
    k = labels.sum(axis=1)
    sums = labels @ scores
    return np.asarray(sums / k - (scores.sum() - sums) / (len(scores) - k))


def _tilted(observed: Floats, permuted: Floats, tilts: Floats, *, random: bool) -> Floats:
    everything = np.append(permuted, observed) if random else permuted
    return np.asarray(
        np.exp(tilts * observed[0]) / np.exp(tilts[:, None] * everything).mean(axis=1)
    )


def e_process(blocks: Sequence[tuple[Floats, Floats]], direction: Direction) -> EProcess:
    """Evidence after each block of treated and control scores, in the order of time."""
    logs = np.zeros(len(TILTS))
    values = []
    for treated, controls in blocks:
        logs += np.log(e_values(treated, controls, direction))
        values.append(float(np.exp(logs).mean()))
    return EProcess(tuple(values))
