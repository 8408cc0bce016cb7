"""When queries come, how long they take, and what happens to the replicas that serve them. One window each.

`steady`: at an even rate; `diurnal`: a day with a night, its shape learned from the day before; `bursty`: two thirds
come in bursts of a hundredth of the window; `drifting`: from the queries that compute helps least to those it helps
most; `replicas8`: eight replicas (also diurnal and bursty); `outage`: the store away, replicas killed; `lowered`: a
budget cut in the middle; `heavy_tail`: 64 at once, whose worst case is 20 times their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.pricing.demand import hourly_shares
from training.suites.budget.world import World

Floats = NDArray[np.float64]
Rng = np.random.Generator
HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times are shares of the window."""

    times: Callable[[Rng, int], Floats]  # (rng, n) -> n sorted times in [0, 1)
    queries: int = 6000
    window: str = "hour"  # of the calendar
    at_once: float = 4.0  # queries in flight, mean
    worst: float = 4.0  # worst case over mean cost, but never below what was recorded
    replicas: int = 1
    share: float = (
        0.35  # of the way from the cheapest plans' cost to that of the best, for all queries: the budget
    )
    drifts: bool = False
    learns_hours: bool = False
    away: tuple[float, float] = (1.0, 1.0)  # when the store cannot be reached
    kills: tuple[float, ...] = ()  # each takes a replica, another comes in its place
    lowered: tuple[float, float] | None = None  # when, and what is left of the limit

    @property
    def window_s(self) -> float:
        """Its length."""
        return DAY_S if self.window == "day" else HOUR_S


@dataclass(frozen=True, slots=True)
class Traffic:
    """The queries of one window: times in seconds, rows of the world, seconds that each takes."""

    at: Floats = field(compare=False)
    row: NDArray[np.int64] = field(compare=False)
    takes: Floats = field(compare=False)
    hours: tuple[float, ...] = ()  # share of each hour of the day, as the log says; none: not known


def even(rng: Rng, n: int) -> Floats:
    """At a constant rate."""
    return np.sort(rng.random(n))


def day_and_night(rng: Rng, n: int) -> Floats:
    """The rate of the busiest hour is nine times that of the quietest."""
    return np.sort(_thinned(rng, n, lambda at: (1 - 0.8 * np.cos(2 * np.pi * at)) / 1.8))


def bursts(rng: Rng, n: int) -> Floats:
    """A third evenly; the rest in some 25 bursts at any time."""
    begins = np.sort(rng.random(max(3, int(rng.poisson(25)))))
    weight = rng.dirichlet(np.full(len(begins), 3.0))
    inside = rng.choice(begins, size=n - n // 3, p=weight) + 0.01 * rng.random(n - n // 3)
    return np.sort(np.concatenate([rng.random(n // 3), inside % 1.0]))


SCENARIOS = {
    "steady": Scenario(even),
    "diurnal": Scenario(day_and_night, window="day", learns_hours=True),
    "bursty": Scenario(bursts),
    "drifting": Scenario(even, drifts=True),
    "replicas8": Scenario(even, replicas=8, queries=8000),
    "replicas8:diurnal": Scenario(
        day_and_night, window="day", learns_hours=True, replicas=8, queries=8000
    ),
    "replicas8:bursty": Scenario(bursts, replicas=8, queries=8000),
    "outage": Scenario(even, replicas=4, away=(0.4, 0.55), kills=(0.3, 0.6)),
    "lowered": Scenario(even, lowered=(0.5, 0.7)),
    "heavy_tail": Scenario(even, queries=8000, at_once=64.0, worst=20.0),
}  # fmt: skip


def traffic_of(scenario: Scenario, world: World, rng: Rng, scale: float = 1.0) -> Traffic:
    """Draw a window's queries, with replacement; `scale` > 0: so many times fewer or more."""
    n = max(50, round(scenario.queries * scale))
    at = scenario.times(rng, n)
    hours: tuple[float, ...] = ()
    if scenario.learns_hours:
        hours = hourly_shares((scenario.times(rng, n) * scenario.window_s).tolist())
    mean_s = scenario.at_once / n * scenario.window_s
    return Traffic(at * scenario.window_s, _rows(scenario, world, at, rng), rng.exponential(mean_s, n), hours)


def _rows(scenario: Scenario, world: World, at: Floats, rng: Rng) -> NDArray[np.int64]:
    if not scenario.drifts:
        return rng.integers(len(world), size=len(at))
    gain = world.quality.max(axis=1) - world.quality[np.arange(len(world)), world.cost.argmin(axis=1)]
    order = np.argsort(gain, kind="stable")
    width = 0.5  # at any time queries come from half of the order, which moves along
    place = (at * (1 - width) + width * rng.random(len(at))) * len(order)
    return np.asarray(order[np.minimum(place.astype(np.int64), len(order) - 1)], dtype=np.int64)


def _thinned(rng: Rng, n: int, rate: Callable[[Floats], Floats]) -> Floats:
    """n draws of a density in proportion to `rate`, in [0, 1]."""
    found = np.empty(0)
    while len(found) < n:
        tried = rng.random(2 * n)
        found = np.concatenate([found, tried[rng.random(2 * n) < rate(tried)]])
    return found[:n]
