"""What a query spends on average at each price, as arrays: curves may be added where lists of steps could not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean micro-dollars, or a difference of two means; k steps in order of their worth."""

    worth: Floats = field(compare=False)  # (k,) quality per dollar, falling
    cost: Floats = field(compare=False)  # (k + 1,) with none, one, … all of the steps taken

    @property
    def least(self) -> float:
        """Micro-dollars that the cheapest plans take on average, >= 0."""
        return max(0.0, float(self.cost[0]))

    def plus(self, other: Self) -> Self:
        """Both together, of the steps of both; it never falls, also where `other` is a difference that does."""
        worth = np.concatenate([self.worth, other.worth])
        worth = worth[np.argsort(-worth, kind="stable")]
        cost = self._with(worth) + other._with(worth)
        return type(self)(worth, np.maximum.accumulate(cost))

    def mean_price_for(self, mean: float, deviation: float) -> float:
        """See `router.pricing.offers.Lately.mean_price_for`."""
        apart = math.sqrt(3) * max(0.0, deviation)
        high, middle, low = (self._price_for(one) for one in (mean - apart, mean, mean + apart))
        return (high + 4 * middle + low) / 6 if middle else 0.0

    def _price_for(self, mean: float) -> float:
        first = int(np.searchsorted(self.cost[1:], mean, side="right"))  # step that is too much
        return float(self.worth[first]) if first < len(self.worth) else 0.0

    def _with(self, worth: Floats) -> Floats:
        """The cost with none and with all steps worth at least so much, shape (1 + len(worth),)."""
        taken = np.searchsorted(-self.worth, -worth, side="right")
        found: Floats = self.cost[np.concatenate([[0], taken])]
        return found
