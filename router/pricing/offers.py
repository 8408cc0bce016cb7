"""A query as the price sees it: its cheapest plan, and what more it would spend below which price.

Of the plans (cost, quality) only those on the concave hull are ever chosen by argmax q - price * cost. From one corner
to the next the plan costs more; that step is taken while the price is below its quality per dollar.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from router.domain.choice import Forecast
from router.pricing.curve import Curve
from router.pricing.demand import HOURS

MICRO = 1e-6


@dataclass(frozen=True, slots=True)
class Offer:
    """What one query spends at which price."""

    least: float  # micro-dollars, whatever the price
    # (quality per dollar, further micro-dollars), the first falling
    steps: tuple[tuple[float, float], ...] = ()

    def cost_at(self, price: float) -> float:
        """Expected micro-dollars at a price; of equal plans the cheaper."""
        return self.least + math.fsum(more for worth, more in self.steps if worth > price)


def offer_of(points: Iterable[tuple[float, float]], weight: float = 1.0) -> Offer:
    """Of plans (micro-dollars, quality), at least one; `weight` >= 0: by how much the caller multiplies the price."""
    ordered = sorted(points, key=lambda point: (point[0], -point[1]))
    if weight <= 0:
        return Offer(max(ordered, key=lambda point: (point[1], -point[0]))[0])
    corners: list[tuple[float, float]] = []
    for cost, quality in ordered:
        if corners and quality <= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-1], (cost, quality)) >= _slope(corners[-2], corners[-1]):
            corners.pop()
        if corners and corners[-1][0] == cost:
            corners.pop()
        corners.append((cost, quality))
    return Offer(
        corners[0][0],
        tuple(
            (_slope(one, two) / MICRO / weight, two[0] - one[0]) for one, two in itertools.pairwise(corners)
        ),
    )


def offer_of_forecasts(
    forecasts: Sequence[Forecast], weight: float, latency_price: float, taken: Forecast | None
) -> Offer:
    """Of a query's plans; of the one that was taken where the price does not decide: `taken`, or no quality known."""
    known = [
        (one.cost, one.quality - latency_price * one.latency_s)
        for one in forecasts
        if one.quality is not None
    ]
    if taken is not None or not known:
        return Offer(0.0 if taken is None else taken.cost)
    return offer_of(known, weight)


class Lately:
    """The newest offers, at most so many, their steps in order of worth."""

    def __init__(self, most: int, offers: Iterable[Offer] = (), hours: Iterable[int] = ()) -> None:
        self.most = most
        self.by_hour = [0] * HOURS  # how many of them came in each hour of the day, where that is known
        self._offers: deque[Offer] = deque()
        self._hours: deque[int | None] = deque()
        self._steps: list[tuple[float, float]] = []  # (- quality per dollar, micro-dollars), rising
        self._least = 0.0
        for offer, hour in itertools.zip_longest(offers, hours):
            self.add(offer, hour)

    def add(self, offer: Offer, hour: int | None = None) -> None:
        """The newest; the oldest goes when there are too many."""
        if len(self._offers) == self.most:
            oldest, came = self._offers.popleft(), self._hours.popleft()
            if came is not None:
                self.by_hour[came] -= 1
            self._least -= oldest.least
            for worth, more in oldest.steps:
                del self._steps[bisect.bisect_left(self._steps, (-worth, more))]
        self._offers.append(offer)
        self._hours.append(hour)
        if hour is not None:
            self.by_hour[hour] += 1
        self._least += offer.least
        for worth, more in offer.steps:
            bisect.insort(self._steps, (-worth, more))

    @property
    def least(self) -> float:
        """Micro-dollars that the cheapest plans take on average; 0 without any offer."""
        return self._least / len(self._offers) if self._offers else 0.0

    def curve(self) -> Curve:
        """What they spend on average at each price."""
        steps, count = np.array(self._steps, dtype=np.float64).reshape(-1, 2), max(1, len(self._offers))
        taken = np.concatenate([[0.0], np.cumsum(steps[:, 1])])
        return Curve(-steps[:, 0], self.least + taken / count)

    def price_for(self, mean: float) -> float:
        """The lowest price at which the offers cost at most `mean` micro-dollars on average, >= 0; 0 without any.

        Where even the cheapest plans cost more: the price from which on they are all that is bought.
        """
        return self._prices_for((mean,))[0]

    def mean_price_for(self, mean: float, deviation: float) -> float:
        """The mean of `price_for` where the spending is normal with this mean and deviation, micro-dollars, >= 0.

        Three points of Gauss and Hermite: exact where the price is a polynomial of the spending of degree 5 or less.
        0 where the mean pays for everything: what costs nothing now is not given up for a doubt.
        """
        if deviation <= 0:
            return self.price_for(mean)
        apart = math.sqrt(3) * deviation
        high, middle, low = self._prices_for((mean - apart, mean, mean + apart))
        return (high + 4 * middle + low) / 6 if middle else 0.0

    def _prices_for(self, means: Sequence[float]) -> list[float]:
        """Of spendings that rise, in one pass."""
        rooms = [mean * len(self._offers) - self._least for mean in means]
        found, at, bought = [0.0] * len(rooms), 0, 0.0
        for worth, more in self._steps:
            bought += more
            while bought > rooms[at]:
                found[at] = -worth
                at += 1
                if at == len(rooms):
                    return found
        return found


def _slope(one: tuple[float, float], two: tuple[float, float]) -> float:
    gap = two[0] - one[0]
    return (two[1] - one[1]) / gap if gap > 0 else math.inf
