"""What queries of each hour of the day spend at which price: what changes from those of now to those still to come.

A bundle that learned from a log knows at which hour its typical queries came. An hour's mix is that of its own queries,
and of all of them as far as it has few: they count as `SHRUNK` of its own, spread over the day. The change is worth
what the hours have proved: what queries really wanted, hour by hour, is regressed on what the hours say, through the
origin, from a belief in them that is worth `BELIEF` (a Bayesian slope; kept in [0, 1]). A day unlike those of the log
so ends where nothing is known of hours: with the queries seen lately.

When it fails: days that differ by a rule (weekends) are one day here; in the first hours of a day unlike the others
the change is believed; within a clock hour nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.pricing.curve import Curve
from router.pricing.demand import HOUR_S, HOURS, MEMORY, Profile
from router.pricing.offers import Offer

Floats = NDArray[np.float64]
NEAR = np.array([0.25, 0.5, 0.25] + [0.0] * (HOURS - 3))  # of an hour and its neighbours, for the slope
NOTHING = 1e-9  # of the queries in other hours
SHRUNK = 5.0  # typical queries of the whole day that count in each hour's mix
BELIEF = 5.0  # in queries times the square of an hour's difference from the day, over the day's mean


@dataclass(frozen=True, slots=True)
class Typical:
    """Typical queries, the hours in which they came, and how busy hours are."""

    offers: tuple[Offer, ...] = ()
    hours: tuple[int, ...] = ()  # UTC, [0, 24), of each offer; none: not known
    busy: tuple[float, ...] = ()  # share of a day's queries in each UTC hour; none: not known


NO_QUERIES = Typical()


class HourMix:
    """The curve of each hour of the day."""

    def __init__(self, typical: Typical) -> None:
        self._least = np.array([offer.least for offer in typical.offers])
        steps = sorted(
            ((-worth, more, at) for at, offer in enumerate(typical.offers) for worth, more in offer.steps)
        )
        self._sunk = np.array([step[0] for step in steps])  # (k,) minus the worth, rising
        share = self._shares(np.array(typical.hours))
        owner = np.array([step[2] for step in steps], dtype=np.int64)
        taken = np.cumsum(share[:, owner] * np.array([step[1] for step in steps]), axis=1)
        least = share @ self._least
        self._cost = np.concatenate([least[:, None], least[:, None] + taken], axis=1)  # (24, k + 1)

    def spent_at(self, price: float) -> Floats:
        """What a query of each hour spends on average, (24,) micro-dollars."""
        found: Floats = self._cost[:, np.searchsorted(self._sunk, -price)]
        return found

    def curve(self, weight: Floats) -> Curve:
        """Of hours by their weights (24,)."""
        return Curve(-self._sunk, weight @ self._cost)

    @staticmethod
    def _shares(hours: NDArray[np.int64]) -> Floats:
        """(24, m): what each query counts in each hour's mix; rows add up to 1."""
        own = (np.arange(HOURS)[:, None] == hours[None, :]).astype(np.float64)
        count = own.sum(axis=1, keepdims=True)
        found: Floats = (own + SHRUNK / len(hours)) / (count + SHRUNK)
        return found


def hour_mix(typical: Typical) -> HourMix | None:
    """None where the hours are not known or no price changes anything."""
    known = typical.hours and any(offer.steps for offer in typical.offers)
    return HourMix(typical) if known else None


class Change:
    """What changes in one account's queries, and how far that is believed. Times are seconds since the epoch.

    What is seen lately came in hours of its own: it is from these that the queries to come differ.
    """

    def __init__(self, mix: HourMix, profile: Profile, window_s: float, now: float) -> None:
        self._mix, self._profile, self._memory_s = mix, profile, MEMORY * window_s
        self._day = _weights(profile, 0.0, HOURS * HOUR_S)
        # an hour's few queries alone are noise, and a slope on noise is too flat
        self._near = np.array([np.roll(NEAR, hour - 1) for hour in range(HOURS)])
        self._at = now
        self._now = self._all = 0.0  # what a query of this hour spends at `_price`, and one of any hour
        self._both = self._square = 0.0  # decayed sums of x y and of x x
        self.look(0.0, now)

    def note(self, offer: Offer) -> None:
        """A query has come."""
        if self._all > 0:
            said, was = self._now / self._all - 1, offer.cost_at(self._price) / self._all - 1
            self._both += said * was
            self._square += said * said

    def look(self, price: float, now: float) -> None:
        """Queries from now on are compared at this price."""
        keep = math.exp(-max(0.0, now - self._at) / self._memory_s)
        self._both, self._square = self._both * keep, self._square * keep
        spent = self._mix.spent_at(price)
        self._at, self._price = now, price
        self._now, self._all = float(self._near[hour_of(now)] @ spent), float(self._day @ spent)

    @property
    def belief(self) -> float:
        """How much of the change is expected to come, [0, 1]."""
        return min(1.0, max(0.0, (BELIEF + self._both) / (BELIEF + self._square)))

    def until(self, end: float, lately: Sequence[int]) -> Curve | None:
        """What a query until `end` will spend more than those of late, as far as that is believed; None: nothing.

        `lately`: how many of those came in each hour, 24 counts.
        """
        count = sum(lately)
        if not count:
            return None
        weight = (_weights(self._profile, self._at, end) - np.array(lately) / count) * self.belief
        return self._mix.curve(weight) if np.abs(weight).max() > NOTHING else None


def hour_of(at: float) -> int:
    """The hour of the day, UTC, [0, 24)."""
    return int(at // HOUR_S) % HOURS


def _weights(profile: Profile, start: float, end: float) -> Floats:
    """The share of each hour of the day, (24,), in the queries from `start` to `end`; if none all in `start`'s."""
    found = np.array(profile.by_hour(start, end))
    if found.sum() <= 0:
        found[hour_of(start)] = 1.0
    shares: Floats = found / found.sum()
    return shares
