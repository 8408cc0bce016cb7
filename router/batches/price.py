"""The price at which what is left of a batch costs what is left of its money.

The queries still to come are like the ones looked at: a sample of the batch, and all that were begun. Forecasts are
corrected by what was really charged, as in `router.pricing.price`; here no time passes, so nothing is forgotten.
Fails where qualities are not known: every price is then 0, and the money ends before the batch does.
"""

from __future__ import annotations

from collections.abc import Iterable

from router.pricing.offers import Lately, Offer

BELIEF = 20  # queries' worth of forecasts that are taken to be right before anything was charged
MOST_BIAS = 4.0  # forecasts are off by less; more is chance


class BatchPrice:
    """Quality per dollar, >= 0. Money is micro-dollars."""

    def __init__(self, offers: Iterable[Offer], most: int) -> None:
        self._lately = Lately(most, offers)
        self._charged = self._expected = 0.0
        self._paid = 0

    def now(self, left: float, queries: int) -> float:
        """With so much money left for so many queries."""
        return self._lately.price_for(max(0.0, left) / max(1, queries) / self._bias)

    @property
    def least(self) -> float:
        """What a query's cheapest plan takes on average."""
        return self._lately.least * self._bias

    def paid(self, offer: Offer, price: float, cost: int) -> None:
        """A query is over: what it offered, the price it was decided at, what it cost."""
        self._lately.add(offer)
        self._charged += cost
        self._expected += offer.cost_at(price)
        self._paid += 1

    @property
    def _bias(self) -> float:
        """Charged over expected, with a belief in the forecasts that wears off."""
        if not self._expected:
            return 1.0
        believed = BELIEF * self._expected / self._paid
        bias = (self._charged + believed) / (self._expected + believed)
        return min(MOST_BIAS, max(1 / MOST_BIAS, bias))
