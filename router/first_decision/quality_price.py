"""Which shadow price gives which quality on average: `min_quality` sweeps the frontier.

A quality target is met at least cost by the utility rule at the highest price whose plans are good enough *on average*
over queries like these; choosing for each query the cheapest plan that reaches the target would waste money on those
that are easy anyway. Fails where expected qualities are not calibrated, and for a caller whose traffic is unlike the
queries that the curve was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Message, Part, Query
from predictors.typical_queries import TypicalQueries
from router.domain.plan import Plan
from router.first_decision.forecast import Forecaster

Floats = NDArray[np.float64]
PRICES = 160  # between where cost hardly matters and where nothing else does


@dataclass(frozen=True, slots=True)
class QualityPrices:
    """Mean expected quality at each price; both rise from last to first."""

    prices: Floats = field(compare=False)  # (k,) rising, quality per dollar
    quality: Floats = field(compare=False)  # (k,) not rising

    @classmethod
    def of(cls, quality: Floats, cost: Floats) -> QualityPrices:
        """`quality` (n, plans) expected rewards, `cost` (n, plans) expected dollars, of n >= 1 queries."""
        prices = price_range(cost)
        best = [np.argmax(quality - price * cost, axis=1) for price in prices]
        mean = np.array([np.take_along_axis(quality, one[:, None], axis=1).mean() for one in best])
        return cls(prices, np.minimum.accumulate(mean))

    def price_for(self, target: float) -> float:
        """The highest price at which the mean reaches `target`; 0 (cost is no matter) where none does."""
        enough = np.flatnonzero(self.quality >= target)
        if not len(enough):
            return 0.0
        at = int(enough[-1])
        if at + 1 == len(self.prices) or at == 0:
            return float(self.prices[at])
        # between two prices of the grid the mean falls from one to the other
        drop = self.quality[at] - self.quality[at + 1]
        along = float((self.quality[at] - target) / drop)
        return float(self.prices[at] * (self.prices[at + 1] / self.prices[at]) ** along)


@runtime_checkable
class KnowsTraffic(Protocol):
    """Predictions that keep typical queries; those that do not lack the property."""

    @property
    def typical(self) -> TypicalQueries | None:
        """Held-out signals of queries like the traffic."""
        ...


def quality_prices_of(
    predictions: object, plans: Sequence[Plan], forecaster: Forecaster
) -> QualityPrices | None:
    """The curve at the forecaster's prices, over the plans whose quality is known; None without typical queries."""
    typical = predictions.typical if isinstance(predictions, KnowsTraffic) else None
    if typical is None:
        return None
    quality, cost = [], []
    for signals, chars in zip(typical.signals(), typical.chars.tolist(), strict=True):
        query = Query("", (Message("user", (Part(text=" " * int(chars)),)),))
        known = [
            one for plan in plans if (one := forecaster.forecast(query, plan, signals)).quality is not None
        ]
        quality.append([one.quality for one in known])
        cost.append([one.cost * 1e-6 for one in known])
    if not quality or not quality[0]:
        return None
    return QualityPrices.of(np.array(quality, dtype=np.float64), np.array(cost))


def price_range(cost: Floats) -> Floats:
    """0, and prices around one over the plans' spread in cost, rising."""
    spread = float(np.ptp(cost, axis=1).mean())
    if spread <= 0:
        return np.zeros(1)
    return np.concatenate(([0.0], np.geomspace(1e-4, 1e4, PRICES) / spread))
