"""From values to coordinates, and where the ticks go."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0),
    tuple(round(1 + 0.1 * i, 1) for i in range(90)),
)


@dataclass(frozen=True)
class Log:
    """A logarithmic axis from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, least: float = 1.5) -> Log:
        """An axis on which all values fit with some room, spanning at least a factor."""
        known = [v for v in values if v > 0 and math.isfinite(v)] or [1.0]
        low, high = math.log(min(known)), math.log(max(known))
        middle, half = (low + high) / 2, max((high - low) / 2 * 1.08, math.log(least) / 2)
        return cls(math.exp(middle - half), math.exp(middle + half), start, end)

    def __call__(self, value: float) -> float:
        """The coordinate of a value; values outside stick to the edge."""
        span = math.log(self.high / self.low)
        place = math.log(min(max(value, self.low), self.high) / self.low) / span
        return self.start + place * (self.end - self.start)

    def ticks(self, wanted: int = 4, most: int = 7) -> list[float]:
        """Round values along the axis, from the coarsest steps that give enough of them."""
        best: list[float] = []
        for steps in STEPS:
            found = self._round(steps)
            if len(found) > most and best:
                break
            best = found
            if len(found) >= wanted:
                break
        return best[:: max(1, math.ceil(len(best) / most))]

    def _round(self, steps: tuple[float, ...]) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [round(step * 10.0**d, 10 - d) for d in decades for step in steps]
        return [v for v in values if self.low <= v <= self.high]
